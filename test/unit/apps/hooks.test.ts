import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { CommandHooks, type HookCommands } from '../../../src/apps/hooks.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { codeOf, messageOf } from '../../../src/core/errors.ts'
import type { ServiceName, WorkspaceId } from '../../../src/core/ids.ts'
import { type Logger, silent } from '../../../src/core/log.ts'
import type { SnapshotHooks } from '../../../src/sync/snapshot-hooks.ts'

const WORKSPACE = '0123456789abcdef0123456789abcdef' as WorkspaceId
const LONG_MS = 20_000

interface Bench {
  readonly folder: string
  readonly warnings: { readonly output?: string; readonly error?: string }[]
  hooks(commands: Partial<HookCommands>, timeoutMs?: number): SnapshotHooks
  isAtWork(command: string, timeoutMs?: number): Promise<boolean>
}

async function bench(): Promise<Bench> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'node-daemon-hooks-')))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const warnings: object[] = []
  const log: Logger = { ...silent, warn: (fields) => void warnings.push(fields) }
  const killGroup = (pid: number): void => void process.kill(-pid, 'SIGKILL')
  const environment = { PATH: '/usr/bin:/bin', LANG: 'C' }
  const place = { workspace: WORKSPACE, service: 'files' as ServiceName, epoch: 3, folder }
  const commandsFor = (timeoutMs: number): CommandHooks =>
    new CommandHooks({ clock: systemClock(), log, environment, timeoutMs, killGroup })
  return {
    folder,
    warnings,
    hooks: (commands, timeoutMs = LONG_MS) =>
      commandsFor(timeoutMs).of({ before: null, after: null, ...commands }, place),
    isAtWork: (command, timeoutMs = LONG_MS) => commandsFor(timeoutMs).isAtWork(command, place, signal)
  }
}

const { signal } = new AbortController()

/** Is this process gone, or only not yet collected by who inherited it? */
async function isDead(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
  return status === null || /\) [ZX] /.test(status)
}

const pidIn = async (path: string): Promise<number> => Number(await readFile(path, 'utf8').catch(() => '0'))

test('a command runs in the folder of the workspace, knows where it is, and finds nothing else of the daemon', async () => {
  const at = await bench()
  process.env.NODE_DAEMON_TEST_SECRET = 'secret'
  onTestFinished(() => {
    delete process.env.NODE_DAEMON_TEST_SECRET
  })
  await at
    .hooks({ before: 'pwd > where; env > found; cat > said; ps -o pgid= -p $$ > group; echo $$ > own' })
    .before(signal)
  const read = async (name: string): Promise<string> => (await readFile(join(at.folder, name), 'utf8')).trim()
  expect(await read('where')).toBe(at.folder)
  const names = (await read('found')).split('\n').map((line) => line.split('=')[0])
  const ofTheShell = ['PWD', 'OLDPWD', 'SHLVL', '_']
  expect(names.filter((name) => !ofTheShell.includes(name ?? '')).sort()).toEqual(
    ['EPOCH', 'LANG', 'PATH', 'SERVICE', 'WORKSPACE_DIR', 'WORKSPACE_ID'].sort()
  )
  expect((await read('found')).split('\n')).toEqual(
    expect.arrayContaining([`WORKSPACE_ID=${WORKSPACE}`, `WORKSPACE_DIR=${at.folder}`, 'SERVICE=files', 'EPOCH=3'])
  )
  expect(await read('said'), 'nothing on stdin').toBe('')
  expect((await read('group')).trim(), 'a group of its own').toBe(await read('own'))
})

test('a before-snapshot that fails says so, and the end of its output is logged', async () => {
  const at = await bench()
  const noise = 'i=0; while [ $i -lt 2000 ]; do echo "noise $i"; i=$((i+1)); done'
  const failure = at.hooks({ before: `${noise}; echo "no such database" >&2; exit 3` }).before(signal)
  expect(await failure.then(() => 'done', messageOf)).toBe('before-snapshot of files ended with 3: no such database')
  expect(
    await at
      .hooks({ before: 'exit 3' })
      .before(signal)
      .then(() => 'done', codeOf)
  ).toBe('BUSY')
  const [{ output = '' } = {}] = at.warnings
  expect(output).toContain('noise 1999')
  expect(output).toContain('no such database')
  expect(output.length).toBeLessThanOrEqual(4096)
})

