import type { CID } from 'multiformats/cid'
import { type Block, verifyBlock } from '../core/blocks.ts'
import { aborted, type Clock, type TimerHandle } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Channel, Link } from '../network/host.ts'
import {
  BLOCKS_LIMITS,
  BLOCKS_PROTOCOL,
  blocksReply,
  blocksRequest,
  type FromBlocks,
  putParts
} from '../wire/blocks.ts'
import type { Urgency } from './fair-queue.ts'
import type { RateLimit } from './rate-limit.ts'
import type { Uplink } from './uplink.ts'

/** Without a word from the other side for so long, while something is asked, the stream is given up. */
const SILENT_MS = 60_000

/** Blocks of one workspace, over one stream. Calls may overlap. Each rejects with `CLOSED` once the stream is over. */
export interface BlockExchange {
  /** Which of these does the other side not hold for this workspace? */
  missing(cids: readonly CID[]): Promise<CID[]>
  /** Sends blocks as fast as the uplink lets them. On return they are kept: durable with the next head. */
  put(blocks: readonly Block[], urgency: Urgency): Promise<void>
  /** Those that the other side holds, verified. */
  want(cids: readonly CID[]): Promise<Block[]>
  close(): Promise<void>
}

export interface ExchangeDeps {
  readonly upload: Uplink
  readonly download: RateLimit
  readonly clock: Clock
}

/** What is to come, in the order in which it was asked for. `take` says whether that was all of it. */
interface Expected {
  readonly take: (message: FromBlocks) => boolean
  readonly fail: (error: NodeDaemonError) => void
}

/** @throws NodeDaemonError `FORBIDDEN` the workspace is none of this member's; `OUT_OF_REACH`, `CLOSED` */
export async function openExchange(
  link: Link,
  workspace: WorkspaceId,
  deps: ExchangeDeps,
  signal?: AbortSignal
): Promise<BlockExchange> {
  const exchange = new Exchange(await link.open(BLOCKS_PROTOCOL, signal), workspace, deps, signal)
  await exchange.open()
  return exchange
}

class Exchange implements BlockExchange {
  readonly #channel: Channel
  readonly #workspace: WorkspaceId
  readonly #deps: ExchangeDeps
  readonly #signal: AbortSignal | undefined
  readonly #expected: Expected[] = []
  #watchdog: TimerHandle | null = null
  #over: NodeDaemonError | null = null

