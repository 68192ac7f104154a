import type { Clock, Instant } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import { Mutex } from '../core/mutex.ts'
import type { SignedHead } from '../core/records.ts'
import type { MainRepository } from '../store/repository.ts'
import type { MemberReport, Testified } from './ask-report.ts'
import type { LostHeads } from './lost-heads.ts'
import type { OwnershipTable } from './ownership-table.ts'
import { type RegainDeps, regainHead } from './regain.ts'
import { provesHead } from './testimony.ts'

/** What is kept of one member in a day at most. What is more is asked for again when it connects on another day. */
export const LATE_LIMITS = { heads: 1000, bytes: 64 * 1024 ** 3 } as const
const DAY_MS = 24 * 3_600_000

export interface LateHeadsDeps extends RegainDeps {
  readonly repository: RegainDeps['repository'] & Pick<MainRepository, 'head'>
  readonly table: Pick<OwnershipTable, 'get'>
  readonly lost: Pick<LostHeads, 'get'>
  readonly clock: Clock
  /** Aborted when the coordinator stops. */
  readonly signal: AbortSignal
}

interface Kept {
  readonly since: Instant
  heads: number
  bytes: number
}

/**
 * A member that comes late holds heads that the repository does not know: they are kept as diverged ones. Only such
 * that a home of the workspace has signed: what any other member signed is nobody's work.
 */
export class LateHeads {
  readonly #deps: LateHeadsDeps
  readonly #limits: { readonly heads: number; readonly bytes: number }
  readonly #work = new Mutex()
  readonly #asked = new Set<PeerIdText>()
  readonly #kept = new Map<PeerIdText, Kept>()

  constructor(deps: LateHeadsDeps, limits: { readonly heads: number; readonly bytes: number } = LATE_LIMITS) {
    this.#deps = deps
    this.#limits = limits
  }

  /** Of one member after the other, each once at a time. Never rejects. Durable on return. */
  async keep({ peer, workspaces }: MemberReport): Promise<void> {
    if (this.#asked.has(peer)) return
    this.#asked.add(peer)
    try {
      await this.#work.run(async () => {
        for (const testified of workspaces) {
          if (this.#deps.signal.aborted) return
          const { head } = testified
          if (head !== null && this.#wasHome(testified, head)) await this.#keepOne(peer, head)
        }
      })
    } finally {
      this.#asked.delete(peer)
    }
  }

  #wasHome({ ownership }: Testified, head: SignedHead): boolean {
    const owned = this.#deps.table.get(head.value.workspace)
    if (provesHead(ownership.value, head)) return true
    if (owned === null) return false
    const { value } = owned.signed
    return provesHead(value, head) || value.home === head.signer || owned.formerHomes.includes(head.signer)
  }

  async #keepOne(peer: PeerIdText, head: SignedHead): Promise<void> {
    const { repository, lost, signal, log } = this.#deps
    const { workspace } = head.value
    try {
      if ((await repository.head(head.cid)) !== null || lost.get(workspace)?.equals(head.cid) === true) return
      const kept = this.#of(peer)
      if (kept.heads >= this.#limits.heads || kept.bytes >= this.#limits.bytes) throw tooMuch()
      kept.heads++
      const deps = { ...this.#deps, repository: this.#counted(kept) }
      if (await regainHead(deps, { head, holders: [peer] }, 'diverged', signal)) {
        log.warn({ workspace, peer, head: head.cid.toString() }, 'a head that the repository lost is kept as diverged')
      }
    } catch (error) {
      log.warn({ workspace, peer, error: messageOf(error) }, 'a head that only one instance holds was not kept')
    }
  }

  #of(peer: PeerIdText): Kept {
    const now = this.#deps.clock.now()
    const known = this.#kept.get(peer)
    if (known !== undefined && now - known.since < DAY_MS) return known
    const fresh = { since: now, heads: 0, bytes: 0 }
    this.#kept.set(peer, fresh)
    return fresh
  }

  #counted(kept: Kept): RegainDeps['repository'] {
    const { repository } = this.#deps
    return {
      regain: repository.regain.bind(repository),
      keepDiverged: repository.keepDiverged.bind(repository),
      keep: async (workspace, blocks) => {
        kept.bytes += blocks.reduce((sum, { bytes }) => sum + bytes.length, 0)
        if (kept.bytes > this.#limits.bytes) throw tooMuch()
        return repository.keep(workspace, blocks)
      }
    }
  }
}

const tooMuch = (): NodeDaemonError => new NodeDaemonError('TOO_LARGE', 'too much was kept of this instance today')
