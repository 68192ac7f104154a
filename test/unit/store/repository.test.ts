import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CarReader } from '@ipld/car'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Block, blockOf, DAG_PB_CODEC, RAW_CODEC } from '../../../src/core/blocks.ts'
import { codeOf, NodeDaemonError } from '../../../src/core/errors.ts'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import type { SignedHead } from '../../../src/core/records.ts'
import type { Disk } from '../../../src/store/disk.ts'
import { openRepository } from '../../../src/store/main-repository.ts'
import { memoryDisk } from '../../../src/store/memory-disk.ts'
import { memoryIndex } from '../../../src/store/memory-index.ts'
import { nodeDisk } from '../../../src/store/node-disk.ts'
import { type IndexPlace, levelIndex, type RepositoryDeps } from '../../../src/store/open-repository.ts'
import { packPath } from '../../../src/store/pack-files.ts'
import type { MainRepository } from '../../../src/store/repository.ts'
import {
  accept,
  depsOf,
  headAfter,
  readClosure,
  sealOf,
  seeded,
  snapshot,
  temporaryFolder,
  workspace
} from './support.ts'

const A = workspace('a')
const B = workspace('b')

interface Place {
  readonly disk: Disk
  readonly index: IndexPlace
  flip(path: string, offset: number): Promise<void>
}

const places: readonly [string, () => Promise<Place>][] = [
  [
    'memory',
    async () => {
      const disk = memoryDisk()
      return { disk, index: memoryIndex(), flip: async (path, offset) => disk.flip(path, offset) }
    }
  ],
  [
    'a real folder',
    async () => {
      const folder = await temporaryFolder()
      const disk = nodeDisk(folder)
      onTestFinished(() => disk.close())
      return { disk, index: levelIndex(join(folder, 'repository/index')), flip: (path, at) => flipIn(disk, path, at) }
    }
  ]
]

async function flipIn(disk: Disk, path: string, at: number): Promise<void> {
  const size = (await disk.size(path)) ?? 0
  const bytes = Buffer.from(await disk.read(path, 0, size))
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0x40, at)
  await disk.remove(path)
  await disk.append(path, [bytes])
}

async function opened(place: Place, more: Partial<RepositoryDeps> = {}): Promise<MainRepository> {
  const repository = await openRepository(depsOf(place.disk, place.index, more))
  onTestFinished(() => repository.close())
  return repository
}

async function publishNext(
  repository: MainRepository,
  previous: SignedHead | null,
  files: Readonly<Record<string, Uint8Array | string>>,
  id: WorkspaceId = A
): Promise<SignedHead> {
  const { root, blocks } = await snapshot(files)
  const head = await headAfter(previous, root, { workspace: id })
  await repository.publish(head, blocks, accept)
  return head
}

async function failure(work: Promise<unknown>): Promise<unknown> {
  return await work.then(
    () => null,
    (error: unknown) => error
  )
}
const codeFrom = async (work: Promise<unknown>): Promise<string> => codeOf(await failure(work))

