import type { CID } from 'multiformats/cid'
import type { Tip } from '../content/heads.ts'
import type { Block } from '../core/blocks.ts'
import type { Signed } from '../core/envelope.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Seal, SignedHead } from '../core/records.ts'
import type { Counts } from './rows.ts'

/** What a publish is judged by: it cannot change before the head is stored. */
export interface JudgedState {
  readonly tip: Tip | null
  /** The highest sealed epoch; 0 if none. */
  readonly sealedEpoch: number
}

export interface RepositoryStats {
  /** With `storedBytes`: all that lies in the packs, also what no head needs until a `gc` has given it back. */
  readonly blocks: number
  readonly storedBytes: number
  /** What the tips of all workspaces name, each counted in full. */
  readonly logicalBytes: number
  /** Accepted and diverged. */
  readonly heads: number
  readonly workspaces: number
  readonly packs: number
  /** `logicalBytes` over `storedBytes`; 1 while nothing is stored. */
  readonly dedupRatio: number
  /** Blocks that were found damaged and are not held anew; at most 10,000 are counted. */
  readonly damaged: number
}

/**
 * Counts of heads to keep: the newest of each of so many periods (UTC) that have any, by when the repository accepted
 * them. The tip, the base of the present epoch, diverged heads and what was accepted within the last hour are always kept.
 */
export interface RetentionPolicy {
  readonly minutes: number
  readonly hours: number
  readonly days: number
  readonly weeks: number
  readonly months: number
}

export const RETENTION: RetentionPolicy = { minutes: 120, hours: 48, days: 30, weeks: 26, months: 60 }

/** A page of a history: so many heads, of those with a lower sequence than `before`, or the newest. */
export interface HistoryRange {
  readonly limit: number
  readonly before?: number
}

export interface GcOptions {
  readonly policy: RetentionPolicy
  readonly full?: boolean
  readonly signal?: AbortSignal
}

export interface GcReport {
  readonly headsDropped: number
  /** Taken out of the packs, records among them. */
  readonly blocksDropped: number
  /** By how much the packs became shorter. */
  readonly freedBytes: number
  readonly packsRewritten: number
}

/** A block that was found damaged and is not yet held anew. */
export interface Damage {
  readonly cid: CID
  /** Those that need it; at most 100. */
  readonly workspaces: readonly WorkspaceId[]
}

export interface VerifyOptions {
  /** About how much to read at most. */
  readonly maxBytes?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (done: { readonly blocks: number; readonly bytes: number }) => void
}

export interface VerifyReport {
  readonly blocks: number
  readonly bytes: number
  /** Up to 1,000 are named. */
  readonly damaged: readonly string[]
  /** Damaged records of heads and seals that were written again from the index. */
  readonly repaired: number
}

/**
 * The durable store of every block and head, with history. The packs are the truth: heads, seals and what a workspace
 * holds can be rebuilt from them alone.
 *
 * Every call may throw `CLOSED` once it is closed. Writing calls throw `NO_SPACE` while the disk is full and `BUSY`
 * when another write failed meanwhile: neither acknowledges anything, and both may be tried again.
 */
export interface MainRepository {
  /**
   * Which of these does the workspace not hold yet? A CID alone opens nothing: a block that is kept for another
   * workspace counts as missing.
   */
  missing(workspace: WorkspaceId, cids: readonly CID[]): Promise<CID[]>

  /**
   * Keeps blocks for a workspace, durable with its next `publish` or `flush`. Bytes that are kept already are linked,
   * not stored twice.
   *
   * @throws NodeDaemonError `INTEGRITY` some bytes do not match their CID; `BAD_REQUEST` not raw or dag-pb with
   * SHA-256: nothing was kept
   */
  keep(workspace: WorkspaceId, blocks: readonly Block[]): Promise<void>

  /** On return everything that was kept before is durable. */
  flush(): Promise<void>

  /** A block of this workspace, verified as it leaves; null where it is not held, or was found to be damaged. */
  read(workspace: WorkspaceId, cid: CID): Promise<Uint8Array | null>

