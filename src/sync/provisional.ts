import type { Block } from '../core/blocks.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Cutting, UploadCutter } from './cutting.ts'

/** A smaller upload travels with its head, and is not worth it. */
export const UPLOAD_BYTES_MIN = 64 * 1024
const PIECE_BYTES = 1024 * 1024
/** Bytes that are gathered, cut or wait to be kept, of one upload and of all. Beyond that an upload is let pass without being kept. */
const PENDING_BYTES = 16 * 1024 * 1024
const PENDING_BYTES_OF_ALL = 64 * 1024 * 1024

/** Listens to one upload as it passes. It is never slowed down. */
export interface UploadTap {
  /** The bytes are copied. */
  write(bytes: Uint8Array): void
  /** `whole`: nothing is missing, so that the last chunk ends here. */
  end(whole: boolean): void
}

export interface ProvisionalDeps {
  readonly cutting: Cutting
  /** Keeps blocks for a workspace: its home need not send them. */
  readonly keep: (workspace: WorkspaceId, blocks: readonly Block[]) => Promise<void>
  /** Is there much more room than what homes publish is refused for? Asked before each time that blocks are kept. */
  readonly hasRoom: () => Promise<boolean>
  readonly log: Logger
}

/**
 * Keeps the blocks of uploads while they pass to an instance, so that the instance sends their names and not their bytes
 * back. Those that no head names go with a collection of the repository, an hour later at the earliest.
 */
export class Provisional {
  readonly #deps: ProvisionalDeps
  #pending = 0
  #keptBytes = 0

  constructor(deps: ProvisionalDeps) {
    this.#deps = deps
  }

  /** How much was kept since the start. */
  get keptBytes(): number {
    return this.#keptBytes
  }

  tap(workspace: WorkspaceId): UploadTap {
    const { cutting, log } = this.#deps
    return new Tap({
      open: () => cutting.open(),
      keep: (blocks) => this.#keep(workspace, blocks),
      reserve: (bytes) => {
        if (this.#pending + bytes > PENDING_BYTES_OF_ALL) return false
        this.#pending += bytes
        return true
      },
      giveBack: (bytes) => {
        this.#pending -= bytes
      },
      gaveUp: (reason) => log.debug({ workspace, reason }, 'the rest of an upload is not kept on its way')
    })
  }

  async #keep(workspace: WorkspaceId, blocks: readonly Block[]): Promise<void> {
    const { keep, hasRoom } = this.#deps
    if (!(await hasRoom())) throw new NodeDaemonError('NO_SPACE', 'the main repository has little room')
    await keep(workspace, blocks)
    this.#keptBytes += blocks.reduce((sum, { bytes }) => sum + bytes.length, 0)
  }
}

interface TapDeps {
  readonly open: () => UploadCutter
  readonly keep: (blocks: readonly Block[]) => Promise<void>
  readonly reserve: (bytes: number) => boolean
  readonly giveBack: (bytes: number) => void
  readonly gaveUp: (reason: string) => void
}

class Tap implements UploadTap {
  readonly #deps: TapDeps
  #cutter: UploadCutter | null = null
  #piece: Uint8Array<ArrayBuffer> = new Uint8Array(0)
  #filled = 0
  /** What is reserved: the piece that is being filled, and those that are cut or wait to be kept. */
  #reserved = 0
  #keeping: Promise<void> = Promise.resolve()
  #over = false

  constructor(deps: TapDeps) {
    this.#deps = deps
  }

  write(bytes: Uint8Array): void {
    for (let rest = bytes; rest.length > 0; ) {
      this.#makeRoom()
      if (this.#over) return
      const taken = Math.min(rest.length, this.#piece.length - this.#filled)
      this.#piece.set(rest.subarray(0, taken), this.#filled)
      this.#filled += taken
      rest = rest.subarray(taken)
      if (this.#filled === PIECE_BYTES) this.#pass(this.#piece)
    }
  }

  end(whole: boolean): void {
    const isSmall = this.#cutter === null && this.#filled < UPLOAD_BYTES_MIN
    if (whole && !isSmall && !this.#over) {
      if (this.#filled > 0) this.#pass(this.#piece.slice(0, this.#filled))
      if (!this.#over) this.#cut(null, 0)
    } else this.#cutter?.forget()
    this.#over = true
    this.#dropPiece()
  }

  /** Small uploads take little memory, large ones a whole piece at a time. */
  #makeRoom(): void {
    if (this.#over || this.#filled < this.#piece.length) return
    const larger = this.#piece.length === 0 && this.#cutter === null ? UPLOAD_BYTES_MIN : PIECE_BYTES
    const more = larger - this.#piece.length
    if (this.#reserved + more > PENDING_BYTES) return this.#giveUp('it comes faster than it is kept')
    if (!this.#deps.reserve(more)) return this.#giveUp('many uploads come faster than they are kept')
    this.#reserved += more
    const piece = new Uint8Array(larger)
    piece.set(this.#piece)
    this.#piece = piece
  }

  #pass(piece: Uint8Array): void {
    const { length } = this.#piece
    this.#piece = new Uint8Array(0)
    this.#filled = 0
    this.#cut(piece, length)
  }

  #cut(piece: Uint8Array | null, reserved: number): void {
    this.#cutter ??= this.#deps.open()
    const cutting = this.#cutter.next(piece)
    this.#keeping = this.#keep(cutting, this.#keeping)
      .catch((error: unknown) => this.#giveUp(messageOf(error)))
      .finally(() => this.#giveBack(reserved))
  }

  #dropPiece(): void {
    const { length } = this.#piece
    this.#piece = new Uint8Array(0)
    this.#filled = 0
    this.#giveBack(length)
  }

  #giveBack(bytes: number): void {
    this.#reserved -= bytes
    this.#deps.giveBack(bytes)
  }

  async #keep(cutting: Promise<Block[]>, before: Promise<void>): Promise<void> {
    const [blocks] = await Promise.all([cutting, before])
    if (blocks.length > 0) await this.#deps.keep(blocks)
  }

  #giveUp(reason: string): void {
    if (this.#over) return
    this.#over = true
    this.#cutter?.forget()
    this.#dropPiece()
    this.#deps.gaveUp(reason)
  }
}