describe.each(places)('the main repository on %s', (_, makePlace) => {
  test('a published head is there after a restart, with everything below it', async () => {
    const place = await makePlace()
    const first = await opened(place)
    const files = { 'a.txt': 'one', 'b.bin': seeded(1).bytes(700_000) }
    const { root, blocks } = await snapshot(files)
    const head = await headAfter(null, root, { workspace: A })
    const counts = await first.publish(head, blocks, accept)
    expect(counts).toEqual({ blocks: blocks.length, bytes: blocks.reduce((sum, { bytes }) => sum + bytes.length, 0) })
    await first.close()

    const second = await opened(place)
    const found = await second.tip(A)
    expect(found?.tip.cid.equals(head.cid)).toBe(true)
    expect(Buffer.from(found?.head.bytes ?? []).equals(head.bytes)).toBe(true)
    expect(await readClosure(second, A, root)).toBe(blocks.length)
  })

  test('blocks that were sent before an interruption need not be sent again', async () => {
    const place = await makePlace()
    const first = await opened(place)
    const { root, blocks } = await snapshot({ a: seeded(2).bytes(600_000), b: 'b' })
    await first.keep(A, blocks.slice(0, 2))
    await first.close()

    const second = await opened(place)
    const missing = await second.missing(
      A,
      blocks.map(({ cid }) => cid)
    )
    expect(missing.map(String)).toEqual(blocks.slice(2).map(({ cid }) => cid.toString()))
    await second.publish(await headAfter(null, root, { workspace: A }), blocks.slice(2), accept)
  })

  test('a head whose blocks are not all there is refused by name, and taken once they are', async () => {
    const repository = await opened(await makePlace())
    const { root, blocks } = await snapshot({ a: 'a', b: 'b', c: seeded(3).bytes(900_000) })
    const leaf = blocks.findIndex(({ cid }) => cid.code === RAW_CODEC)
    const head = await headAfter(null, root, { workspace: A })
    const error = await failure(repository.publish(head, blocks.toSpliced(leaf, 1), accept))
    expect(error).toMatchObject({ code: 'INCOMPLETE', data: { missing: [String(blocks[leaf]?.cid)] } })
    expect(await repository.tip(A)).toBeNull()
    expect(await repository.head(head.cid)).toBeNull()
    await repository.publish(head, blocks.slice(leaf, leaf + 1), accept)
    expect((await repository.tip(A))?.tip.sequence).toBe(1)
  })

  test('a block of another workspace counts as missing, is not read, and is stored once', async () => {
    const repository = await opened(await makePlace())
    const { root, blocks } = await snapshot({ secret: seeded(4).bytes(300_000) })
    const cids = blocks.map(({ cid }) => cid)
    await repository.publish(await headAfter(null, root, { workspace: A }), blocks, accept)
    expect(await repository.missing(B, cids)).toEqual(cids)
    expect(await repository.read(B, root)).toBeNull()
    const theft = await headAfter(null, root, { workspace: B })
    expect(await codeFrom(repository.publish(theft, [], accept))).toBe('INCOMPLETE')

    const before = await repository.stats()
    await repository.publish(theft, blocks, accept)
    const after = await repository.stats()
    expect(after.storedBytes - before.storedBytes).toBe(theft.bytes.length)
    expect(after.logicalBytes).toBe(2 * before.logicalBytes)
    expect(await readClosure(repository, B, root)).toBe(blocks.length)
  })

  test('bytes that do not match their name are refused with all that came with them', async () => {
    const repository = await opened(await makePlace())
    const good = blockOf(RAW_CODEC, Buffer.from('good'))
    const bad = { cid: blockOf(RAW_CODEC, Buffer.from('x')).cid, bytes: Buffer.from('y') }
    expect(await codeFrom(repository.keep(A, [good, bad]))).toBe('INTEGRITY')
    expect(await repository.missing(A, [good.cid])).toEqual([good.cid])
  })

  test('a signed record cannot be smuggled in as a block', async () => {
    const place = await makePlace()
    const repository = await opened(place)
    const { root, blocks } = await snapshot({ a: 'a' })
    const head = await headAfter(null, root, { workspace: A })
    expect(await codeFrom(repository.keep(A, [...blocks, { cid: head.cid, bytes: head.bytes }]))).toBe('BAD_REQUEST')
    await repository.reindex()
    expect(await repository.tip(A)).toBeNull()
  })

  test('a node that is no tree is refused', async () => {
    const repository = await opened(await makePlace())
    const node = blockOf(DAG_PB_CODEC, Buffer.from('not a node'))
    const head = await headAfter(null, node.cid, { workspace: A })
    expect(await codeFrom(repository.publish(head, [node], accept))).toBe('INTEGRITY')
  })

  test('the same head again returns the same, and nobody is asked', async () => {
    const repository = await opened(await makePlace())
    const { root, blocks } = await snapshot({ a: 'a' })
    const head = await headAfter(null, root, { workspace: A })
    const counts = await repository.publish(head, blocks, accept)
    const refuse = (): void => {
      throw new NodeDaemonError('NOT_HOME', 'no')
    }
    expect(await repository.publish(head, [], refuse)).toEqual(counts)
    expect((await repository.stats()).heads).toBe(1)
  })

  test('the judge sees the tip and the sealed epoch, and what it refuses changes nothing', async () => {
    const repository = await opened(await makePlace())
    const first = await publishNext(repository, null, { a: '1' })
    await repository.seal(A, 1, sealOf(A, 1))
    const { root, blocks } = await snapshot({ a: '2' })
    const second = await headAfter(first, root, { workspace: A, epoch: 2 })
    const seen: unknown[] = []
    const refusal = repository.publish(second, blocks, (state) => {
      seen.push([state.tip?.cid.toString(), state.sealedEpoch])
      throw new NodeDaemonError('NOT_HOME', 'no')
    })
    expect(await codeFrom(refusal)).toBe('NOT_HOME')
    expect(seen).toEqual([[first.cid.toString(), 1]])
    expect((await repository.tip(A))?.tip.cid.equals(first.cid)).toBe(true)
    expect(await repository.missing(A, [root])).toEqual([root])
  })

  test('a head that does not follow the tip is refused whatever the judge says', async () => {
    const repository = await opened(await makePlace())
    const first = await publishNext(repository, null, { a: '1' })
    await publishNext(repository, first, { a: '2' })
    const { root, blocks } = await snapshot({ a: '3' })
    const fork = await headAfter(first, root, { workspace: A, createdAtMs: 2 })
    expect(await codeFrom(repository.publish(fork, blocks, accept))).toBe('CONFLICT')
  })

  test('a seal survives a restart, keeps its base, and lets no head of its epoch in', async () => {
    const place = await makePlace()
    const first = await opened(place)
    const base = await publishNext(first, null, { a: '1' })
    expect((await first.seal(A, 1, sealOf(A, 1))).base?.cid.equals(base.cid)).toBe(true)
    await first.close()

    const second = await opened(place)
    const { root, blocks } = await snapshot({ a: 'late' })
    const late = await headAfter(base, root, { workspace: A })
    expect(await codeFrom(second.publish(late, blocks, accept))).toBe('SEALED')
    const next = await headAfter(base, root, { workspace: A, epoch: 2 })
    await second.publish(next, blocks, accept)
    expect((await second.seal(A, 1, sealOf(A, 1))).base?.cid.equals(base.cid)).toBe(true)
    expect((await second.seal(A, 2, sealOf(A, 2))).base?.cid.equals(next.cid)).toBe(true)
  })

  test('a seal that names something else is refused', async () => {
    const repository = await opened(await makePlace())
    await publishNext(repository, null, { a: '1' })
    expect(await codeFrom(repository.seal(A, 1, () => sealOf(A, 1)(null)))).toBe('BAD_REQUEST')
    expect(await codeFrom(repository.seal(A, 1, sealOf(B, 1)))).toBe('BAD_REQUEST')
    await publishNext(repository, (await repository.tip(A))?.head ?? null, { a: '2' })
  })

  test('of a seal and publishes at once, nothing of the epoch comes after the base', async () => {
    const repository = await opened(await makePlace())
    const heads: SignedHead[] = []
    const blocks: Block[] = []
    for (let sequence = 0; sequence < 8; sequence++) {
      const made = await snapshot({ a: `version ${sequence}` })
      blocks.push(...made.blocks)
      heads.push(await headAfter(heads.at(-1) ?? null, made.root, { workspace: A }))
    }
    const publishes = heads.map((head) => codeFrom(repository.publish(head, blocks, accept)))
    const sealing = repository.seal(A, 1, sealOf(A, 1))
    const late = heads.map((head) => codeFrom(repository.publish(head, blocks, accept)))
    const { base } = await sealing
    const codes = await Promise.all([...publishes, ...late])
    expect(codes.slice(8).filter((code) => code !== 'UNEXPECTED' && code !== 'SEALED')).toEqual([])
    const tip = await repository.tip(A)
    expect(tip?.tip.cid.equals(base?.cid ?? null)).toBe(true)
  })

  test('a head that came too late is kept aside and never becomes the tip, also after a rebuild', async () => {
    const repository = await opened(await makePlace())
    const base = await publishNext(repository, null, { a: '1' })
    await repository.seal(A, 1, sealOf(A, 1))
    const { root, blocks } = await snapshot({ a: 'late' })
    const late = await headAfter(base, root, { workspace: A })
    await repository.keepDiverged(late, blocks)
    const next = await publishNext(repository, base, { a: '2' }).catch(() => null)
    expect(next).toBeNull()
    const second = await snapshot({ a: 'second epoch' })
    const tip = await headAfter(base, second.root, { workspace: A, epoch: 2 })
    await repository.publish(tip, second.blocks, accept)

    for (const step of ['live', 'rebuilt']) {
      if (step === 'rebuilt') await repository.reindex()
      expect((await repository.tip(A))?.tip.cid.equals(tip.cid), step).toBe(true)
      expect(
        (await repository.diverged(A)).map(({ cid }) => cid.toString()),
        step
      ).toEqual([late.cid.toString()])
      expect(await readClosure(repository, A, late.value.root), step).toBe(blocks.length)
    }
  })

  test('a head that follows the tip cannot be put aside as diverged', async () => {
    const repository = await opened(await makePlace())
    const { root, blocks } = await snapshot({ a: '1' })
    const head = await headAfter(null, root, { workspace: A })
    expect(await codeFrom(repository.keepDiverged(head, blocks))).toBe('CONFLICT')
  })

  test('history is told newest first, as far as asked', async () => {
    const repository = await opened(await makePlace())
    const first = await publishNext(repository, null, { a: '1' })
    const second = await publishNext(repository, first, { a: '2' })
    const third = await publishNext(repository, second, { a: '3' })
    const sequences = async (limit: number): Promise<number[]> =>
      (await repository.history(A, { limit })).map(({ value }) => value.sequence)
    expect(await sequences(10)).toEqual([3, 2, 1])
    expect(await sequences(2)).toEqual([3, 2])
    expect(Buffer.from((await repository.head(third.cid))?.bytes ?? []).equals(third.bytes)).toBe(true)
  })

  test('a lost index is built anew by itself: tips, seals, history, links and sums', async () => {
    const place = await makePlace()
    const first = await opened(place, { packBytes: 300_000 })
    let head = await publishNext(first, null, { a: seeded(5).bytes(400_000) })
    head = await publishNext(first, head, { a: seeded(5).bytes(400_000), b: 'b' })
    await first.seal(A, 3, sealOf(A, 3))
    const other = await publishNext(first, null, { c: 'c' }, B)
    const stats = await first.stats()
    expect(stats.packs).toBeGreaterThan(1)
    await first.close()
    await place.index.destroy()

    const second = await opened(place, { packBytes: 300_000 })
    expect((await second.tip(A))?.tip.cid.equals(head.cid)).toBe(true)
    expect((await second.tip(B))?.tip.cid.equals(other.cid)).toBe(true)
    expect((await second.history(A, { limit: 9 })).length).toBe(2)
    await readClosure(second, A, head.value.root)
    expect(await second.read(B, head.value.root)).toBeNull()
    expect((await second.seal(A, 2, sealOf(A, 2))).base?.cid.equals(head.cid)).toBe(true)
    expect(await second.stats()).toEqual(stats)
  })

  test('damaged bytes are never returned; the block is missing, and is mended when it is sent again', async () => {
    const place = await makePlace()
    const first = await opened(place)
    const content = seeded(6).bytes(200_000)
    const head = await publishNext(first, null, { a: content })
    const { blocks } = await snapshot({ a: content })
    const leaf = blocks.find(({ bytes }) => bytes.length > 100_000)
    if (leaf === undefined) throw new Error('no large leaf')
    await first.close()
    const pack = 'repository/packs/00000001.car'
    const bytes = Buffer.from(await place.disk.read(pack, 0, 10_000_000))
    await place.flip(pack, bytes.indexOf(leaf.bytes) + 1000)

    const second = await opened(place)
    expect(await second.read(A, leaf.cid)).toBeNull()
    expect(
      (
        await second.missing(
          A,
          blocks.map(({ cid }) => cid)
        )
      ).map(String)
    ).toEqual([leaf.cid.toString()])
    const next = await headAfter(head, head.value.root, { workspace: A })
    expect(await codeFrom(second.publish(next, [], accept))).toBe('INCOMPLETE')
    await second.publish(next, [leaf], accept)
    expect(Buffer.from((await second.read(A, leaf.cid)) ?? []).equals(leaf.bytes)).toBe(true)
    expect((await second.verify()).damaged).toEqual([])
  })

  test('a damaged block takes nothing with it that came after, even where the index is lost', async () => {
    const place = await makePlace()
    const first = await opened(place)
    const head = await publishNext(first, null, { a: seeded(12).bytes(100_000), b: 'b' })
    const next = await publishNext(first, head, { b: 'b' })
    const last = await publishNext(first, next, { c: 'c' })
    await first.close()
    const pack = 'repository/packs/00000001.car'
    const stored = Buffer.from(await place.disk.read(pack, 0, 10_000_000))
    await place.flip(pack, stored.indexOf(Buffer.from(seeded(12).bytes(100_000))) + 5)
    await place.index.destroy()

    const second = await opened(place)
    expect((await second.tip(A))?.tip.cid.equals(last.cid)).toBe(true)
    expect(await second.history(A, { limit: 9 })).toHaveLength(3)
    await readClosure(second, A, next.value.root)
    await expect(readClosure(second, A, head.value.root)).rejects.toThrow('is missing')
  })

  test('verify finds every damaged block and names it', async () => {
    const place = await makePlace()
    const repository = await opened(place)
    const content = seeded(7).bytes(150_000)
    const head = await publishNext(repository, null, { a: content, b: 'b' })
    const { blocks } = await snapshot({ a: content, b: 'b' })
    expect(await repository.verify()).toMatchObject({ blocks: blocks.length + 1, damaged: [] })
    await repository.close()
    const pack = 'repository/packs/00000001.car'
    const stored = Buffer.from(await place.disk.read(pack, 0, 10_000_000))
    const leaf = blocks.find(({ bytes }) => bytes.length > 100_000)
    await place.flip(pack, stored.indexOf(leaf?.bytes ?? 'none') + 5)

    const again = await opened(place)
    expect((await again.verify()).damaged).toEqual([leaf?.cid.toString()])
    expect((await again.tip(A))?.tip.cid.equals(head.cid)).toBe(true)
  })

  test('what follows a damaged tail is cut off and the repository goes on', async () => {
    const place = await makePlace()
    const first = await opened(place)
    const head = await publishNext(first, null, { a: '1' })
    await first.close()
    const pack = 'repository/packs/00000001.car'
    const size = await place.disk.size(pack)
    await place.disk.append(pack, [seeded(8).bytes(50_000)])

    const second = await opened(place)
    expect(await place.disk.size(pack)).toBe(size)
    const next = await publishNext(second, head, { a: '2' })
    await second.close()
    const third = await opened(place)
    expect((await third.tip(A))?.tip.cid.equals(next.cid)).toBe(true)
  })

  test('after close every call is refused', async () => {
    const repository = await opened(await makePlace())
    await repository.close()
    expect(await codeFrom(repository.tip(A))).toBe('CLOSED')
    expect(await codeFrom(repository.flush())).toBe('CLOSED')
  })

  test('many workspaces publish at once, and all is there', async () => {
    const place = await makePlace()
    const repository = await opened(place)
    const ids = [...'0123456789abcdef'].map(workspace)
    const heads = await Promise.all(ids.map((id) => publishNext(repository, null, { name: id, common: 'x' }, id)))
    await repository.reindex()
    for (const head of heads) {
      expect((await repository.tip(head.value.workspace))?.tip.cid.equals(head.cid)).toBe(true)
      await readClosure(repository, head.value.workspace, head.value.root)
    }
    expect((await repository.stats()).workspaces).toBe(16)
  })
})

