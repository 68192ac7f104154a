import { CarReader } from '@ipld/car'
import { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import { type Block, blockOf, RAW_CODEC } from '../../../src/core/blocks.ts'
import { carOf } from '../../../src/store/car-export.ts'
import { seeded } from './support.ts'

async function* each(blocks: readonly Block[]): AsyncGenerator<Block> {
  yield* blocks
}

async function written(roots: readonly CID[], blocks: readonly Block[]): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of carOf(roots, each(blocks))) pieces.push(piece)
  return Buffer.concat(pieces)
}

test.each([1, 24, 300])('a CAR with %d roots is read by other tools, block for block', async (count) => {
  const blocks = Array.from({ length: count }, (_, index) => blockOf(RAW_CODEC, seeded(index).bytes(3000)))
  const roots = blocks.map(({ cid }) => cid)
  const reader = await CarReader.fromBytes(await written(roots, blocks))
  expect((await reader.getRoots()).map(String)).toEqual(roots.map(String))
  const read: string[] = []
  for await (const { cid, bytes } of reader.blocks()) {
    expect(Buffer.from(bytes).equals(blocks[read.length]?.bytes ?? Buffer.alloc(0))).toBe(true)
    read.push(String(cid))
  }
  expect(read).toEqual(roots.map(String))
})

test('a CAR without blocks is whole, and one without roots is refused', async () => {
  const root = CID.parse('bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku')
  expect((await (await CarReader.fromBytes(await written([root], []))).getRoots()).length).toBe(1)
  await expect(written([], [])).rejects.toMatchObject({ code: 'BAD_REQUEST' })
})