  /**
   * Takes a head, whose signature the caller has checked, with blocks that it brings along. `judge` sees the state
   * inside the workspace's own queue, so that no seal comes between, and throws to refuse. On return the head and its
   * whole closure are durable and visible. The same head again returns the same, without asking the judge.
   *
   * @returns how much the closure holds; what is named in two places counts twice
   * @throws NodeDaemonError `INCOMPLETE` blocks are missing: `data.missing` names up to 1,000 of them, and those that
   * came along are kept; `SEALED` or `CONFLICT` the head does not follow the tip; `INTEGRITY` a node cannot be read
   */
  publish(head: SignedHead, blocks: readonly Block[], judge: (state: JudgedState) => void): Promise<Counts>

  /**
   * Takes a head that goes on where this repository was put back to an earlier state: the heads between its tip and this
   * one are lost here. Its epoch and its sequence are higher than the tip's or, for the epoch, equal. Otherwise as
   * `publish`: on return it is the tip.
   *
   * @throws NodeDaemonError `INCOMPLETE`, `SEALED`, `INTEGRITY` as `publish`; `CONFLICT` it is not newer than the tip, or
   * was kept as diverged
   */
  regain(head: SignedHead, blocks: readonly Block[]): Promise<Counts>

  /**
   * Keeps a head that cannot become the tip. Its closure is checked in the same way.
   *
   * @throws NodeDaemonError `CONFLICT` it follows the tip and can be published
   */
  keepDiverged(head: SignedHead, blocks: readonly Block[]): Promise<Counts>

  /**
   * A durable promise to accept no more heads of this epoch and of those before it. `makeSeal` makes the record inside
   * the workspace's queue. An epoch that is sealed already keeps the base that it had.
   */
  seal(
    workspace: WorkspaceId,
    epoch: number,
    makeSeal: (tip: Tip | null) => Promise<Signed<Seal>>
  ): Promise<{ base: Tip | null }>

  /** The highest sealed epoch of a workspace; 0 if none. */
  sealedEpoch(workspace: WorkspaceId): Promise<number>
  tip(workspace: WorkspaceId): Promise<{ tip: Tip; head: SignedHead } | null>
  /** Accepted or diverged. */
  head(cid: CID): Promise<SignedHead | null>
  /** The retained heads, newest first. */
  history(workspace: WorkspaceId, range: HistoryRange): Promise<SignedHead[]>
  /** By sequence; at most 1,000. */
  diverged(workspace: WorkspaceId): Promise<SignedHead[]>
  /** All workspaces that have a head or a seal, in the order of their ids. */
  workspaces(): AsyncGenerator<WorkspaceId>
  stats(): Promise<RepositoryStats>

  /**
   * All blocks below an accepted or diverged head (or below `from`, which lies in it), each once, the root first;
   * verified. The head is not dropped meanwhile.
   *
   * @throws NodeDaemonError `NOT_FOUND` the head is not kept, or `from` does not lie in it; `INCOMPLETE` a block is
   * missing or damaged: `data.missing` names it
   */
  closure(head: SignedHead, from?: CID): AsyncGenerator<Block>

  /**
   * Thins the history of every workspace by the policy, and gives back the room of what no retained or diverged head
   * needs. Safe while heads and blocks come in: what a `missing` has called held, or a `keep` has taken, stays for an
   * hour at least, and for an hour after a start nothing is given back. While a node that a head needs is missing, no
   * pack is rewritten, since nobody knows what lies below it. With `full`, every pack with anything to give back is
   * rewritten, not only those with much of it.
   *
   * @throws NodeDaemonError `BUSY` another one is under way, or the repository was brought in order meanwhile;
   * `NO_SPACE` there is no room to rewrite a pack; `ABORTED` the signal said so. What was done until then stays done.
   */
  gc(options: GcOptions): Promise<GcReport>

  /**
   * Nothing of a workspace is needed any more: it has no heads and no seals from here on, and `gc` gives back its blocks.
   * Durable on return; what broke off is made good by doing it again. The caller sees to it that nothing more comes.
   */
  forget(workspace: WorkspaceId): Promise<void>

  /**
   * Reads blocks again: all of them, or the next `maxBytes` after where the last such share ended. Damaged ones are set
   * aside: they count as missing until they are kept anew.
   */
  verify(options?: VerifyOptions): Promise<VerifyReport>

  /** Damaged blocks that some workspace still needs; at most 1,000. */
  damaged(): Promise<readonly Damage[]>

  /** Builds the index anew from the packs. Other calls wait. */
  reindex(): Promise<void>

  /** Lets what runs end, and makes everything durable. */
  close(): Promise<void>
}