test('packs are CAR files that other tools read', async () => {
  const folder = await temporaryFolder()
  const place = {
    disk: nodeDisk(folder),
    index: levelIndex(join(folder, 'repository/index')),
    flip: async () => undefined
  }
  const repository = await opened(place)
  const head = await publishNext(repository, null, { a: 'one' })
  await publishNext(repository, head, { a: 'two' })
  await repository.close()
  expect(await readdir(join(folder, 'repository/packs'))).toEqual(['00000001.car'])
  const reader = await CarReader.fromBytes(await readFile(join(folder, 'repository/packs/00000001.car')))
  expect((await reader.getRoots()).length).toBe(1)
  expect(Buffer.from((await reader.get(head.cid))?.bytes ?? []).equals(head.bytes)).toBe(true)
})

test('a full disk refuses blocks before the reserve is touched; seals and reading go on', async () => {
  const disk = memoryDisk({ capacityBytes: 1_000_000 })
  const repository = await openRepository(depsOf(disk, memoryIndex(), { reserveBytes: 300_000 }))
  const head = await publishNext(repository, null, { a: seeded(9).bytes(500_000) })
  const { root, blocks } = await snapshot({ a: seeded(10).bytes(400_000) })
  const next = await headAfter(head, root, { workspace: A })
  expect(await codeFrom(repository.publish(next, blocks, accept))).toBe('NO_SPACE')
  expect((await repository.tip(A))?.tip.cid.equals(head.cid)).toBe(true)
  await readClosure(repository, A, head.value.root)
  expect((await repository.seal(A, 1, sealOf(A, 1))).base?.cid.equals(head.cid)).toBe(true)
  await repository.close()
})

