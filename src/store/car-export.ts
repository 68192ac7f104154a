import { varint as varints } from 'multiformats'
import type { CID } from 'multiformats/cid'
import type { Block } from '../core/blocks.ts'
import { sectionHead } from './car.ts'

/** A CAR of version 1 with these roots, as other IPFS tools read it. */
export async function* carOf(roots: readonly CID[], blocks: AsyncIterable<Block>): AsyncGenerator<Uint8Array> {
  yield header(roots)
  for await (const block of blocks) {
    yield sectionHead(block)
    yield block.bytes
  }
}

/** `{ roots, version: 1 }` in DAG-CBOR, with its length before it. */
function header(roots: readonly CID[]): Uint8Array {
  const text = (value: string): Buffer => Buffer.concat([Buffer.of(0x60 + value.length), Buffer.from(value)])
  const links = roots.map(({ bytes }) =>
    Buffer.concat([Buffer.of(0xd8, 0x2a), head(2, bytes.length + 1), Buffer.of(0), bytes])
  )
  const body = Buffer.concat([
    Buffer.of(0xa2),
    text('roots'),
    head(4, roots.length),
    ...links,
    text('version'),
    Buffer.of(1)
  ])
  return Buffer.concat([varints.encodeTo(body.length, new Uint8Array(varints.encodingLength(body.length))), body])
}

/** The head of a CBOR item: its major type and its length. */
function head(major: number, length: number): Buffer {
  if (length < 24) return Buffer.of((major << 5) | length)
  if (length < 0x100) return Buffer.of((major << 5) | 24, length)
  const long = Buffer.alloc(5)
  long[0] = (major << 5) | 26
  long.writeUInt32BE(length, 1)
  if (length >= 0x10000) return long
  return Buffer.of((major << 5) | 25, length >> 8, length & 0xff)
}
