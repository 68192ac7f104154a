import fc from 'fast-check'
import { expect, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { PremisesKeeper } from '../../../src/daemon/premises.ts'
import { systemCode } from '../../../src/worktree/disk.ts'
import { makeDurable } from '../../../src/worktree/durable.ts'
import { listTree, putFile, readFile } from '../../sim/memory-app.ts'
import { type BeforeCall, MemoryFileSystem, memoryReader } from '../../sim/memory-files.ts'
import { SystemError } from '../../sim/memory-nodes.ts'
import { MemoryVolume, type MemoryVolumeOptions } from '../../sim/memory-volume.ts'
import { seeded, workspace } from '../store/support.ts'
import { SURVIVALS } from './power-loss-support.ts'

const DROPPED = { ...seeded(1), fraction: () => 0 }

function volumeOf(options: Partial<MemoryVolumeOptions> = {}): MemoryVolume {
  return new MemoryVolume({ nowNs: () => 1_700_000_000_000_000_000n, ...options })
}

async function write(files: MemoryFileSystem, path: string, text: string, how: 'synced' | 'unsynced'): Promise<void> {
  await using file = await files.open(path, 'extend')
  await file.write(Buffer.from(text), 0)
  if (how === 'synced') await file.sync()
}

const textOf = async (volume: MemoryVolume, path: string): Promise<string | null> =>
  (await readFile(new MemoryFileSystem(volume), path))?.toString() ?? null

const codeOf = (work: Promise<unknown>): Promise<string> => work.then(() => 'done', systemCode)

test.each(SURVIVALS)('what was synced with its name stays, unsynced %s', async (_what, random) => {
  for (let seed = 0; seed < 20; seed++) {
    const volume = volumeOf()
    const files = new MemoryFileSystem(volume)
    await write(files, '/file', 'synced', 'synced')
    await files.syncFolder('/')
    await files.rename('/file', '/moved')
    await files.makeFolder('/folder', 0o755)
    await files.syncFolder('/')
    await write(files, '/folder/lost', 'not in time', 'synced')
    volume.crash(random(seed))
    expect(await textOf(volume, '/moved')).toBe('synced')
    expect(await textOf(volume, '/file')).toBeNull()
    expect([null, 'not in time']).toContain(await textOf(volume, '/folder/lost'))
  }
})

test('what was not synced goes: bytes, names, modes and times', async () => {
  const volume = volumeOf()
  const files = new MemoryFileSystem(volume)
  await write(files, '/kept', 'old', 'synced')
  await files.chmod('/kept', 0o640)
  await using kept = await files.open('/kept', 'extend')
  await kept.sync()
  await files.syncFolder('/')
  await write(files, '/kept', 'new, and longer', 'unsynced')
  await files.chmod('/kept', 0o777)
  await files.utimes('/kept', '5')
  await write(files, '/fresh', 'x', 'synced')
  await files.unlink('/kept')
  volume.crash(DROPPED)
  expect(await textOf(volume, '/kept')).toBe('old')
  expect(await textOf(volume, '/fresh')).toBeNull()
  const { mode, mtimeNs } = await new MemoryFileSystem(volume).lstat('/kept')
  expect(mode & 0o7777n).toBe(0o640n)
  expect(mtimeNs).toBeGreaterThan(5_000_000_000n)
})

test('a file that is moved to another folder is in one of them after any crash, whole where it was synced', async () => {
  const seen = new Set<string>()
  for (let seed = 0; seed < 100; seed++) {
    const volume = volumeOf()
    const files = new MemoryFileSystem(volume)
    for (const folder of ['/from', '/to']) await files.makeFolder(folder, 0o755)
    volume.syncAll()
    await write(files, '/from/a', 'content', 'synced')
    if (seed % 2 === 0) await files.syncFolder('/from')
    await files.rename('/from/a', '/to/b')
    if (seed % 3 === 0) await files.syncFolder('/to')
    volume.crash(seeded(seed))
    const places = [await textOf(volume, '/from/a'), await textOf(volume, '/to/b')]
    if (seed % 3 === 0) expect(places).toEqual([null, 'content'])
    else if (seed % 2 === 0) expect(places.filter((text) => text === 'content')).toHaveLength(1)
    else expect(places.filter((text) => text !== null).length).toBeLessThanOrEqual(1)
    seen.add(JSON.stringify(places))
  }
  expect(seen.size).toBe(3)
})

test('unsynced bytes survive in part, and are never others than were written, but for the last sector and holes', async () => {
  const lengths = new Set<number>()
  let torn = 0
  for (let seed = 0; seed < 200; seed++) {
    const volume = volumeOf()
    const files = new MemoryFileSystem(volume)
    await write(files, '/file', '', 'synced')
    await files.syncFolder('/')
    await using file = await files.open('/file', 'extend')
    for (let piece = 0; piece < 4; piece++) await file.write(Buffer.alloc(2000, 'abcd'[piece]), 2000 * piece)
    volume.crash(seeded(seed))
    const text = (await textOf(volume, '/file')) ?? ''
    lengths.add(text.length)
    const sound = text.slice(0, Math.max(0, text.length - 512))
    expect(sound).toMatch(/^(?:a{0,2000}|\0{2000})(?:b{0,2000}|\0{2000})(?:c{0,2000}|\0{2000})d{0,2000}\0{0,2000}$/)
    if (!/^[abcd]*$/.test(text)) torn++
  }
  expect(lengths.size).toBeGreaterThan(20)
  expect(torn).toBeGreaterThan(20)
})

test('a sync that failed is not made good by the next', async () => {
  const volume = volumeOf()
  let failing = true
  const files = new MemoryFileSystem(volume, (call) => {
    if (failing && (call === 'sync' || call === 'syncFileSystem')) throw new SystemError('EIO')
  })
  for (const name of ['one', 'two']) await write(files, `/${name}`, 'lost', 'unsynced')
  await files.syncFolder('/')
  await using one = await files.open('/one', 'extend')
  await using two = await files.open('/two', 'extend')
  expect(await codeOf(one.sync())).toBe('EIO')
  failing = false
  await one.sync()
  failing = true
  expect(await files.syncFileSystem('/')).toBe(false)
  failing = false
  expect(await codeOf(two.sync()), 'told once').toBe('EIO')
  await two.sync()
  expect([await textOf(volume, '/one'), await textOf(volume, '/two')]).toEqual(['lost', 'lost'])
  volume.crash(DROPPED)
  expect([await textOf(volume, '/one'), await textOf(volume, '/two')]).toEqual(['', ''])
})

test('a full volume takes what fits, and more once there is room again, after a crash too', async () => {
  const volume = volumeOf({ capacityBytes: 100 })
  const files = new MemoryFileSystem(volume)
  await write(files, '/first', 'x'.repeat(60), 'synced')
  await using second = await files.open('/second', 'create')
  expect(await second.write(Buffer.alloc(60), 0)).toBe(40)
  expect(await codeOf(second.write(Buffer.alloc(1), 40))).toBe('ENOSPC')
  expect(await second.write(Buffer.alloc(40), 0)).toBe(40)
  expect(await files.freeBytes('/')).toBe(0)
  await files.unlink('/first')
  expect(await files.freeBytes('/')).toBe(60)
  await second.truncate(10)
  expect(await files.freeBytes('/')).toBe(90)
  await files.syncFileSystem('/')
  await write(files, '/second', 'y'.repeat(50), 'unsynced')
  volume.crash(DROPPED)
  expect(volume.freeBytes).toBe(90)
})

test('a call that is made to fail is not carried out, and a process that has ended does nothing any more', async () => {
  const volume = volumeOf()
  const calls: string[] = []
  const before: BeforeCall = (call, path) => {
    calls.push(`${call} ${path}`)
    if (path.includes('bad')) throw new SystemError('EMFILE')
  }
  const files = new MemoryFileSystem(volume, before)
  expect(await codeOf(files.open('/bad', 'create'))).toBe('EMFILE')
  const file = await files.open('/good', 'create')
  await file.write(Buffer.from('x'), 0)
  expect(calls).toEqual(['open /bad', 'open /good', 'write /good'])
  expect(files.openFiles).toBe(1)
  files.end()
  expect(await codeOf(file.write(Buffer.from('y'), 0))).toBe('EIO')
  expect(await codeOf(files.unlink('/good'))).toBe('EIO')
  const next = new MemoryFileSystem(volume)
  expect((await next.names('/')).map(String)).toEqual(['good'])
  expect(await textOf(volume, '/good')).toBe('x')
})

test('each change has a later time while the clock stands still; a clock that is set back is followed', async () => {
  let now = 1_700_000_000_000_000_000n
  const files = new MemoryFileSystem(volumeOf({ nowNs: () => now }))
  const changed = async (): Promise<bigint> => {
    await files.makeFolders('/a', 0o755)
    await files.chmod('/a', 0o700)
    return (await files.lstat('/a')).ctimeNs
  }
  const first = await changed()
  expect(await changed()).toBe(first + 1n)
  now -= 1_000_000_000n
  expect(await changed()).toBe(now)
})

test.each(SURVIVALS)(
  'what an instance made durable for its users survives any crash, unsynced %s',
  async (_what, random) => {
    for (const many of [false, true]) {
      for (const syncsWhole of [true, false]) {
        const volume = volumeOf({ syncsWhole })
        const files = new MemoryFileSystem(volume)
        await files.makeFolders('/var/data', 0o700)
        volume.syncAll()
        const watched = { take: () => new Set<string>(), barrier: async () => undefined, close: () => undefined }
        const keeper = await PremisesKeeper.open({
          ...{ files, reader: memoryReader(files), watch: async () => watched },
          ...{ folder: '/var/data', state: memoryKeyValue(), clock: systemClock(), random: seeded(4), log: silent }
        })
        const { folder, staging, watch } = await keeper.of(workspace('a'))
        await watch(() => undefined)
        await files.makeFolders(`${folder}/d/e`, 0o755)
        const paths = ['top', ...Array.from({ length: many ? 20 : 3 }, (_, index) => `d/e/${index}`)]
        for (const path of paths)
          await putFile({ files, random: seeded(5), folder, staging }, path, Buffer.from(path), 1)
        await makeDurable(files, folder, paths)
        await putFile({ files, random: seeded(6), folder, staging }, 'later', Buffer.from('later'), 1)
        volume.crash(random(3))
        for (const path of paths) expect(await textOf(volume, `${folder}/${path}`)).toBe(path)
      }
    }
  }
)

test('the same calls give the same inodes, times and order, and the same crash', async () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd')
  const step = fc.record({ kind: fc.nat(5), from: name, to: name })
  const run = async (steps: readonly { kind: number; from: string; to: string }[]): Promise<unknown> => {
    const volume = volumeOf()
    const files = new MemoryFileSystem(volume)
    await files.makeFolder('/w', 0o755)
    await files.syncFolder('/')
    for (const { kind, from, to } of steps) {
      const [a, b] = [`/w/${from}`, `/w/${to}`]
      const work = [
        () => write(files, a, to.repeat(100), 'unsynced'),
        () => write(files, a, to, 'synced'),
        () => files.rename(a, b),
        () => files.unlink(a),
        () => files.syncFolder('/w'),
        () => files.makeFolder(a, 0o755)
      ][kind]
      await codeOf(work?.() ?? Promise.resolve())
    }
    volume.crash(seeded(steps.length))
    const left = new MemoryFileSystem(volume)
    const names = await left.names('/w')
    const stats = await Promise.all(names.map((one) => left.lstat(`/w/${one}`)))
    return [names.map(String), stats.map(({ ino, ctimeNs }) => [ino, ctimeNs]), await listTree(left, '/w')]
  }
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      expect(await run(steps)).toEqual(await run(steps))
    })
  )
})
