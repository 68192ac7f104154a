import type { Stream } from '@libp2p/interface'
import { decode, encode } from 'it-length-prefixed'
import { pipe } from 'it-pipe'
import { Uint8ArrayList } from 'uint8arraylist'
import { aborted } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Protocol } from '../wire/protocol.ts'
import { read, write } from './byte-stream.ts'
import type { Channel } from './host.ts'

/** Frames with a varint length before each, on a libp2p stream. */
export function channelOver(stream: Stream, peer: PeerIdText, protocol: Protocol): Channel {
  const frames = pipe(read(stream), (source) => decode(source, { maxDataLength: protocol.maxFrameBytes }))
  const closed = new Promise<void>((resolve) => {
    stream.addEventListener('close', () => resolve(), { once: true })
    if (stream.status !== 'open' && stream.status !== 'closing') resolve()
  })
  return {
    peer,
    closed,
    async send(...parts) {
      const length = parts.reduce((sum, part) => sum + part.byteLength, 0)
      if (length > protocol.maxFrameBytes) {
        throw new NodeDaemonError('TOO_LARGE', `a frame of ${length} bytes is over the limit of ${protocol.id}`)
      }
      await write(stream, encode.single(new Uint8ArrayList(...parts)))
    },
    async receive(signal) {
      try {
        const next = await abortable(frames.next(), signal)
        return next.done === true ? null : next.value.subarray()
      } catch (error) {
        throw translated(error)
      }
    },
    close: () => stream.close().catch(() => stream.abort(new Error('closing took too long'))),
    abort: (reason) => stream.abort(reason)
  }
}

function translated(error: unknown): NodeDaemonError {
  if (error instanceof NodeDaemonError) return error
  return new NodeDaemonError('PROTOCOL_VIOLATION', 'a frame was too large or cut', { cause: error })
}

async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  if (signal.aborted) throw aborted(signal)
  const { promise: interrupted, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(aborted(signal))
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([promise, interrupted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
