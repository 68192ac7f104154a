import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type Block, blockOf, RAW_CODEC } from '../../../src/core/blocks.ts'
import { codeOf, NodeDaemonError } from '../../../src/core/errors.ts'
import { silent } from '../../../src/core/log.ts'
import type { SignedHead } from '../../../src/core/records.ts'
import { type Disk, diskError } from '../../../src/store/disk.ts'
import { openRepository } from '../../../src/store/main-repository.ts'
import { type MemoryDisk, memoryDisk } from '../../../src/store/memory-disk.ts'
import { type MemoryIndex, memoryIndex } from '../../../src/store/memory-index.ts'
import { nodeDisk } from '../../../src/store/node-disk.ts'
import { levelIndex } from '../../../src/store/open-repository.ts'
import { packPath } from '../../../src/store/pack-files.ts'
import type { MainRepository } from '../../../src/store/repository.ts'
import { accept, depsOf, headAfter, sealOf, snapshot, temporaryFolder, workspace } from './support.ts'

const A = workspace('a')
async function publish(
  repository: MainRepository,
  previous: SignedHead | null,
  text: string,
  epoch = 1
): Promise<SignedHead> {
  const { root, blocks } = await snapshot({ same: 'same', own: text })
  const head = await headAfter(previous, root, { workspace: A, epoch })
  await repository.publish(head, blocks, accept)
  return head
}

async function readAll(blocks: AsyncIterable<Block>): Promise<Block[]> {
  const read: Block[] = []
  for await (const block of blocks) read.push(block)
  return read
}

/** A head, a seal, a head of the next epoch, each in a commit of its own; and where the last commit begins. */
async function filled(disk: Disk): Promise<{ heads: SignedHead[]; blocks: readonly Block[]; lastCommit: number }> {
  const repository = await openRepository(depsOf(disk, memoryIndex()))
  const one = await publish(repository, null, 'one')
  await repository.seal(A, 1, sealOf(A, 1))
  const lastCommit = (await disk.size(packPath(1))) ?? 0
  const two = await publish(repository, one, 'two', 2)
  await repository.close()
  const made = await Promise.all(['one', 'two'].map((own) => snapshot({ same: 'same', own })))
  return { heads: [one, two], blocks: made.flatMap(({ blocks }) => blocks), lastCommit }
}

async function copyOf(disk: Disk): Promise<MemoryDisk> {
  const copy = memoryDisk()
  await copy.makeFolder('repository/packs')
  await copy.append(packPath(1), [await disk.read(packPath(1), 0, 1_000_000)])
  return copy
}

type Rows = readonly (readonly [string, Uint8Array])[]

/** The index of what lies on a disk. */
async function indexOf(disk: Disk): Promise<Rows> {
  const index = memoryIndex()
  await (await openRepository(depsOf(disk, index))).close()
  const level = await index.open()
  const rows: [string, Uint8Array][] = []
  for await (const row of level.entries({ prefix: '' })) rows.push(row)
  return rows
}

async function indexWith(put: Rows): Promise<MemoryIndex> {
  const index = memoryIndex()
  const level = await index.open()
  await level.write({ put }, { durable: true })
  await level.close()
  return index
}

const same = (a: Uint8Array | null, b: Uint8Array): boolean => a !== null && Buffer.compare(a, b) === 0

/** No byte that is read is wrong, and what is missing is known as damaged and mended by being kept again. */
async function expectMended(repository: MainRepository, blocks: readonly Block[], what: string): Promise<void> {
  const lost: Block[] = []
  for (const block of blocks) {
    const found = await repository.read(A, block.cid)
    if (found === null) lost.push(block)
    else if (!same(found, block.bytes)) throw new Error(`${what}: wrong bytes were served`)
  }
  await repository.flush()
  const named = new Set((await repository.damaged()).map(({ cid }) => String(cid)))
  // What lies below a node that is damaged is not known before that is there again.
  const known = lost.filter(({ cid }) => named.has(String(cid)))
  if (lost.length > 0 && known.length === 0) throw new Error(`${what}: nobody knows what is damaged`)
  for (let round = 0; round < 4 && (await repository.damaged()).length > 0; round++) {
    const wanted = new Set((await repository.damaged()).map(({ cid }) => String(cid)))
    await repository.keep(
      A,
      blocks.filter(({ cid }) => wanted.has(String(cid)))
    )
    await repository.flush()
  }
  if ((await repository.damaged()).length > 0) throw new Error(`${what}: damage that is not mended`)
  for (const { cid, bytes } of blocks) {
    if (!same(await repository.read(A, cid), bytes)) throw new Error(`${what}: ${cid} is not mended`)
  }
}

