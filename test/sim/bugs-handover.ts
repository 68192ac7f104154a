import type { Bug } from './bug.ts'

/** Mistakes of whoever decides who serves what. */
export const HANDOVER_BUGS: readonly Bug[] = [
  {
    name: 'base read before the seal',
    edits: [
      {
        file: 'handover/director.ts',
        find: '    const heldAt = clock.now()\n    this.#set(workspace, freeze(this.state(workspace)))\n',
        put: '    const heldAt = clock.now()\n    Object.assign(this, { [workspace]: await this.#deps.repository.tip(workspace) })\n    this.#set(workspace, freeze(this.state(workspace)))\n'
      },
      {
        file: 'handover/director.ts',
        find: '      const { base } = await repository.seal(workspace, epoch, (tip) =>\n',
        put: '      const { base: sealed } = await repository.seal(workspace, epoch, (tip) =>\n'
      },
      {
        file: 'handover/director.ts',
        find: '      const to = choose(tried)\n',
        put: '      const base = Reflect.get(this, workspace)?.tip ?? sealed\n      Reflect.deleteProperty(this, workspace)\n      const to = choose(tried)\n'
      }
    ],
    caughtBy: 'handover/13'
  },
  {
    name: 'promoted at the head that the new home happens to hold',
    edits: [
      {
        file: 'handover/resident-workspace.ts',
        find: '    const base = await this.#tip()\n',
        put: '    const base = this.#record.head ?? (await this.#tip())\n'
      },
      {
        file: 'handover/resident-workspace.ts',
        find: 'if ((base === null) !== (ownership.value.base === null) || base?.cid.equals(ownership.value.base) === false) {',
        put: 'if (base === undefined) {'
      }
    ],
    caughtBy: 'handover/2'
  },
  {
    name: 'a standby serves what it has, and not the base',
    edits: [
      {
        file: 'handover/resident-workspace.ts',
        find: "if (role === 'standby' && !suspect && receipt?.value.head.equals(head.cid) === true) return receipt",
        put: "if (role === 'standby' && !suspect && receipt !== null) return receipt"
      }
    ],
    caughtBy: 'handover/2'
  },
  {
    name: 'held requests are released before the new home has applied the base',
    edits: [
      {
        file: 'handover/resident-workspace.ts',
        find: '    const receipt = base === null ? null : await this.#receiptFor(base, suspect)\n',
        put: '    const receipt = null\n    if (base !== null) void this.#receiptFor(base, suspect).catch(() => undefined)\n'
      }
    ],
    caughtBy: 'handover/3'
  },
  {
    name: 'the old home removes its files before the swap',
    edits: [
      {
        file: 'handover/resident-workspace.ts',
        find: '    await this.#serving().freeze()\n',
        put: '    await this.#serving().freeze()\n    await (await this.#premises()).worktree.remove()\n'
      }
    ],
    caughtBy: 'handover/79'
  },
  {
    name: 'a frozen home thaws by itself',
    edits: [
      {
        file: 'handover/serving-home.ts',
        find: '      await (this.#hasHooks || this.#app !== null ? this.#lastRound() : this.flush())\n',
        put: '      await (this.#hasHooks || this.#app !== null ? this.#lastRound() : this.flush())\n      this.thaw()\n'
      }
    ],
    caughtBy: 'handover/2'
  },
  {
    name: 'failover does not wait for the lease to end',
    edits: [
      {
        file: 'handover/failure-detector.ts',
        find: 'leaseOverAt: Math.max(deadAt, grantorUntil(leaseGrantedAt, leaseMs)) }',
        put: 'leaseOverAt: Math.max(deadAt, 0 * grantorUntil(leaseGrantedAt, leaseMs)) }'
      }
    ],
    caughtBy: 'network/13'
  },
  {
    name: 'a restarted coordinator takes all leases for ended',
    edits: [
      {
        file: 'handover/failure-detector.ts',
        find: 'this.#watch(peer, { deadAt, leaseOverAt: Math.max(deadAt, ends.leaseOverAt) }, causeOf(intent))',
        put: 'this.#watch(peer, { deadAt: now, leaseOverAt: now }, causeOf(intent))'
      }
    ],
    caughtBy: 'power/13'
  },
  {
    name: 'one that comes back soon is taken for dead at once',
    edits: [
      {
        file: 'handover/failure-detector.ts',
        find: "intent === 'restart' ? restartGraceMs : ",
        put: "intent === 'restart' ? Math.min(restartGraceMs, 0) : "
      }
    ],
    caughtBy: 'restart/1'
  },
  {
    name: 'a death is noticed late',
    edits: [
      {
        file: 'handover/failure-detector.ts',
        find: 'intent === null ? failoverAfterMs : 0',
        put: 'intent === null ? 3 * failoverAfterMs : 0'
      }
    ],
    caughtBy: 'death/1'
  },
  {
    name: 'workspaces without a home are forgotten',
    edits: [
      {
        file: 'handover/director.ts',
        find: '[...homes, ...standbys, this.adoptOrphans()]',
        put: '[...homes, ...standbys]'
      },
      {
        file: 'handover/director.ts',
        find: 'if (!passes(this.state(workspace))) this.#later(workspace, () => this.failover(workspace, home))',
        put: 'if (home === null) this.touch(workspace)'
      }
    ],
    caughtBy: 'network/2'
  },
  {
    name: 'a drain hands over to an instance that drains too',
    edits: [{ file: 'daemon/fleet.ts', find: "=== 'member' && !this.isDraining(peer) &&", put: "=== 'member' &&" }],
    caughtBy: 'handover/27'
  },
  {
    name: 'a certificate without the last head',
    edits: [
      {
        file: 'handover/director.ts',
        find: '      const head = base === null ? null : await repository.head(base.cid)\n',
        put: '      const past = base === null ? [] : await repository.history(workspace, { limit: 2 })\n      const head = past.at(-1) ?? null\n'
      }
    ],
    caughtBy: 'storm/4'
  },
  {
    name: 'an epoch begins without a seal',
    edits: [
      {
        file: 'store/ledger.ts',
        find: 'sealedEpoch: Math.max(before.sealedEpoch, epoch)',
        put: 'sealedEpoch: before.sealedEpoch'
      }
    ],
    caughtBy: 'handover/2'
  },
  {
    name: 'most instances vanish at once and are all taken for dead',
    edits: [{ file: 'daemon/presence.ts', find: '    this.#brake.judge()\n', put: '' }],
    caughtBy: 'mass/1'
  }
]
