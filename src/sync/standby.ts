import type { CID } from 'multiformats/cid'
import type { Block } from '../core/blocks.ts'
import { type Clock, sleep } from '../core/clock.ts'
import { type Signed, seal } from '../core/envelope.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { type Receipt, receiptRecord, type SignedHead } from '../core/records.ts'
import type { Applied as AppliedTree } from '../worktree/apply.ts'
import type { Worktree } from '../worktree/worktree.ts'
import type { BlockExchange } from './block-exchange.ts'
import type { NearBlocks } from './members.ts'
import { receiptOf } from './receipt.ts'
import type { RemoteRepository } from './repository-client.ts'

const RETRY_MS = 1000
/** Heads that follow one another at once are applied together. */
const GATHER_MS = 100

export interface FollowDeps {
  readonly worktree: Worktree
  readonly remote: (signal: AbortSignal) => Promise<RemoteRepository>
  readonly identity: Identity
  readonly clock: Clock
  readonly log: Logger
  /** Bytes of the workspace have come here. */
  readonly arrived?: (workspace: WorkspaceId, bytes: number) => void
  /** May the files be older than what is remembered of them? Then all are read. */
  readonly readAll?: () => boolean
}

/**
 * Makes the workspace's directory equal to a tree that the repository has. On return it is durable on this disk. What
 * `near` does not give comes from the repository.
 */
export async function applyRoot(
  deps: Pick<FollowDeps, 'worktree' | 'remote' | 'arrived' | 'readAll'>,
  workspace: WorkspaceId,
  root: CID,
  signal: AbortSignal,
  near: NearBlocks | null = null
): Promise<AppliedTree> {
  const remote = await deps.remote(signal)
  let exchange: Promise<BlockExchange> | null = null
  const want = async (cids: readonly CID[]): Promise<Block[]> => {
    const given = near === null ? [] : await near.want(cids)
    const left = near === null ? cids : without(cids, given)
    if (left.length > 0) exchange ??= remote.blocks(workspace, signal)
    const blocks = exchange === null ? given : [...given, ...(await (await exchange).want(left))]
    deps.arrived?.(
      workspace,
      blocks.reduce((sum, { bytes }) => sum + bytes.length, 0)
    )
    return blocks
  }
  try {
    return await deps.worktree.apply(root, want, { signal, forget: deps.readAll?.() === true })
  } finally {
    await closed(exchange)
  }
}

function without(cids: readonly CID[], blocks: readonly Block[]): CID[] {
  const names = new Set(blocks.map(({ cid }) => cid.toString()))
  return cids.filter((cid) => !names.has(cid.toString()))
}

/** A stream that did not open has told so to whoever wanted something. */
async function closed(exchange: Promise<BlockExchange> | null): Promise<void> {
  const opened = await exchange?.catch(() => null)
  await opened?.close()
}

/** As `applyRoot`, for a head; the receipt says that its tree is on this disk, and is signed by this instance. */
export async function applyHead(
  deps: FollowDeps,
  head: SignedHead,
  signal: AbortSignal,
  near: NearBlocks | null = null
): Promise<Signed<Receipt>> {
  const { workspace, root } = head.value
  return await receiptFor(deps, head, await applyRoot(deps, workspace, root, signal, near))
}

/** This instance's receipt for a head whose tree it applied. */
export function receiptFor(
  { identity, clock }: Pick<FollowDeps, 'identity' | 'clock'>,
  head: SignedHead,
  counts: Pick<AppliedTree, 'blocks' | 'bytes'>
): Promise<Signed<Receipt>> {
  return seal(receiptRecord, receiptOf(head, counts, 'instance', identity.peerId, clock.wall()), identity)
}

export interface StandbyDeps extends FollowDeps {
  /** A head is applied and durable here: remembered before it is told. */
  readonly onApplied: (head: SignedHead, receipt: Signed<Receipt>) => Promise<void>
  /** Where blocks of a head are nearer than the repository. */
  readonly near: (head: SignedHead, signal: AbortSignal) => NearBlocks
}

/** What a standby has when it begins. */
export interface Applied {
  readonly head: SignedHead
  readonly receipt: Signed<Receipt>
}

/** Keeps a standby at the newest head. A lower epoch or sequence than one already applied is refused. */
export class StandbySync {
  readonly #deps: StandbyDeps
  readonly #workspace: WorkspaceId
  readonly #stopped = new AbortController()
  #applied: Applied | null
  #newest: SignedHead | null = null
  #isTold = false
  #wake: () => void = () => undefined
  #loop: Promise<void> | null = null

  constructor(deps: StandbyDeps, options: { readonly workspace: WorkspaceId; readonly applied: Applied | null }) {
    this.#deps = deps
    this.#workspace = options.workspace
    this.#applied = options.applied
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  /** A newer head is there. */
  told(head: SignedHead): void {
    if (this.#newest === null || isNewer(head, this.#newest)) this.#newest = head
    this.#wake()
  }

  /** The connection was made anew: what was missed meanwhile is asked for. */
  async refresh(): Promise<void> {
    this.#isTold = false
    const remote = await this.#deps.remote(this.#stopped.signal)
    const head = await remote.follow(this.#workspace)
    if (head !== null) this.told(head)
    if (this.#applied !== null) await remote.holding(this.#applied.receipt)
    this.#isTold = true
  }

  /** Did the last `refresh` succeed? It does not where the repository does not count this instance as a standby yet. */
  get isTold(): boolean {
    return this.#isTold
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    this.#wake()
    await this.#loop
  }

  async #apply(head: SignedHead, signal: AbortSignal): Promise<Signed<Receipt>> {
    const near = this.#deps.near(head, signal)
    try {
      return await applyHead(this.#deps, head, signal, near)
    } finally {
      await near.close()
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted) {
      const head = this.#newest
      if (head === null || (this.#applied !== null && !isNewer(head, this.#applied.head))) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
          if (signal.aborted) resolve()
        })
        continue
      }
      try {
        const receipt = await this.#apply(head, signal)
        await this.#deps.onApplied(head, receipt)
        this.#applied = { head, receipt }
        await (await this.#deps.remote(signal)).holding(receipt)
        await sleep(this.#deps.clock, GATHER_MS, signal)
      } catch (error) {
        if (signal.aborted) return
        this.#deps.log.warn(
          { workspace: this.#workspace, error: messageOf(error) },
          'a standby is behind, trying again'
        )
        await sleep(this.#deps.clock, RETRY_MS, signal).catch(() => undefined)
      }
    }
  }
}

function isNewer(head: SignedHead, than: SignedHead): boolean {
  if (head.value.workspace !== than.value.workspace)
    throw new NodeDaemonError('PROTOCOL_VIOLATION', 'another workspace')
  return head.value.epoch >= than.value.epoch && head.value.sequence > than.value.sequence
}