test('a disk that is really full loses nothing, and writing goes on once there is room', async () => {
  const disk = memoryDisk({ capacityBytes: 1_000_000 })
  await disk.makeFolder('ballast')
  await disk.append('ballast/file', [new Uint8Array(800_000)])
  const repository = await openRepository(depsOf(disk, memoryIndex()))
  const head = await publishNext(repository, null, { a: '1' })
  const { root, blocks } = await snapshot({ a: seeded(11).bytes(300_000) })
  const next = await headAfter(head, root, { workspace: A })
  expect(await codeFrom(repository.publish(next, blocks, accept))).toBe('NO_SPACE')
  await disk.remove('ballast/file')
  await repository.publish(next, blocks, accept)
  await readClosure(repository, A, root)
  await repository.close()
})

test('blocks that come twice at the same time are stored once', async () => {
  const disk = memoryDisk()
  const repository = await openRepository(depsOf(disk, memoryIndex()))
  const blocks = Array.from({ length: 20 }, (_, index) => blockOf(RAW_CODEC, Buffer.from(`block ${index}`)))
  const [first, last] = [blocks.slice(0, 15), blocks.slice(5)]
  await Promise.all([
    repository.keep(workspace('a'), first),
    repository.keep(workspace('b'), last),
    repository.keep(workspace('a'), blocks)
  ])
  const pack = Buffer.from(await disk.read(packPath(1), 0, (await disk.size(packPath(1))) ?? 0))
  expect(pack.indexOf('block 7')).toBeGreaterThan(0)
  expect(pack.indexOf('block 7')).toBe(pack.lastIndexOf('block 7'))
  expect(
    await repository.missing(
      workspace('b'),
      last.map(({ cid }) => cid)
    )
  ).toEqual([])
})
