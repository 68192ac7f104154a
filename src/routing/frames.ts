/** Finds the ends of WebSocket frames (RFC 6455 §5.2) in bytes that go by, so that a frame can be put between two. */
export class FrameMeter {
  /** Bytes of the current frame's header, until they tell its length. */
  #header: number[] = []
  /** Bytes still to come of the current frame's payload (and mask). */
  #rest = 0

  /** Is the end of a frame where the bytes end so far? */
  get atBoundary(): boolean {
    return this.#rest === 0 && this.#header.length === 0
  }

  /** Takes note of the next bytes. Returns where the first frame ends in them; -1 where none does. */
  push(bytes: Uint8Array): number {
    let first = -1
    let index = 0
    while (index < bytes.length) {
      if (this.#rest > 0) {
        const step = Math.min(this.#rest, bytes.length - index)
        this.#rest -= step
        index += step
      } else {
        this.#header.push(bytes[index] ?? 0)
        index += 1
        if (this.#header.length < headerLength(this.#header)) continue
        this.#rest = payloadLength(this.#header)
        this.#header = []
      }
      if (this.atBoundary && first === -1) first = index
    }
    return first
  }
}

/** Two bytes, the extended length, the mask. */
function headerLength(header: readonly number[]): number {
  const second = header[1]
  if (second === undefined) return 2
  const length = second & 0x7f
  const extended = length === 127 ? 8 : length === 126 ? 2 : 0
  return 2 + extended + ((second & 0x80) === 0 ? 0 : 4)
}

function payloadLength(header: readonly number[]): number {
  const length = (header[1] ?? 0) & 0x7f
  if (length < 126) return length
  return header.slice(2, length === 126 ? 4 : 10).reduce((sum, byte) => sum * 256 + byte, 0)
}

/** A close frame from a server: `code` is 1012 for a restart, on which clients connect again. */
export function closeFrame(code: number): Buffer {
  const frame = Buffer.from([0x88, 0x02, 0, 0])
  frame.writeUInt16BE(code, 2)
  return frame
}
