import { expect, test } from 'vitest'
import { type Block, blockOf, RAW_CODEC } from '../../../src/core/blocks.ts'
import { silent } from '../../../src/core/log.ts'
import type { Location } from '../../../src/store/car.ts'
import type { Disk } from '../../../src/store/disk.ts'
import { memoryDisk } from '../../../src/store/memory-disk.ts'
import { mendPacks, packPath } from '../../../src/store/pack-files.ts'
import { openPacks, type Packs } from '../../../src/store/packs.ts'
import { seeded } from './support.ts'

const block = (seed: number, length: number): Block => blockOf(RAW_CODEC, seeded(seed).bytes(length))

async function opened(disk: Disk, packBytes = 10_000): Promise<Packs> {
  await mendPacks(disk, null, silent)
  return await openPacks(disk, { packBytes })
}

async function append(packs: Packs, blocks: readonly Block[]): Promise<readonly Location[]> {
  let found: readonly Location[] = []
  await packs.append(blocks, (locations) => {
    found = locations
  })
  return found
}

async function namesIn(packs: Packs): Promise<string[]> {
  const names: string[] = []
  for await (const item of packs.sections(null)) if (item.kind === 'block') names.push(item.block.cid.toString())
  return names
}

const namesOf = (blocks: readonly Block[]): string[] => blocks.map(({ cid }) => cid.toString())

test('blocks are read where they were written, over many packs, and come in order', async () => {
  const disk = memoryDisk()
  const packs = await opened(disk)
  const blocks = Array.from({ length: 12 }, (_, index) => block(index, 3000))
  for (const each of blocks) {
    const [location] = await append(packs, [each])
    if (location === undefined) throw new Error('no place')
    expect(Buffer.from(await packs.read(location)).equals(each.bytes)).toBe(true)
  }
  expect(packs.count).toBeGreaterThan(3)
  expect(await namesIn(packs)).toEqual(namesOf(blocks))
  await packs.commit()
  expect(await namesIn(await opened(disk))).toEqual(namesOf(blocks))
})

test('those who wait at the same time share one sync', async () => {
  const inner = memoryDisk()
  let syncs = 0
  const sync = (path: string): Promise<void> => {
    syncs++
    return inner.sync(path)
  }
  const packs = await opened({ ...inner, sync }, 10_000_000)
  await append(packs, [block(0, 10)])
  await packs.commit()
  syncs = 0
  await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      await append(packs, [block(index, 100)])
      await packs.commit()
    })
  )
  expect(syncs).toBeLessThanOrEqual(2)
})

test('a commit is durable however the power goes', async () => {
  for (let seed = 0; seed < 30; seed++) {
    const disk = memoryDisk()
    const packs = await opened(disk)
    const kept = [block(1, 6000), block(2, 6000)]
    for (const each of kept) await append(packs, [each])
    await packs.commit()
    await append(packs, [block(3, 500), block(4, 500)])
    disk.crash(seeded(seed))
    const names = await namesIn(await opened(disk))
    expect(names.slice(0, 2)).toEqual(namesOf(kept))
  }
})

test('a pack that could not be begun does not make void what the one before it takes', async () => {
  for (let seed = 0; seed < 30; seed++) {
    const inner = memoryDisk()
    let failing = false
    const syncFolder: Disk['syncFolder'] = async (path) => {
      await inner.syncFolder(path)
      if (failing) throw new Error('the folder was synced, but nobody learns of it')
    }
    const packs = await opened({ ...inner, syncFolder })
    const first = block(1, 6000)
    await append(packs, [first])
    await packs.commit()
    failing = true
    await expect(append(packs, [block(2, 6000)])).rejects.toThrow()
    failing = false
    const small = block(3, 100)
    await append(packs, [small])
    await packs.commit()
    inner.crash(seeded(seed))
    expect(await namesIn(await opened(inner))).toEqual(namesOf([first, small]))
  }
})