test('whatever byte of a pack rots: verify finds it, no wrong byte is read, and it is mended by what is kept again', {
  timeout: 120_000
}, async () => {
  const disk = memoryDisk()
  const { heads, blocks } = await filled(disk)
  const size = (await disk.size(packPath(1))) ?? 0
  let found = 0
  const known = await indexOf(disk)
  for (let offset = 0; offset < size; offset++) {
    const copy = await copyOf(disk)
    const repository = await openRepository(depsOf(copy, await indexWith(known)))
    copy.flip(packPath(1), offset)
    const report = await repository.verify()
    found += report.damaged.length + report.repaired
    await expectMended(repository, blocks, `byte ${offset} of ${size}`)
    if (offset % 10 === 0) expect(await repository.verify()).toMatchObject({ damaged: [], repaired: 0 })
    expect((await repository.tip(A))?.tip.cid.equals(heads[1]?.cid ?? null)).toBe(true)
    await repository.close()
  }
  // All but the framing, the names and what tools read past are found: those the index has.
  const content = blocks.reduce((sum, { bytes }) => sum + bytes.length, 0)
  expect(found).toBeGreaterThan(content)
})

test('whatever byte of a pack rots and the index is lost too: the tip stays, no wrong byte is read, and it is mended', {
  timeout: 120_000
}, async () => {
  const disk = memoryDisk()
  const { heads, lastCommit } = await filled(disk)
  for (let offset = 0; offset < lastCommit; offset += 3) {
    const copy = await copyOf(disk)
    copy.flip(packPath(1), offset)
    const repository = await openRepository(depsOf(copy, memoryIndex()))
    const what = `byte ${offset} of ${lastCommit}`
    expect((await repository.tip(A))?.tip.cid.toString(), what).toBe(heads[1]?.cid.toString())
    // A head that is damaged itself is lost with the index; what it alone named is nobody's.
    const history = await repository.history(A, { limit: 9 })
    const own = await Promise.all(
      history.map(({ cid }) => snapshotOf(cid.equals(heads[0]?.cid ?? cid) ? 'one' : 'two'))
    )
    await expectMended(repository, own.flat(), what)
    await repository.close()
  }
})

const snapshotOf = async (own: string): Promise<readonly Block[]> => (await snapshot({ same: 'same', own })).blocks

/** A disk of which one pack cannot be read at one place. */
function failingAt(inner: Disk, offset: number): Disk {
  return {
    ...inner,
    read: async (path, from, length) => {
      if (path !== packPath(1) || offset < from || offset >= from + length) return await inner.read(path, from, length)
      throw diskError(Object.assign(new Error('input/output error'), { code: 'EIO' }), `reading ${path}`)
    }
  }
}

test('a place that cannot be read is damage as well; verify goes on, and it is known after a restart', async () => {
  const inner = memoryDisk()
  const { blocks } = await filled(inner)
  const leaf = blocks.find(({ bytes }) => Buffer.from(bytes).equals(Buffer.from('two')))
  if (leaf === undefined) throw new Error('no leaf')
  const index = memoryIndex()
  await (await openRepository(depsOf(inner, index))).close()
  const at = Buffer.from(await inner.read(packPath(1), 0, 1_000_000)).lastIndexOf('two')
  const first = await openRepository(depsOf(failingAt(inner, at), index))
  expect(await first.verify()).toMatchObject({ damaged: [String(leaf.cid)], repaired: 0 })
  await first.close()

  const second = await openRepository(depsOf(inner, index))
  expect(await second.damaged()).toEqual([{ cid: leaf.cid, workspaces: [A] }])
  expect((await second.stats()).damaged).toBe(1)
  expect(await second.missing(A, [leaf.cid])).toEqual([leaf.cid])
  const head = (await second.tip(A))?.head
  if (head === undefined) throw new Error('no head')
  await expect(readAll(second.closure(head))).rejects.toMatchObject({
    code: 'INCOMPLETE',
    data: { missing: [String(leaf.cid)] }
  })
  await second.keep(A, [leaf])
  await second.flush()
  expect(await second.damaged()).toEqual([])
  expect((await readAll(second.closure(head))).length).toBeGreaterThan(3)
  await second.close()
})

test('the records of heads and seals are written again from the index, and a rebuild finds them', async () => {
  const disk = memoryDisk()
  const { heads } = await filled(disk)
  const index = memoryIndex()
  const repository = await openRepository(depsOf(disk, index))
  const pack = Buffer.from(await disk.read(packPath(1), 0, 1_000_000))
  const sealed = await sealOf(A, 1)(heads[0] ?? null)
  const records = [...heads, sealed].map(({ bytes }) => pack.indexOf(bytes) + 90)
  expect(pack.indexOf(sealed.bytes)).toBeGreaterThan(0)
  for (const at of records) disk.flip(packPath(1), at)
  const report = await repository.verify()
  expect(report.damaged).toEqual([])
  expect(report.repaired).toBe(records.length)
  for (const step of ['live', 'rebuilt']) {
    if (step === 'rebuilt') await repository.reindex()
    expect(namesOf(await repository.history(A, { limit: 9 })), step).toEqual(namesOf([...heads].reverse()))
    expect((await repository.tip(A))?.tip.cid.equals(heads[1]?.cid ?? null), step).toBe(true)
    const { base } = await repository.seal(A, 1, sealOf(A, 1))
    expect(base?.cid.equals(heads[0]?.cid ?? null), step).toBe(true)
  }
  await repository.close()
})

