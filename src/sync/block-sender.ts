import type { Block } from '../core/blocks.ts'
import { type Clock, sleep } from '../core/clock.ts'
import { hasCode, messageOf } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { BlockExchange } from './block-exchange.ts'
import type { Urgency } from './fair-queue.ts'
import type { RemoteRepository } from './repository-client.ts'
import { UnderWay } from './under-way.ts'

/** Blocks up to this many bytes in all travel with the head itself, without asking first what is missing. */
const INLINE_BYTES = 64 * 1024
/** Bytes that are asked for at a time, and how many are held until the repository has kept them. */
const WINDOW_BYTES = 2 * 1024 * 1024
const WINDOW_BLOCKS = 2048
const HELD = { count: 8, bytes: 12 * 1024 * 1024 }
/** A change that sends more than this is bulk from there on. */
const SMALL_BYTES = 4 * 1024 * 1024
const AGAIN_MS = 100

export interface BlockSenderDeps {
  /** The repository as soon as it is within reach. Rejects only by the signal. */
  readonly remote: (signal: AbortSignal) => Promise<RemoteRepository>
  readonly workspace: WorkspaceId
  readonly isWaitedFor: () => boolean
  readonly clock: Clock
  readonly log: Logger
  readonly signal: AbortSignal
}

/**
 * Takes the blocks of one snapshot as they are made, and sends what the repository does not hold: it is asked for a
 * window of them at a time, while those before it are on their way. Where the connection breaks it goes on with the next
 * one: what the repository has kept is not sent again.
 */
export class BlockSender {
  readonly #deps: BlockSenderDeps
  readonly #held = new UnderWay(HELD)
  /** What was asked for and is not kept yet: it need not be sent twice. */
  readonly #asked = new Set<string>()
  #exchange: Promise<BlockExchange> | null = null
  #window: Block[] = []
  #bytes = 0
  #sentBytes = 0
  /** Resolves once all windows so far are kept. */
  #sending: Promise<unknown> = Promise.resolve()
  #hasSent = false
  /** Told to whoever offers or finishes next. */
  #failure: { readonly error: unknown } | null = null

  constructor(deps: BlockSenderDeps) {
    this.#deps = deps
  }

  /** Resolves once there is room for another block. Also rejects where sending those before failed. */
  offer(block: Block): Promise<void> | undefined {
    this.#window.push(block)
    this.#bytes += block.bytes.length
    if (this.#bytes >= WINDOW_BYTES || this.#window.length >= WINDOW_BLOCKS) return this.#sendWindow()
    return undefined
  }

  /** The blocks that are to travel with the head; everything else is kept by the repository. */
  async finish(): Promise<readonly Block[]> {
    if (!this.#hasSent && this.#bytes <= INLINE_BYTES) return this.#window
    await this.#sendWindow()
    // The head goes another way, and must not overtake its blocks.
    await this.#sending
    return []
  }

  async close(): Promise<void> {
    await this.#sending.catch(() => undefined)
    const exchange = await this.#exchange?.catch(() => null)
    await exchange?.close()
  }

  async #sendWindow(): Promise<void> {
    const blocks = this.#window.filter(({ cid }) => !this.#asked.has(cid.toString()))
    const bytes = this.#bytes
    this.#hasSent = true
    this.#window = []
    this.#bytes = 0
    await this.#held.begin(bytes)
    if (this.#failure !== null) throw this.#failure.error
    const sending = this.#send(blocks).finally(() => this.#held.end(bytes))
    this.#sending = Promise.all([this.#sending, sending])
    this.#sending.catch((error: unknown) => {
      this.#failure ??= { error }
    })
  }

  async #send(blocks: readonly Block[]): Promise<void> {
    const names = blocks.map(({ cid }) => cid.toString())
    for (const name of names) this.#asked.add(name)
    while (!(await this.#sendOnce(blocks))) await sleep(this.#deps.clock, AGAIN_MS, this.#deps.signal)
    for (const name of names) this.#asked.delete(name)
  }

  /** False where the connection broke. */
  async #sendOnce(blocks: readonly Block[]): Promise<boolean> {
    const opening = this.#exchange ?? this.#open()
    this.#exchange = opening
    try {
      const exchange = await opening
      const missing = new Set((await exchange.missing(blocks.map(({ cid }) => cid))).map(String))
      const wanted = blocks.filter(({ cid }) => missing.delete(cid.toString()))
      for (const { bytes } of wanted) this.#sentBytes += bytes.length
      await exchange.put(wanted, this.#urgency)
      return true
    } catch (error) {
      const { signal, log, workspace } = this.#deps
      if (signal.aborted || !hasCode(error, 'CLOSED', 'OUT_OF_REACH', 'TIMED_OUT')) throw error
      log.debug({ workspace, error: messageOf(error) }, 'blocks go on with the next connection')
      if (this.#exchange === opening) this.#exchange = null
      return false
    }
  }

  async #open(): Promise<BlockExchange> {
    const { remote, workspace, signal } = this.#deps
    return (await remote(signal)).blocks(workspace, signal)
  }

  get #urgency(): Urgency {
    if (this.#sentBytes > SMALL_BYTES) return 'bulk'
    return this.#deps.isWaitedFor() ? 'acknowledged' : 'small'
  }
}
