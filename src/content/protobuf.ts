const VARINT = 0
const BYTES = 2
const FIXED32 = 5

/**
 * Writes the fields of one protobuf message. (protons-runtime writes 64-bit values from 2^31 to 2^32 wrongly: the sizes
 * of files of 2 to 4 GiB, and times after January 2038.)
 */
export class ProtobufWriter {
  #buffer = Buffer.allocUnsafe(256)
  #length = 0

  /** A number that can be counted exactly, or any 64-bit value: negative ones in two's complement. */
  varint(field: number, value: number | bigint): this {
    this.#push((field << 3) | VARINT)
    if (typeof value === 'number') this.#number(value)
    else this.#bigint(BigInt.asUintN(64, value))
    return this
  }

  fixed32(field: number, value: number): this {
    this.#push((field << 3) | FIXED32)
    this.#reserve(4)
    this.#length = this.#buffer.writeUInt32LE(value, this.#length)
    return this
  }

  bytes(field: number, value: Uint8Array): this {
    this.#push((field << 3) | BYTES)
    this.#number(value.length)
    this.#reserve(value.length)
    this.#buffer.set(value, this.#length)
    this.#length += value.length
    return this
  }

  /** What has been written. The writer is done with it. */
  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  #number(value: number): void {
    let rest = value
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#push((rest % 0x80) | 0x80)
    this.#push(rest)
  }

  #bigint(value: bigint): void {
    let rest = value
    for (; rest >= 0x80n; rest >>= 7n) this.#push(Number(rest & 0x7fn) | 0x80)
    this.#push(Number(rest))
  }

  #push(byte: number): void {
    this.#reserve(1)
    this.#buffer[this.#length++] = byte
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bytes))
    larger.set(this.#buffer)
    this.#buffer = larger
  }
}
