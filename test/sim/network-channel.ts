import { aborted } from '../../src/core/clock.ts'
import { NodeDaemonError } from '../../src/core/errors.ts'
import type { PeerIdText } from '../../src/core/ids.ts'
import type { Channel } from '../../src/network/host.ts'
import type { Protocol } from '../../src/wire/protocol.ts'
import type { SimulatedLink } from './network-link.ts'

export const broken = (): NodeDaemonError => new NodeDaemonError('CLOSED', 'the connection broke')

/** One side of a stream. */
export class SimulatedChannel implements Channel {
  readonly peer: PeerIdText
  readonly closed: Promise<void>
  readonly protocol: Protocol
  readonly isInbound: boolean
  readonly #link: SimulatedLink
  readonly #stream: number
  readonly #inbox: Uint8Array[] = []
  #hasOtherEnded = false
  #hasEnded = false
  #error: Error | null = null
  #isOver = false
  #wake: () => void = () => undefined
  #tellClosed: () => void = () => undefined

  constructor(link: SimulatedLink, stream: number, protocol: Protocol, isInbound = false) {
    this.#link = link
    this.#stream = stream
    this.protocol = protocol
    this.isInbound = isInbound
    this.peer = link.peer
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve
    })
  }

  async send(...parts: readonly Uint8Array[]): Promise<void> {
    const bytes = Buffer.concat(parts)
    if (bytes.length > this.protocol.maxFrameBytes) {
      throw new NodeDaemonError(
        'TOO_LARGE',
        `a frame of ${bytes.length} bytes is over the limit of ${this.protocol.id}`
      )
    }
    if (this.#isOver || this.#hasEnded) throw broken()
    this.#link.sendFrame(this.#stream, this.protocol, bytes)
  }

  async receive(signal?: AbortSignal): Promise<Uint8Array | null> {
    for (;;) {
      if (signal?.aborted) throw aborted(signal)
      const next = this.#inbox.shift()
      if (next !== undefined) return next
      if (this.#error !== null) throw this.#error instanceof NodeDaemonError ? this.#error : broken()
      if (this.#hasOtherEnded || this.#isOver) return null
      await woken(signal, (wake) => {
        this.#wake = wake
      })
    }
  }

  async close(): Promise<void> {
    if (this.#hasEnded || this.#isOver) return
    this.#hasEnded = true
    this.#link.send({ kind: 'end', stream: this.#stream })
    this.#endedBoth()
  }

  abort(reason: Error): void {
    if (this.#isOver) return
    this.#link.send({ kind: 'reset', stream: this.#stream })
    this.over(reason)
  }

  take(bytes: Uint8Array): void {
    this.#inbox.push(bytes)
    this.#wake()
  }

  otherEnded(): void {
    this.#hasOtherEnded = true
    this.#wake()
    this.#endedBoth()
  }

  #endedBoth(): void {
    if (this.#hasEnded && this.#hasOtherEnded) this.over(null)
  }

  over(error: Error | null): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#error = error
    this.#link.forgetStream(this.#stream)
    this.#tellClosed()
    this.#wake()
  }
}

/** Resolves when it is woken, or by the signal. */
export async function woken(signal: AbortSignal | undefined, wait: (wake: () => void) => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const onAbort = (): void => resolve()
  signal?.addEventListener('abort', onAbort, { once: true })
  wait(resolve)
  try {
    await promise
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}
