import { aborted, type Clock, withTimeout } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Channel } from '../network/host.ts'
import { UnderWay } from './under-way.ts'
import type { Uplink } from './uplink.ts'

export const GIVING_LIMITS = {
  /** Streams of one member, and of all together. */
  streamsOfPeerMax: 16,
  streamsMax: 64,
  /** Pieces of one member, and of all together, that were sent and not taken yet. */
  piecesOfPeerMax: 2,
  piecesMax: 8,
  /** Who has not taken a piece after so long has its stream ended. A member that hears nothing gives up as late. */
  sendMs: 60_000
} as const

interface Receiver {
  readonly pieces: UnderWay
  streams: number
}

const piecesOf = (count: number): UnderWay => new UnderWay({ count, bytes: Number.POSITIVE_INFINITY })

/**
 * What an instance gives to those that fetch. They can have it elsewhere: it waits for its turn behind what the
 * instance sends itself, spends of the same limit, and takes none of the room that is for the main repository, however
 * slowly it is taken.
 */
export class Giving {
  readonly #clock: Clock
  readonly #upload: Uplink
  readonly #receivers = new Map<PeerIdText, Receiver>()
  readonly #pieces = piecesOf(GIVING_LIMITS.piecesMax)
  #streams = 0

  constructor(clock: Clock, upload: Uplink) {
    this.#clock = clock
    this.#upload = upload
  }

  /** How much should be given at a time, in bytes. */
  get pieceBytes(): number {
    return this.#upload.pieceBytes
  }

  /** Counts a stream for as long as the work lasts. @throws NodeDaemonError `BUSY` there are too many */
  async during<T>(peer: PeerIdText, work: () => Promise<T>): Promise<T> {
    const receiver = this.#receivers.get(peer) ?? { pieces: piecesOf(GIVING_LIMITS.piecesOfPeerMax), streams: 0 }
    if (this.#streams >= GIVING_LIMITS.streamsMax || receiver.streams >= GIVING_LIMITS.streamsOfPeerMax) {
      throw new NodeDaemonError('BUSY', 'too many streams fetch blocks here')
    }
    this.#receivers.set(peer, receiver)
    this.#streams++
    receiver.streams++
    try {
      return await work()
    } finally {
      this.#streams--
      receiver.streams--
      if (receiver.streams === 0) this.#receivers.delete(peer)
    }
  }

  /**
   * Sends one frame of so many bytes of blocks, once it is its turn. Only within `during`. `gone`: nobody waits for it
   * any more.
   *
   * @throws NodeDaemonError `TIMED_OUT` it was not taken, and the stream was ended; `CLOSED`
   */
  async send(
    channel: Channel,
    workspace: WorkspaceId,
    bytes: number,
    parts: readonly Uint8Array[],
    gone: AbortSignal
  ): Promise<void> {
    const own = this.#receivers.get(channel.peer)?.pieces
    await own?.begin(0)
    await this.#pieces.begin(0)
    try {
      if (gone.aborted) throw aborted(gone)
      await this.#upload.take(bytes, workspace, 'bulk', gone)
      this.#upload.lost(bytes)
      await withTimeout(this.#clock, GIVING_LIMITS.sendMs, 'taking blocks', () => channel.send(...parts))
    } catch (error) {
      channel.abort(error instanceof Error ? error : new Error(String(error)))
      throw error
    } finally {
      this.#pieces.end(0)
      own?.end(0)
    }
  }
}
