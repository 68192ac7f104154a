import type { CID } from 'multiformats/cid'
import { type Block, verifyBlock } from '../core/blocks.ts'
import { aborted } from '../core/clock.ts'
import { open, type Signed } from '../core/envelope.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { headRecord, type Receipt, receiptRecord, type SignedHead } from '../core/records.ts'
import type { Channel, Link } from '../network/host.ts'
import {
  BLOCKS_LIMITS,
  BLOCKS_PROTOCOL,
  blocksReply,
  blocksRequest,
  type FromBlocks,
  type ToBlocks
} from '../wire/blocks.ts'
import { type FromHeads, HEADS_PROTOCOL, type HeadsAsk, headsReply, headsRequest } from '../wire/heads.ts'
import type { RateLimit } from './rate-limit.ts'

const ANSWER_MS = 60_000

/** The main repository over one connection. Every call rejects with `CLOSED` or `OUT_OF_REACH` once that is gone. */
export interface RemoteRepository {
  /**
   * Publishes a head; blocks that the repository misses travel with it or went before.
   *
   * On return the head and its closure are durable in the repository, as its verified receipt says.
   *
   * @throws NodeDaemonError `INCOMPLETE` with `data.missing`; `SEALED`, `STALE_EPOCH`, `NOT_HOME`, `CONFLICT`
   */
  publish(head: SignedHead, blocks: readonly Block[]): Promise<Signed<Receipt>>
  /** Keeps a head that came too late. Same durability. */
  publishDiverged(head: SignedHead, blocks: readonly Block[]): Promise<Signed<Receipt>>
  tip(workspace: WorkspaceId): Promise<SignedHead | null>
  /** The newest head, and from then on each newer one through `onHead`. */
  follow(workspace: WorkspaceId): Promise<SignedHead | null>
  unfollow(workspace: WorkspaceId): Promise<void>
  holding(receipt: Signed<Receipt>): Promise<void>
  blocks(workspace: WorkspaceId, signal?: AbortSignal): Promise<BlockExchange>
}

/** Blocks of one workspace. One call at a time. */
export interface BlockExchange {
  /** Which of these does the repository not hold for this workspace? */
  missing(cids: readonly CID[]): Promise<CID[]>
  /** Sent, not yet durable: the head that names them makes them so. */
  put(blocks: readonly Block[]): Promise<void>
  /** On return everything that was put before is durable. */
  flush(): Promise<void>
  /** Those that the repository holds, verified. */
  want(cids: readonly CID[]): Promise<Block[]>
  close(): Promise<void>
}

export interface RemoteRepositoryDeps {
  /** Heads go with control, blocks on a connection of their own. */
  readonly control: Link
  readonly data: Link
  readonly coordinator: PeerIdText
  /** Bytes of blocks that go out and come in. */
  readonly upload: RateLimit
  readonly download: RateLimit
  readonly log: Logger
  readonly onHead: (head: SignedHead) => void
}

export async function connectRepository(deps: RemoteRepositoryDeps): Promise<RemoteRepository> {
  const asks = new Asks(await deps.control.open(HEADS_PROTOCOL), deps)
  const receipt = async (ask: HeadsAsk, head: SignedHead): Promise<Signed<Receipt>> => {
    const answer = await asks.ask(ask)
    if (answer.kind !== 'receipt') throw unexpected(answer.kind)
    const signed = await open(receiptRecord, answer.receipt, deps.coordinator)
    if (signed.value.role !== 'repository' || !signed.value.head.equals(head.cid)) {
      throw new NodeDaemonError('BAD_SIGNATURE', 'the receipt is for another head')
    }
    return signed
  }
  const head = async (ask: HeadsAsk & { readonly workspace: WorkspaceId }): Promise<SignedHead | null> => {
    const answer = await asks.ask(ask)
    if (answer.kind === 'nothing') return null
    if (answer.kind !== 'head') throw unexpected(answer.kind)
    return checkedHead(await open(headRecord, answer.head), ask.workspace)
  }
  return {
    publish: (signed, blocks) => receipt({ kind: 'publish', head: signed.bytes, blocks }, signed),
    publishDiverged: (signed, blocks) => receipt({ kind: 'diverged', head: signed.bytes, blocks }, signed),
    tip: (workspace) => head({ kind: 'tip', workspace }),
    follow: (workspace) => head({ kind: 'follow', workspace }),
    unfollow: async (workspace) => {
      await asks.ask({ kind: 'unfollow', workspace })
    },
    holding: async (signed) => {
      await asks.ask({ kind: 'holding', receipt: signed.bytes })
    },
    blocks: (workspace, signal) => openExchange(deps, workspace, signal)
  }
}

function checkedHead(head: SignedHead, workspace: WorkspaceId): SignedHead {
  if (head.value.workspace === workspace) return head
  throw new NodeDaemonError('PROTOCOL_VIOLATION', 'the head of another workspace')
}

const unexpected = (kind: string): NodeDaemonError =>
  new NodeDaemonError('PROTOCOL_VIOLATION', `an unexpected answer: ${kind}`)

interface Waiting {
  readonly resolve: (answer: FromHeads) => void
  readonly reject: (error: NodeDaemonError) => void
}

/** Pairs answers with what was asked. */
class Asks {
  readonly #channel: Channel
  readonly #deps: RemoteRepositoryDeps
  readonly #waiting = new Map<number, Waiting>()
  #next = 1
  #over: NodeDaemonError | null = null

