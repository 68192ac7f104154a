import { type FSWatcher, writeFileSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type Logger, silent } from '../../../src/core/log.ts'
import { type FolderWatch, watchFolder } from '../../../src/worktree/watch.ts'
import { type WatchPath, watchPath } from '../../../src/worktree/watch-queue.ts'
import { type ManualClock, manualClock } from '../../tools/clock.ts'
import { temporaryFolder } from './support.ts'

interface Watched {
  readonly folder: string
  readonly clock: ManualClock
  readonly watch: FolderWatch
  readonly warnings: { readonly fields: object; readonly text: string }[]
  dirty: number
}

async function watched(watch: WatchPath): Promise<Watched> {
  const base = await temporaryFolder()
  const folder = join(base, 'files')
  await mkdir(join(folder, 'd'), { recursive: true })
  const clock = manualClock()
  const warnings: Watched['warnings'] = []
  const log: Logger = { ...silent, warn: (fields, text) => void warnings.push({ fields, text }) }
  const at = { folder, clock, warnings, dirty: 0 }
  const deps = { folder, cookies: join(base, 'cookies'), clock, log, watch }
  const folderWatch = await watchFolder(deps, () => at.dirty++)
  onTestFinished(() => folderWatch.close())
  return Object.assign(at, { watch: folderWatch })
}

const systemError = (code: string): Error => Object.assign(new Error(`${code}: watch`), { code })

test.each([
  ['ENOSPC', 'max_user_watches'],
  ['EMFILE', 'max_user_instances']
])(
  'where the system allows no more watches (%s), all is looked at until it does, and the log says what helps',
  async (code, help) => {
    let allowed = false
    let refused = 0
    const at = await watched((path, onEvent) => {
      if (!allowed && path.endsWith('/d')) {
        refused++
        throw systemError(code)
      }
      return watchPath(path, onEvent)
    })
    expect(at.warnings).toMatchObject([{ fields: { advice: expect.stringContaining(help) } }])
    expect(at.dirty).toBe(1)
    expect([at.watch.take(), at.watch.take()], 'each time it is asked').toEqual(['all', 'all'])

    at.clock.advance(10_000)
    expect(at.dirty, 'it is polled').toBe(2)
    await expect.poll(() => refused).toBe(2)
    expect(at.warnings.length, 'it is told once').toBe(1)

    allowed = true
    at.clock.advance(10_000)
    expect(at.watch.take()).toBe('all')
    await at.watch.barrier()
    expect(at.watch.take()).toEqual(new Set())
    writeFileSync(join(at.folder, 'd/file'), 'x')
    await at.watch.barrier()
    expect(at.watch.take()).toEqual(new Set(['d/file']))
  }
)

test('as many events at once as the queue of the system holds mean that some were lost', async () => {
  const listeners: Parameters<WatchPath>[1][] = []
  const at = await watched((path, onEvent) => {
    listeners.push(onEvent)
    return watchPath(path, onEvent)
  })
  const other = await watched(watchPath)
  const [tell] = listeners
  const length = Number.parseInt(await readFile('/proc/sys/fs/inotify/max_queued_events', 'utf8'), 10)
  for (let event = 0; event < length / 2; event++) tell?.('change', Buffer.from('file'))
  expect(at.watch.take()).toBe('all')
  expect(other.watch.take(), 'they share the queue').toBe('all')
  expect(at.warnings).toMatchObject([{ fields: { reason: expect.stringContaining('max_queued_events') } }])
})

test('a watch that fails later means that everything must be looked at, and is made anew', async () => {
  const watchers: FSWatcher[] = []
  const at = await watched((path, onEvent) => {
    const watcher = watchPath(path, onEvent)
    watchers.push(watcher)
    return watcher
  })
  watchers[1]?.emit('error', systemError('EIO'))
  expect(at.watch.take()).toBe('all')
  expect(at.dirty).toBe(1)
  await at.watch.barrier()
  at.watch.take()
  writeFileSync(join(at.folder, 'd/file'), 'x')
  await at.watch.barrier()
  expect(at.watch.take()).toEqual(new Set(['d/file']))
})
