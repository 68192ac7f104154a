import { messageOf, NodeDaemonError } from '../core/errors.ts'

/** How a protocol may be used on one connection. */
export interface Protocol {
  readonly id: string
  /** The largest frame that is sent or accepted, in bytes. A larger one ends the stream with `PROTOCOL_VIOLATION`. */
  readonly maxFrameBytes: number
  /** Streams that one peer may have open on one connection at once; a further one is reset. */
  readonly maxStreams: number
  /** May peers that are not members speak it? Everything else is refused to them. */
  readonly open: 'anyone' | 'members'
}

/** A message type both ways. `decode` throws `PROTOCOL_VIOLATION` for anything that is not one. */
export interface WireCodec<T> {
  encode(message: T): Uint8Array
  decode(frame: Uint8Array): T
}

/** A codec whose every failure to decode is a violation of the protocol by the other side. */
export function wireCodec<T>(encode: (message: T) => Uint8Array, decode: (frame: Uint8Array) => T): WireCodec<T> {
  return {
    encode,
    decode(frame) {
      try {
        return decode(frame)
      } catch (error) {
        throw new NodeDaemonError('PROTOCOL_VIOLATION', `a message cannot be read: ${messageOf(error)}`, {
          cause: error
        })
      }
    }
  }
}

/** A message in which nothing that is known is set. */
export const unknownKind = (): NodeDaemonError =>
  new NodeDaemonError('PROTOCOL_VIOLATION', 'a message of a kind that this version does not know')
