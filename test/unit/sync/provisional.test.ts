import { describe, expect, onTestFinished, test } from 'vitest'
import { buildFile } from '../../../src/content/file.ts'
import { type Block, RAW_CODEC } from '../../../src/core/blocks.ts'
import { silent } from '../../../src/core/log.ts'
import { type Cutting, inlineCutting, ThreadedCutting } from '../../../src/sync/cutting.ts'
import { Provisional, type UploadTap } from '../../../src/sync/provisional.ts'
import { METADATA, seeded } from '../store/support.ts'
import { memoryRepository, until, WORKSPACE } from './support.ts'

async function* slices(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1_000_000) yield bytes.subarray(at, at + 1_000_000)
}

/** The chunks of a file as an instance makes them. */
async function chunksOf(content: Uint8Array): Promise<Block[]> {
  const chunks: Block[] = []
  await buildFile(slices(content), METADATA, (block) => {
    if (block.cid.code === RAW_CODEC) chunks.push(block)
  })
  return chunks
}

function pass(tap: UploadTap, content: Uint8Array, sliceBytes: number): void {
  for (let at = 0; at < content.length; at += sliceBytes) tap.write(content.subarray(at, at + sliceBytes))
}

describe.each<[string, () => Cutting]>([
  ['inline', inlineCutting],
  ['in a thread', () => new ThreadedCutting()]
])('uploads that are cut %s', (_, make) => {
  function cutting(): Cutting {
    const made = make()
    onTestFinished(() => made.close())
    return made
  }

  test.each([65_536, 100_000, 1024 * 1024, 5_000_000])(
    'a home of a file of %i bytes need not send any chunk of it',
    async (bytes) => {
      const repository = await memoryRepository()
      const provisional = new Provisional({
        cutting: cutting(),
        keep: (workspace, blocks) => repository.keep(workspace, blocks),
        hasRoom: async () => true,
        log: silent
      })
      const content = Buffer.from(seeded(bytes).bytes(bytes))
      const chunks = await chunksOf(content)
      const cids = chunks.map(({ cid }) => cid)
      expect(await repository.missing(WORKSPACE, cids)).toHaveLength(chunks.length)
      const tap = provisional.tap(WORKSPACE)
      pass(tap, content, 65_500)
      tap.end(true)
      await until(async () => (await repository.missing(WORKSPACE, cids)).length === 0)
    }
  )

  test('several at once are kept apart, and of one that is cut off the whole chunks stay', async () => {
    const kept: string[] = []
    const provisional = new Provisional({
      cutting: cutting(),
      keep: async (_workspace, blocks) => void kept.push(...blocks.map(({ cid }) => cid.toString())),
      hasRoom: async () => true,
      log: silent
    })
    const [one, other] = [Buffer.from(seeded(1).bytes(3_000_000)), Buffer.from(seeded(2).bytes(3_000_000))]
    const [first, second] = [provisional.tap(WORKSPACE), provisional.tap(WORKSPACE)]
    for (let at = 0; at < one.length; at += 500_000) {
      first.write(one.subarray(at, at + 500_000))
      second.write(other.subarray(at, at + 500_000))
    }
    first.end(true)
    second.end(false)
    const whole = (await chunksOf(one)).map(({ cid }) => cid.toString())
    const cut = (await chunksOf(other)).map(({ cid }) => cid.toString())
    await until(() => whole.every((cid) => kept.includes(cid)))
    await until(() => kept.filter((cid) => cut.includes(cid)).length > 2)
    expect(kept).not.toContain(cut.at(-1))
    expect(kept.every((cid) => whole.includes(cid) || cut.includes(cid))).toBe(true)
  })
})

test('what is small travels with its head and is not kept, and a failure to keep ends the listening', async () => {
  const kept: number[] = []
  const provisional = new Provisional({
    cutting: inlineCutting(),
    keep: async (_workspace, blocks) => {
      kept.push(blocks.length)
      throw new Error('full')
    },
    hasRoom: async () => true,
    log: silent
  })
  const small = provisional.tap(WORKSPACE)
  small.write(Buffer.alloc(65_535, 1))
  small.end(true)
  const large = provisional.tap(WORKSPACE)
  large.write(Buffer.from(seeded(3).bytes(2_000_000)))
  await until(() => kept.length === 1)
  large.write(Buffer.from(seeded(4).bytes(2_000_000)))
  large.end(true)
  expect(kept).toHaveLength(1)
})

test('an upload that comes faster than it is kept is let pass', async () => {
  const opened = Promise.withResolvers<void>()
  let bytes = 0
  const provisional = new Provisional({
    cutting: inlineCutting(),
    keep: async (_workspace, blocks) => {
      for (const block of blocks) bytes += block.bytes.length
      await opened.promise
    },
    hasRoom: async () => true,
    log: silent
  })
  const tap = provisional.tap(WORKSPACE)
  const part = Buffer.from(seeded(5).bytes(1024 * 1024))
  for (let count = 0; count < 40; count++) tap.write(part)
  tap.end(true)
  opened.resolve()
  await until(() => bytes > 10 * 1024 * 1024)
  expect(bytes).toBeLessThanOrEqual(16 * 1024 * 1024)
})

test('what many uploads take while they stand still is bounded, and is given back', async () => {
  let kept = 0
  const provisional = new Provisional({
    cutting: inlineCutting(),
    keep: async (_workspace, blocks) => {
      for (const block of blocks) kept += block.bytes.length
    },
    hasRoom: async () => true,
    log: silent
  })
  const part = Buffer.from(seeded(6).bytes(65_537))
  const before = process.memoryUsage().arrayBuffers
  const taps = Array.from({ length: 300 }, () => provisional.tap(WORKSPACE))
  for (const tap of taps) tap.write(part)
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100 * 1024 * 1024)
  for (const tap of taps) tap.end(false)
  const tap = provisional.tap(WORKSPACE)
  for (let count = 0; count < 10; count++) tap.write(part)
  tap.end(true)
  await until(() => kept === 10 * part.length)
})

test('while there is little room nothing more of an upload is kept, and what was kept is counted', async () => {
  const repository = await memoryRepository()
  let room = true
  const asked: boolean[] = []
  const provisional = new Provisional({
    cutting: inlineCutting(),
    keep: (workspace, blocks) => repository.keep(workspace, blocks),
    hasRoom: async () => {
      asked.push(room)
      return room
    },
    log: silent
  })
  const tap = provisional.tap(WORKSPACE)
  // Enough to be kept in one go, and no more.
  tap.write(Buffer.from(seeded(6).bytes(1024 * 1024)))
  await until(() => provisional.keptBytes > 0)
  const { storedBytes } = await repository.stats()
  expect(provisional.keptBytes).toBe(storedBytes)
  room = false
  tap.write(Buffer.from(seeded(7).bytes(3_000_000)))
  tap.end(true)
  await until(() => asked.includes(false))
  const late = provisional.tap(WORKSPACE)
  late.write(Buffer.from(seeded(8).bytes(3_000_000)))
  late.end(true)
  await until(() => asked.filter((each) => !each).length > 1)
  expect((await repository.stats()).storedBytes).toBe(storedBytes)
})