  constructor(channel: Channel, workspace: WorkspaceId, deps: ExchangeDeps, signal: AbortSignal | undefined) {
    this.#channel = channel
    this.#workspace = workspace
    this.#deps = deps
    this.#signal = signal
    const onAbort = (): void => channel.abort(aborted(signal))
    if (signal?.aborted) onAbort()
    signal?.addEventListener('abort', onAbort, { once: true })
    void channel.closed.then(() => signal?.removeEventListener('abort', onAbort))
    this.#receive().then(
      () => this.#end(new NodeDaemonError('CLOSED', 'the other side closed the stream')),
      (error: unknown) => this.#end(this.#reasonOf(error))
    )
  }

  async open(): Promise<void> {
    try {
      const opened = this.#one((message) => (message.kind === 'opened' ? message : null))
      await this.#channel.send(blocksRequest.encode({ kind: 'open', workspace: this.#workspace }))
      await opened
    } catch (error) {
      // A stream that is left half open counts against the few that a connection may have.
      this.#channel.abort(error instanceof Error ? error : new Error(String(error)))
      throw error
    }
  }

  async missing(cids: readonly CID[]): Promise<CID[]> {
    const answers: Promise<readonly CID[]>[] = []
    for (let from = 0; from < cids.length; from += BLOCKS_LIMITS.cidsMax) {
      answers.push(this.#one((message) => (message.kind === 'missing' ? message.cids : null)))
      await this.#channel.send(
        blocksRequest.encode({ kind: 'have', cids: cids.slice(from, from + BLOCKS_LIMITS.cidsMax) })
      )
    }
    return (await Promise.all(answers)).flat()
  }

  async put(blocks: readonly Block[], urgency: Urgency): Promise<void> {
    const { upload } = this.#deps
    const keeping: Promise<unknown>[] = []
    for (const batch of batches(blocks, upload.pieceBytes)) {
      const bytes = sizeOf(batch)
      await upload.take(bytes, this.#workspace, urgency, this.#signal)
      const kept = this.#one((message) => (message.kind === 'kept' ? message : null))
      kept.then(
        () => upload.arrived(bytes),
        () => upload.lost(bytes)
      )
      keeping.push(kept)
      await this.#channel.send(...putParts(batch))
    }
    await Promise.all(keeping)
  }

  async want(cids: readonly CID[]): Promise<Block[]> {
    const found: Block[] = []
    for (let from = 0; from < cids.length; from += BLOCKS_LIMITS.cidsMax) {
      const asked = cids.slice(from, from + BLOCKS_LIMITS.cidsMax)
      const coming = this.#blocks(asked)
      await this.#channel.send(blocksRequest.encode({ kind: 'want', cids: asked }))
      const blocks = await coming
      await this.#deps.download.take(sizeOf(blocks), this.#signal)
      found.push(...blocks)
    }
    return found
  }

  close(): Promise<void> {
    return this.#channel.close()
  }

  /** The next answer that is not spoken for, read by `read`; null means that it is of another kind. */
  #one<T>(read: (message: FromBlocks) => T | null): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    this.#expect({
      take(message) {
        const answer = read(message)
        if (answer === null) throw unexpected(message.kind)
        resolve(answer)
        return true
      },
      fail: reject
    })
    promise.catch(() => undefined)
    return promise
  }

  #blocks(asked: readonly CID[]): Promise<Block[]> {
    const { promise, resolve, reject } = Promise.withResolvers<Block[]>()
    const names = new Set(asked.map((cid) => cid.toString()))
    const found: Block[] = []
    this.#expect({
      take(message) {
        if (message.kind !== 'blocks') throw unexpected(message.kind)
        for (const block of message.blocks) {
          if (!names.delete(block.cid.toString())) {
            throw new NodeDaemonError('PROTOCOL_VIOLATION', 'a block that was not asked for')
          }
          verifyBlock(block)
          found.push(block)
        }
        if (message.blocks.length > 0) return false
        resolve(found)
        return true
      },
      fail: reject
    })
    promise.catch(() => undefined)
    return promise
  }

  #expect(expected: Expected): void {
    if (this.#over !== null) return expected.fail(this.#over)
    this.#expected.push(expected)
    if (this.#watchdog === null) this.#watch()
  }

  async #receive(): Promise<void> {
    for (let frame = await this.#channel.receive(); frame !== null; frame = await this.#channel.receive()) {
      const message = blocksReply.decode(frame)
      if (message.kind === 'failure') throw new NodeDaemonError(message.code, message.message)
      const [first] = this.#expected
      if (first === undefined) throw unexpected(message.kind)
      if (first.take(message)) this.#expected.shift()
      this.#watch()
    }
  }

  /** Begins to wait anew: for as long as something is expected, the other side must not be silent. */
  #watch(): void {
    this.#watchdog?.cancel()
    this.#watchdog = null
    if (this.#expected.length === 0) return
    this.#watchdog = this.#deps.clock.after(SILENT_MS, () => {
      this.#channel.abort(new NodeDaemonError('TIMED_OUT', 'the other side does not answer'))
    })
  }

  #reasonOf(error: unknown): NodeDaemonError {
    if (this.#signal?.aborted) return aborted(this.#signal)
    return error instanceof NodeDaemonError ? error : new NodeDaemonError('CLOSED', messageOf(error), { cause: error })
  }

  #end(error: NodeDaemonError): void {
    this.#over = error
    this.#watchdog?.cancel()
    this.#channel.abort(error)
    for (const expected of this.#expected.splice(0)) expected.fail(error)
  }
}

const unexpected = (kind: string): NodeDaemonError =>
  new NodeDaemonError('PROTOCOL_VIOLATION', `an unexpected answer: ${kind}`)

const sizeOf = (blocks: readonly Block[]): number => blocks.reduce((sum, { bytes }) => sum + bytes.length, 0)

/** Cuts a list into messages of about `bytesMax`, never more than the protocol allows. */
export function* batches(blocks: readonly Block[], bytesMax: number): Generator<Block[]> {
  const most = Math.min(bytesMax, BLOCKS_LIMITS.batchBytes)
  let batch: Block[] = []
  let bytes = 0
  for (const block of blocks) {
    const full = batch.length >= BLOCKS_LIMITS.cidsMax || bytes + block.bytes.length > most
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
