import type { Bug } from './bug.ts'

/** Mistakes of an instance. */
export const INSTANCE_BUGS: readonly Bug[] = [
  {
    name: 'acknowledged before it is published',
    edits: [
      {
        file: 'handover/resident.ts',
        find: '    await withTimeout(clock, ACKNOWLEDGE_MS, what, () => work(level))\n',
        put: '    void withTimeout(clock, ACKNOWLEDGE_MS, what, () => work(level)).catch(() => undefined)\n'
      }
    ],
    caughtBy: 'room/2'
  },
  {
    name: 'acknowledged before it is on this disk',
    edits: [
      {
        file: 'handover/serving-home.ts',
        find: '    return makeDurable(this.premises.files, this.premises.folder, paths)\n',
        put: '    return Promise.resolve()\n'
      }
    ],
    caughtBy: 'power/7'
  },
  {
    name: 'a folder is not synced after what stands in it',
    edits: [
      {
        file: 'worktree/durable.ts',
        find: '    for (const path of foldersAbove(paths)) await unlessGone(files.syncFolder(join(folder, path)))\n',
        put: ''
      }
    ],
    caughtBy: 'power/7'
  },
  {
    name: 'files that a power loss may have torn are published',
    edits: [
      {
        file: 'handover/resident-workspace.ts',
        find: 'const trusted = !suspect && !restoring &&',
        put: 'const trusted = !restoring &&'
      }
    ],
    caughtBy: 'power/30'
  },
  {
    name: 'an instance takes requests of an epoch that is over',
    edits: [
      {
        file: 'handover/resident-workspace.ts',
        find: 'takesRequests !== true || epoch !== current)',
        put: 'takesRequests !== true || epoch > current)'
      }
    ],
    caughtBy: 'handover/2'
  },
  {
    name: 'an instance takes an older record of who owns a workspace',
    edits: [{ file: 'handover/resident.ts', find: '    if (number < seen) throw', put: '    if (number < 0) throw' }],
    caughtBy: 'rogue/2'
  },
  {
    name: 'an instance takes an older list of the members',
    edits: [
      {
        file: 'daemon/known-members.ts',
        find: '    if (value.number < this.#number) return false\n',
        put: ''
      }
    ],
    caughtBy: 'rogue/7'
  },
  {
    name: 'an instance takes a list of members that the coordinator did not sign',
    edits: [
      {
        file: 'daemon/known-members.ts',
        find: 'await open(memberListRecord, bytes, this.#coordinator)',
        put: 'await open(memberListRecord, bytes)'
      }
    ],
    caughtBy: 'rogue/3'
  },
  {
    name: 'work that came too late is thrown away',
    edits: [
      {
        file: 'handover/resident-workspace.ts',
        find: "    if (wasHome) await this.#handInDiverged('after')\n",
        put: '    if (wasHome) this.#idleSince = this.#deps.clock.now()\n'
      }
    ],
    caughtBy: 'network/53'
  },
  {
    name: 'a folder that was taken away counts as emptied by its user',
    edits: [
      {
        file: 'worktree/worktree.ts',
        find: '      state !== null &&\n      state.root !== null &&\n      !state.applying &&\n',
        put: '      state === null &&\n'
      }
    ],
    caughtBy: 'rogue/11'
  },
  {
    name: 'a connection is given up after some tries',
    edits: [
      {
        file: 'membership/control-client.ts',
        find: 'jitter(this.#deps.random, wait)',
        put: 'failures > 5 ? 1e9 : jitter(this.#deps.random, wait)'
      }
    ],
    caughtBy: 'disks/2'
  }
]
