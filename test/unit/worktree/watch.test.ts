import { writeFileSync } from 'node:fs'
import { mkdir, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type Clock, systemClock } from '../../../src/core/clock.ts'
import { silent } from '../../../src/core/log.ts'
import { type FolderWatch, watchFolder } from '../../../src/worktree/watch.ts'
import { temporaryFolder } from './support.ts'

async function watched(clock: Clock = systemClock()): Promise<{ folder: string; cookies: string; watch: FolderWatch }> {
  const base = await temporaryFolder()
  const folder = join(base, 'files')
  const cookies = join(base, 'cookies')
  await mkdir(folder)
  const watch = await watchFolder({ folder, cookies, clock, log: silent }, () => undefined)
  onTestFinished(() => watch.close())
  return { folder, cookies, watch }
}

/** Is the path, or a folder above it, among those to be looked at? */
function covers(taken: ReadonlySet<string> | 'all', path: string): boolean {
  if (taken === 'all') return true
  const parts = path.split('/')
  return parts.some((_, index) => taken.has(parts.slice(0, index + 1).join('/')))
}

async function taken(watch: FolderWatch): Promise<ReadonlySet<string> | 'all'> {
  await watch.barrier()
  return watch.take()
}

test('nothing is touched until something changes', async () => {
  const { watch } = await watched()
  expect(await taken(watch)).toEqual(new Set())
})

test('390 entries made at once in new nested folders are all seen, without a full scan', async () => {
  const { folder, watch } = await watched()
  const paths: string[] = []
  for (let a = 0; a < 10; a++) {
    for (let b = 0; b < 3; b++) {
      const below = `a${a}/b${b}/c`
      await mkdir(join(folder, below), { recursive: true })
      for (let file = 0; file < 10; file++) {
        paths.push(`${below}/${file}`)
        await writeFile(join(folder, below, `${file}`), 'x')
      }
      paths.push(below, `a${a}/b${b}`)
    }
  }
  const found = await taken(watch)
  expect(found).not.toBe('all')
  expect(paths.filter((path) => !covers(found, path))).toEqual([])
})

test('a change made just before a barrier is known after it, each time', async () => {
  const { folder, watch } = await watched()
  for (let round = 0; round < 100; round++) {
    writeFileSync(join(folder, `${round}`), 'x')
    expect(await taken(watch)).toEqual(new Set([`${round}`]))
  }
})

test('a file made later in a folder that was new is seen', async () => {
  const { folder, watch } = await watched()
  await mkdir(join(folder, 'one/two/three'), { recursive: true })
  await taken(watch)
  await writeFile(join(folder, 'one/two/three/file'), 'x')
  expect(await taken(watch)).toEqual(new Set(['one/two/three/file']))
})

test('writes, removals and renames are seen under their names', async () => {
  const { folder, watch } = await watched()
  await mkdir(join(folder, 'd'))
  for (const name of ['written', 'removed', 'renamed']) await writeFile(join(folder, 'd', name), 'x')
  await taken(watch)
  await writeFile(join(folder, 'd/written'), 'y')
  await unlink(join(folder, 'd/removed'))
  await rename(join(folder, 'd/renamed'), join(folder, 'new name\n'))
  expect(await taken(watch)).toEqual(new Set(['d/written', 'd/removed', 'd/renamed', 'new name\n']))
})

test('a folder that was moved is watched under its new name only', async () => {
  const { folder, watch } = await watched()
  await mkdir(join(folder, 'old/deep'), { recursive: true })
  await taken(watch)
  await rename(join(folder, 'old'), join(folder, 'new'))
  await taken(watch)
  await writeFile(join(folder, 'new/deep/file'), 'x')
  expect(await taken(watch)).toEqual(new Set(['new/deep/file']))
})

test('a folder that was removed and made again is watched', async () => {
  const { folder, watch } = await watched()
  for (let round = 0; round < 5; round++) {
    await mkdir(join(folder, 'again/deep'), { recursive: true })
    await rm(join(folder, 'again'), { recursive: true })
  }
  await mkdir(join(folder, 'again/deep'), { recursive: true })
  await taken(watch)
  await writeFile(join(folder, 'again/deep/file'), 'x')
  expect(covers(await taken(watch), 'again/deep/file')).toBe(true)
})

test('a link to a folder is not followed', async () => {
  const { folder, watch } = await watched()
  const outside = await temporaryFolder()
  await symlink(outside, join(folder, 'link'))
  expect(await taken(watch)).toEqual(new Set(['link']))
  await writeFile(join(outside, 'file'), 'x')
  expect(await taken(watch)).toEqual(new Set())
})

test('the owner is told that there is something to take', async () => {
  const base = await temporaryFolder()
  const dirty = Promise.withResolvers<void>()
  const deps = { folder: base, cookies: join(await temporaryFolder(), 'c'), clock: systemClock(), log: silent }
  const watch = await watchFolder(deps, dirty.resolve)
  onTestFinished(() => watch.close())
  await writeFile(join(base, 'file'), 'x')
  await dirty.promise
  expect(watch.take()).toEqual(new Set(['file']))
})

test('a barrier that times out means that everything must be looked at', async () => {
  const timers: (() => void)[] = []
  const set = Promise.withResolvers<void>()
  const clock: Clock = {
    ...systemClock(),
    after(_ms, callback) {
      timers.push(callback)
      set.resolve()
      return { cancel: () => undefined }
    }
  }
  const { watch } = await watched(clock)
  const passed = watch.barrier()
  await set.promise
  for (const expire of timers) expire()
  await passed
  expect(watch.take()).toBe('all')
  await watch.barrier()
  expect(watch.take()).toEqual(new Set())
})

test('a missing folder cannot be watched, and a closed watch lets a barrier pass', async () => {
  const base = await temporaryFolder()
  const deps = { folder: join(base, 'none'), cookies: join(base, 'c'), clock: systemClock(), log: silent }
  await expect(watchFolder(deps, () => undefined)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  const { watch } = await watched()
  const passing = watch.barrier()
  watch.close()
  await passing
})