const namesOf = (heads: readonly SignedHead[]): string[] => heads.map(({ cid }) => String(cid))

test('shares of a verification go on where the last one ended, and begin again at the end', async () => {
  const disk = memoryDisk()
  const index = memoryIndex()
  const first = await openRepository(depsOf(disk, index))
  const blocks = Array.from({ length: 30 }, (_, at) => blockOf(RAW_CODEC, Buffer.alloc(1000, at)))
  await first.keep(A, blocks)
  await first.flush()
  let seen = (await first.verify({ maxBytes: 10_000 })).blocks
  expect(seen).toBe(10)
  await first.close()
  const pack = Buffer.from(await disk.read(packPath(1), 0, 1_000_000))
  for (const { bytes } of blocks) disk.flip(packPath(1), pack.indexOf(bytes) + 500)

  const second = await openRepository(depsOf(disk, index))
  const damaged = new Set<string>()
  for (const share of [10_000, 10_000]) {
    const report = await second.verify({ maxBytes: share })
    seen += report.blocks
    for (const name of report.damaged) damaged.add(name)
  }
  expect(seen).toBe(30)
  expect(damaged.size).toBe(20)
  expect((await second.verify({ maxBytes: 10_000 })).damaged.filter((name) => !damaged.has(name))).toHaveLength(10)
  await second.close()
})

async function onDisk(): Promise<{ folder: string; disk: Disk; open: () => Promise<MainRepository> }> {
  const folder = await temporaryFolder()
  const disk = nodeDisk(folder)
  onTestFinished(() => disk.close())
  const open = async (): Promise<MainRepository> => {
    const repository = await openRepository(depsOf(disk, levelIndex(join(folder, 'repository/index'))))
    onTestFinished(() => repository.close())
    return repository
  }
  return { folder, disk, open }
}

test('an index that does not open is built anew', async () => {
  const { folder, open } = await onDisk()
  const first = await open()
  const head = await publish(first, null, 'one')
  await first.close()
  const index = join(folder, 'repository/index')
  for (const name of await readdir(index))
    if (name.startsWith('MANIFEST')) await writeFile(join(index, name), 'garbage')

  const second = await open()
  expect((await second.tip(A))?.tip.cid.equals(head.cid)).toBe(true)
})

test('packs that were put back from an older backup are taken as they are', async () => {
  const { disk, open } = await onDisk()
  const first = await open()
  const one = await publish(first, null, 'one')
  await first.close()
  const backup = await disk.read(packPath(1), 0, 1_000_000)
  const again = await open()
  const two = await publish(again, one, 'two')
  await again.close()
  await disk.remove(packPath(1))
  await disk.append(packPath(1), [backup])

  const restored = await open()
  expect((await restored.tip(A))?.tip.cid.equals(one.cid)).toBe(true)
  expect(await restored.head(two.cid)).toBeNull()
  expect(await restored.missing(A, [two.value.root])).toEqual([two.value.root])
})

test('packs without a folder begin anew, and an index without packs says nothing', async () => {
  const { folder, open } = await onDisk()
  const first = await open()
  await publish(first, null, 'one')
  await first.close()
  await rm(join(folder, 'repository/packs'), { recursive: true })
  const second = await open()
  expect(await second.tip(A)).toBeNull()
  await publish(second, null, 'anew')
})

test('a row of the index that is damaged while it runs is answered with "try again", and then it is mended', async () => {
  const index = memoryIndex()
  let damaged = false
  const place = {
    ...index,
    open: async () => {
      const level = await index.open()
      damaged = false
      return {
        ...level,
        getMany: async (keys: readonly string[]) => {
          if (damaged) throw new NodeDaemonError('INTEGRITY', 'damaged', { data: { damagedRow: keys[0] } })
          return await level.getMany(keys)
        }
      }
    }
  }
  const repository = await openRepository({ ...depsOf(memoryDisk(), place), cachedRows: 0 })
  const head = await publish(repository, null, 'one')
  damaged = true
  expect(await repository.missing(A, [head.value.root]).then(() => 'none', codeOf)).toBe('BUSY')
  expect(await repository.missing(A, [head.value.root])).toEqual([])
  await publish(repository, head, 'two')
  await repository.close()
})

test('a repository that never held anything opens again without a word of damage', async () => {
  const [disk, index] = [memoryDisk(), memoryIndex()]
  await (await openRepository(depsOf(disk, index))).close()
  const said: unknown[] = []
  const log = { ...silent, error: (...words: unknown[]) => void said.push(words) }
  const again = await openRepository(depsOf(disk, index, { log }))
  expect(said).toEqual([])
  await publish(again, null, 'first')
})
