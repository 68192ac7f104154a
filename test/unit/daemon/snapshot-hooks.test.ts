import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { codeOf, NodeDaemonError } from '../../../src/core/errors.ts'
import type { ServiceName, WorkspaceId } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import type { HookOptions } from '../../../src/daemon/options.ts'
import { commandHooks, snapshotHooks } from '../../../src/daemon/snapshot-hooks.ts'
import type { HomePlace } from '../../../src/handover/resident-deps.ts'

const FILES = 'files' as ServiceName
const OTHER = 'notes' as ServiceName
const DEPS = { clock: systemClock(), log: silent }
const hooksOf = (options: HookOptions, services: readonly ServiceName[]) =>
  snapshotHooks(options, services, commandHooks(options, DEPS))
const SILENT = { before: {}, after: {}, busy: {}, ready: {}, freeze: {}, thaw: {}, timeoutMs: 10_000, intervalMs: 5000 }

async function place(service: ServiceName): Promise<HomePlace> {
  const folder = await mkdtemp(join(tmpdir(), 'node-daemon-hooks-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return { workspace: '0123456789abcdef0123456789abcdef' as WorkspaceId, service, epoch: 1, folder }
}

test('only the services that have a command have hooks, each its own', async () => {
  const options = { ...SILENT, before: { files: 'echo before > said' }, after: { notes: 'echo after > said' } }
  const hooksFor = hooksOf(options, [FILES, OTHER])
  const files = await place(FILES)
  const notes = await place(OTHER)
  const found = hooksFor(files)
  expect(found?.intervalMs).toBe(5000)
  await found?.hooks.before(AbortSignal.timeout(10_000))
  await found?.hooks.after()
  expect(await readFile(join(files.folder, 'said'), 'utf8')).toBe('before\n')
  await hooksFor(notes)?.hooks.before(AbortSignal.timeout(10_000))
  await hooksFor(notes)?.hooks.after()
  expect(await readFile(join(notes.folder, 'said'), 'utf8')).toBe('after\n')
  expect(hooksOf(SILENT, [FILES])(files)).toBeNull()
})

test('a command finds PATH, and of this process nothing but HOME and LANG beside it', async () => {
  const files = await place(FILES)
  const hooks = hooksOf({ ...SILENT, before: { files: 'env > said' } }, [FILES])(files)
  await hooks?.hooks.before(AbortSignal.timeout(10_000))
  const names = (await readFile(join(files.folder, 'said'), 'utf8')).split('\n').map((line) => line.split('=')[0])
  const allowed = [
    'PATH',
    'HOME',
    'LANG',
    'WORKSPACE_ID',
    'WORKSPACE_DIR',
    'SERVICE',
    'EPOCH',
    'PWD',
    'OLDPWD',
    '_',
    'SHLVL',
    ''
  ]
  expect(names).toContain('PATH')
  expect(names.filter((name) => !allowed.includes(name ?? ''))).toEqual([])
})

test('a command that hangs is killed after its time', async () => {
  const files = await place(FILES)
  const options = { ...SILENT, timeoutMs: 200, before: { files: 'sleep 1000' } }
  const before = hooksOf(options, [FILES])(files)?.hooks.before(AbortSignal.timeout(10_000))
  expect(await before?.then(() => 'done', codeOf)).toBe('TIMED_OUT')
})

test('a command for a service that is not offered is refused, naming what is', () => {
  const make = (): unknown => hooksOf({ ...SILENT, after: { notes: 'true' } }, [FILES])
  expect(make).toThrow(NodeDaemonError)
  expect(make).toThrow('there is a snapshot hook for "notes", which is not offered here')
})