  constructor(channel: Channel, deps: RemoteRepositoryDeps) {
    this.#channel = channel
    this.#deps = deps
    this.#receive().then(
      () => this.#end(new NodeDaemonError('CLOSED', 'the repository closed the stream')),
      (error: unknown) => this.#end(new NodeDaemonError('CLOSED', messageOf(error), { cause: error }))
    )
  }

  async ask(ask: HeadsAsk): Promise<FromHeads> {
    if (this.#over !== null) throw this.#over
    const id = this.#next++
    const answered = new Promise<FromHeads>((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
    answered.catch(() => undefined)
    try {
      await this.#channel.send(headsRequest.encode({ id, ...ask }))
      const answer = await answered
      if (answer.kind !== 'failure') return answer
      throw new NodeDaemonError(answer.code, answer.message, { data: { missing: answer.missing } })
    } finally {
      this.#waiting.delete(id)
    }
  }

  async #receive(): Promise<void> {
    for (let frame = await this.#channel.receive(); frame !== null; frame = await this.#channel.receive()) {
      const answer = headsReply.decode(frame)
      if (answer.id !== 0) this.#waiting.get(answer.id)?.resolve(answer)
      else if (answer.kind === 'head') this.#deps.onHead(await open(headRecord, answer.head))
    }
  }

  #end(error: NodeDaemonError): void {
    this.#over = error
    for (const waiting of this.#waiting.values()) waiting.reject(error)
    this.#waiting.clear()
  }
}

/** A stream for the blocks of one workspace with whoever holds it. */
export async function openExchange(
  deps: Pick<RemoteRepositoryDeps, 'data' | 'upload' | 'download'>,
  workspace: WorkspaceId,
  signal?: AbortSignal
): Promise<BlockExchange> {
  const channel = await deps.data.open(BLOCKS_PROTOCOL, signal)
  const onAbort = (): void => channel.abort(aborted(signal))
  signal?.addEventListener('abort', onAbort, { once: true })
  void channel.closed.then(() => signal?.removeEventListener('abort', onAbort))
  const send = (message: ToBlocks): Promise<void> => channel.send(blocksRequest.encode(message))
  const next = async (): Promise<FromBlocks> => {
    const frame = await channel.receive(AbortSignal.timeout(ANSWER_MS))
    if (frame === null) throw new NodeDaemonError('CLOSED', 'the other side closed the stream')
    const message = blocksReply.decode(frame)
    if (message.kind === 'failure') throw new NodeDaemonError(message.code, message.message)
    return message
  }
  try {
    await send({ kind: 'open', workspace })
    const opened = await next()
    if (opened.kind !== 'opened') throw unexpected(opened.kind)
  } catch (error) {
    // A stream that is left half open counts against the few that a connection may have.
    channel.abort(error instanceof Error ? error : new Error(String(error)))
    throw error
  }
  return {
    async missing(cids) {
      const missing: CID[] = []
      for (let from = 0; from < cids.length; from += BLOCKS_LIMITS.cidsMax) {
        await send({ kind: 'have', cids: cids.slice(from, from + BLOCKS_LIMITS.cidsMax) })
        const answer = await next()
        if (answer.kind !== 'missing') throw unexpected(answer.kind)
        missing.push(...answer.cids)
      }
      return missing
    },
    async put(blocks) {
      for (const batch of batches(blocks)) {
        await deps.upload.take(sizeOf(batch), signal)
        await send({ kind: 'put', blocks: batch })
      }
    },
    async flush() {
      await send({ kind: 'flush' })
      const answer = await next()
      if (answer.kind !== 'flushed') throw unexpected(answer.kind)
    },
    async want(cids) {
      const found: Block[] = []
      for (let from = 0; from < cids.length; from += BLOCKS_LIMITS.cidsMax) {
        const asked = cids.slice(from, from + BLOCKS_LIMITS.cidsMax)
        await send({ kind: 'want', cids: asked })
        const blocks = await receiveBlocks(asked, next)
        await deps.download.take(sizeOf(blocks), signal)
        found.push(...blocks)
      }
      return found
    },
    close: () => channel.close()
  }
}

async function receiveBlocks(asked: readonly CID[], next: () => Promise<FromBlocks>): Promise<Block[]> {
  const names = new Set(asked.map((cid) => cid.toString()))
  const found: Block[] = []
  for (;;) {
    const answer = await next()
    if (answer.kind !== 'blocks') throw unexpected(answer.kind)
    if (answer.blocks.length === 0) return found
    for (const block of answer.blocks) {
      if (!names.delete(block.cid.toString()))
        throw new NodeDaemonError('PROTOCOL_VIOLATION', 'a block that was not asked for')
      verifyBlock(block)
      found.push(block)
    }
  }
}

const sizeOf = (blocks: readonly Block[]): number => blocks.reduce((sum, { bytes }) => sum + bytes.length, 0)

/** Cuts a list into messages of bounded size. */
export function* batches(blocks: readonly Block[]): Generator<Block[]> {
  let batch: Block[] = []
  let bytes = 0
  for (const block of blocks) {
    const full = batch.length >= BLOCKS_LIMITS.cidsMax || bytes + block.bytes.length > BLOCKS_LIMITS.batchBytes
    if (batch.length > 0 && full) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(block)
    bytes += block.bytes.length
  }
  if (batch.length > 0) yield batch
}