test('a command that was killed is a failure too', async () => {
  const at = await bench()
  const failure = at.hooks({ before: 'kill -TERM $$' }).before(signal)
  expect(await failure.then(() => 'done', messageOf)).toBe('before-snapshot of files ended with SIGTERM')
})

test('one that hangs is killed after its time, with all that it started', async () => {
  const at = await bench()
  const hangs = at.hooks({ before: 'sleep 1000 & echo $! > child; wait' }, 300).before(signal)
  expect(await hangs.then(() => 'done', codeOf)).toBe('TIMED_OUT')
  const child = await pidIn(join(at.folder, 'child'))
  expect(child).toBeGreaterThan(0)
  await expect.poll(() => isDead(child)).toBe(true)
  expect(at.warnings[0]?.error).toContain('took longer than 300 ms')
})

test('a stop ends a command at once, and is no failure to be logged', async () => {
  const at = await bench()
  const stopping = new AbortController()
  const running = at.hooks({ before: 'sleep 1000 & echo $! > child; wait' }).before(stopping.signal)
  const outcome = running.then(() => 'done', codeOf)
  await expect.poll(() => pidIn(join(at.folder, 'child'))).toBeGreaterThan(0)
  stopping.abort()
  expect(await outcome).toBe('ABORTED')
  const child = await pidIn(join(at.folder, 'child'))
  await expect.poll(() => isDead(child)).toBe(true)
  expect(at.warnings).toEqual([])
})

test('what a command leaves running with its output does not hold it up', async () => {
  const at = await bench()
  await at.hooks({ before: 'sleep 1000 & echo $! > child' }).before(signal)
  const child = await pidIn(join(at.folder, 'child'))
  expect(await isDead(child)).toBe(false)
  process.kill(child, 'SIGKILL')
})

test('an after-snapshot that fails is logged, and stops nothing', async () => {
  const at = await bench()
  await at.hooks({ after: 'echo cannot unlock; exit 1' }).after()
  expect(at.warnings[0]).toMatchObject({ output: 'cannot unlock\n' })
})

test('a folder that is missing is a failure, not a command elsewhere', async () => {
  const at = await bench()
  await rm(at.folder, { recursive: true })
  expect(
    await at
      .hooks({ before: 'true' })
      .before(signal)
      .then(() => 'done', codeOf)
  ).not.toBe('done')
})

test('at most four before-snapshots run at once', async () => {
  const at = await bench()
  const hooks = at.hooks({
    before: 'mkdir -p on; touch on/$$; ls on | wc -l >> seen; while [ ! -e go ]; do sleep 0.02; done; rm on/$$'
  })
  const all = Array.from({ length: 6 }, () => hooks.before(signal))
  const seen = async (): Promise<string[]> =>
    (await readFile(join(at.folder, 'seen'), 'utf8').catch(() => '')).trim().split('\n')
  await expect.poll(async () => (await seen()).length).toBe(4)
  await writeFile(join(at.folder, 'go'), '')
  await Promise.all(all)
  expect(Math.max(...(await seen()).map(Number))).toBe(4)
})

test('users are at work where the command says so with 0, and not where it ends otherwise', async () => {
  const at = await bench()
  await writeFile(join(at.folder, 'notebook.lock'), '')
  expect(await at.isAtWork('test -e notebook.lock')).toBe(true)
  expect(await at.isAtWork('test -e other.lock')).toBe(false)
  expect(await at.isAtWork('no-such-command')).toBe(false)
  expect(at.warnings).toEqual([])
})

test('who does not say in time whether users are at work is not interrupted', async () => {
  const at = await bench()
  expect(await at.isAtWork('echo $$ > own; sleep 60', 200)).toBe(true)
  expect(at.warnings).toHaveLength(1)
  await expect.poll(async () => isDead(await pidIn(join(at.folder, 'own')))).toBe(true)
})