test('after a failed sync the log is refused until it goes on in a new pack, without what was not synced', async () => {
  const inner = memoryDisk()
  let failing = false
  const sync: Disk['sync'] = (path) => (failing ? Promise.reject(new Error('input/output error')) : inner.sync(path))
  const packs = await opened({ ...inner, sync }, 10_000_000)
  const [kept, lost, next] = [block(1, 100), block(2, 100), block(3, 100)]
  await append(packs, [kept])
  await packs.commit()
  await append(packs, [lost])
  failing = true
  await expect(packs.commit()).rejects.toThrow('input/output error')
  failing = false
  await expect(packs.commit()).rejects.toMatchObject({ code: 'BUSY' })
  await expect(append(packs, [next])).rejects.toMatchObject({ code: 'BUSY' })
  await packs.recover()
  await append(packs, [next])
  await packs.commit()
  expect(await namesIn(packs)).toEqual(namesOf([kept, next]))
  expect(await namesIn(await opened(inner))).toEqual(namesOf([kept, next]))
})

test('what is marked as whole is told from a torn end, without an index', async () => {
  const disk = memoryDisk()
  const packs = await opened(disk)
  const blocks = [block(1, 100), block(2, 100), block(3, 100)]
  for (const each of blocks) await append(packs, [each])
  await packs.mark()
  const { end } = packs
  await packs.mark()
  expect(packs.end).toEqual(end)
  disk.flip(packPath(1), end.offset - 200)
  expect((await namesIn(await opened(disk))).length).toBe(3)
  expect(await disk.size(packPath(1))).toBe(end.offset)
})

test('without an index a damaged tail may be more than a torn write, and is kept aside however short it is', async () => {
  const disk = memoryDisk()
  const packs = await opened(disk)
  const blocks = [block(1, 100), block(2, 100)]
  await append(packs, blocks)
  await packs.commit()
  const { offset } = packs.end
  disk.flip(packPath(1), offset - 10)
  expect(await namesIn(await opened(disk))).toEqual(namesOf(blocks.slice(0, 1)))
  const cut = (await disk.size(packPath(1))) ?? 0
  expect(await disk.size(`${packPath(1)}.${cut}.torn`)).toBe(offset - cut)
})

test('a long damaged tail is kept aside before it is cut off', async () => {
  const disk = memoryDisk()
  const packs = await opened(disk, 100_000_000)
  const kept = block(1, 100)
  await append(packs, [kept])
  await packs.commit()
  const cut = packs.end.offset
  await disk.append(packPath(1), [new Uint8Array(9 * 1024 * 1024)])
  expect(await namesIn(await opened(disk))).toEqual(namesOf([kept]))
  expect(await disk.size(packPath(1))).toBe(cut)
  expect(await disk.size(`${packPath(1)}.${cut}.torn`)).toBe(9 * 1024 * 1024)
})

test('any byte of an unsynced tail may be wrong: what comes before it stays, what follows does not count', async () => {
  const disk = memoryDisk()
  const packs = await opened(disk)
  const blocks = [block(1, 40), block(2, 40), block(3, 40)]
  await append(packs, blocks.slice(0, 1))
  await packs.commit()
  const from = packs.end.offset
  await append(packs, blocks.slice(1))
  const bytes = await disk.read(packPath(1), 0, 10_000)
  for (let offset = from; offset < bytes.length; offset++) {
    const copy = memoryDisk()
    await copy.makeFolder('repository/packs')
    await copy.append(packPath(1), [bytes])
    copy.flip(packPath(1), offset)
    const names = await namesIn(await opened(copy))
    expect(namesOf(blocks).slice(0, names.length), `byte ${offset}`).toEqual(names)
    expect(names.length, `byte ${offset}`).toBeLessThanOrEqual(2)
    expect(names.length, `byte ${offset}`).toBeGreaterThanOrEqual(1)
  }
})
