import type { Block } from '../core/blocks.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { BlockExchange } from './block-exchange.ts'
import type { Urgency } from './fair-queue.ts'
import type { RemoteRepository } from './repository-client.ts'
import { UnderWay } from './under-way.ts'

/** Blocks up to this many bytes in all travel with the head itself, without asking first what is missing. */
const INLINE_BYTES = 64 * 1024
/** Bytes that are asked for at a time, and how many may wait for their answer or for their turn to be sent. */
const WINDOW_BYTES = 2 * 1024 * 1024
const WINDOW_BLOCKS = 2048
const WAITING = { count: 8, bytes: 8 * 1024 * 1024 }
/** A change that sends more than this is bulk from there on. */
const SMALL_BYTES = 4 * 1024 * 1024

/**
 * Takes the blocks of one snapshot as they are made, and sends what the repository does not hold: it is asked for a
 * window of them at a time, while those before it are on their way.
 */
export class BlockSender {
  readonly #remote: RemoteRepository
  readonly #workspace: WorkspaceId
  readonly #isWaitedFor: () => boolean
  readonly #signal: AbortSignal
  readonly #waiting = new UnderWay(WAITING)
  /** What was asked for and is not on its way yet: it need not be sent twice. */
  readonly #asked = new Set<string>()
  #exchange: BlockExchange | null = null
  #window: Block[] = []
  #bytes = 0
  #sentBytes = 0
  /** All windows up to the last one. Its failure is told to whoever offers or finishes next. */
  #sending: Promise<void> = Promise.resolve()
  #failure: { readonly error: unknown } | null = null

  constructor(
    remote: RemoteRepository,
    workspace: WorkspaceId,
    options: { readonly isWaitedFor: () => boolean; readonly signal: AbortSignal }
  ) {
    this.#remote = remote
    this.#workspace = workspace
    this.#isWaitedFor = options.isWaitedFor
    this.#signal = options.signal
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
    if (this.#exchange === null && this.#bytes <= INLINE_BYTES) return this.#window
    await this.#sendWindow()
    await this.#sending
    // The head goes another way, and must not overtake its blocks.
    await this.#exchange?.kept()
    return []
  }

  async close(): Promise<void> {
    await this.#sending.catch(() => undefined)
    await this.#exchange?.close()
  }

  async #sendWindow(): Promise<void> {
    const blocks = this.#window.filter(({ cid }) => !this.#asked.has(cid.toString()))
    const bytes = this.#bytes
    this.#window = []
    this.#bytes = 0
    await this.#waiting.begin(bytes)
    if (this.#failure !== null) throw this.#failure.error
    this.#exchange ??= await this.#remote.blocks(this.#workspace, this.#signal)
    this.#sending = this.#send(this.#exchange, blocks, this.#sending).finally(() => this.#waiting.end(bytes))
    this.#sending.catch((error: unknown) => {
      this.#failure ??= { error }
    })
  }

  async #send(exchange: BlockExchange, blocks: readonly Block[], before: Promise<void>): Promise<void> {
    const names = blocks.map(({ cid }) => cid.toString())
    for (const name of names) this.#asked.add(name)
    const [cids] = await Promise.all([exchange.missing(blocks.map(({ cid }) => cid)), before])
    const missing = new Set(cids.map(String))
    for (const block of blocks) if (missing.has(block.cid.toString())) this.#sentBytes += block.bytes.length
    await exchange.put(
      blocks.filter(({ cid }) => missing.delete(cid.toString())),
      this.#urgency
    )
    for (const name of names) this.#asked.delete(name)
  }

  get #urgency(): Urgency {
    if (this.#sentBytes > SMALL_BYTES) return 'bulk'
    return this.#isWaitedFor() ? 'acknowledged' : 'small'
  }
}
