import type { Block } from '../core/blocks.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { BlockExchange, RemoteRepository } from './repository-client.ts'

/** Blocks up to this many bytes in all travel with the head itself, without asking first what is missing. */
const INLINE_BYTES = 64 * 1024
/** Bytes that are asked for and sent at a time. */
const WINDOW_BYTES = 4 * 1024 * 1024
const WINDOW_BLOCKS = 2048

/**
 * Takes the blocks of one snapshot as they are made, and sends what the repository does not hold: a window at a time,
 * while the next one fills.
 */
export class BlockSender {
  readonly #remote: RemoteRepository
  readonly #workspace: WorkspaceId
  readonly #signal: AbortSignal
  #exchange: BlockExchange | null = null
  #window: Block[] = []
  #bytes = 0
  /** The window under way. Its failure is told to whoever waits for it next. */
  #sending: Promise<void> = Promise.resolve()

  constructor(remote: RemoteRepository, workspace: WorkspaceId, signal: AbortSignal) {
    this.#remote = remote
    this.#workspace = workspace
    this.#signal = signal
  }

  /** Resolves once there is room for another block. Also rejects where sending those before failed. */
  offer(block: Block): Promise<void> | undefined {
    this.#window.push(block)
    this.#bytes += block.bytes.length
    if (this.#bytes >= WINDOW_BYTES || this.#window.length >= WINDOW_BLOCKS) return this.#sendWindow()
    return undefined
  }

  /** The blocks that are to travel with the head; everything else was sent. */
  async finish(): Promise<readonly Block[]> {
    await this.#sending
    if (this.#exchange !== null || this.#bytes > INLINE_BYTES) {
      await this.#sendWindow()
      await this.#sending
      // The head goes another way, and must not overtake its blocks.
      await this.#exchange?.flush()
      return []
    }
    return this.#window
  }

  async close(): Promise<void> {
    await this.#sending.catch(() => undefined)
    await this.#exchange?.close()
  }

  /** Begins to send the window, after the one before it. */
  async #sendWindow(): Promise<void> {
    const blocks = this.#window
    this.#window = []
    this.#bytes = 0
    await this.#sending
    this.#sending = this.#send(blocks)
    this.#sending.catch(() => undefined)
  }

  async #send(blocks: readonly Block[]): Promise<void> {
    this.#exchange ??= await this.#remote.blocks(this.#workspace, this.#signal)
    const missing = new Set((await this.#exchange.missing(blocks.map(({ cid }) => cid))).map(String))
    await this.#exchange.put(blocks.filter(({ cid }) => missing.delete(cid.toString())))
  }
}
