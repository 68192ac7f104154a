import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { endLeftovers, markRunning, unmark } from '../../../../src/apps/command/leftovers.ts'
import { environOf, factsOf } from '../../../../src/apps/command/proc.ts'
import { sendSignal } from '../../../../src/daemon/app-machine.ts'
import { until } from '../../../tools/program.ts'

const DAEMON = fileURLToPath(new URL('./daemon.ts', import.meta.url))

async function folder(): Promise<string> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'node-daemon-left-')))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

async function sleeper(): Promise<ChildProcess> {
  const child = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' })
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child, 'spawn')
  return child
}

test('what a killed daemon left running is ended at its next start, and nobody else who has the number by now', async () => {
  const apps = await folder()
  const [left, other, ended] = await Promise.all([sleeper(), sleeper(), sleeper()])
  const [first, second] = [join(apps, 'first'), join(apps, 'second')]
  await Promise.all([mkdir(first), mkdir(second)])
  await markRunning(first, left.pid ?? 0, true, '/w')
  await markRunning(first, ended.pid ?? 0, true, '/w')
  await unmark(first, ended.pid ?? 0)
  const mark = { pid: other.pid, startedAt: '1', boot: 'another', group: true }
  await writeFile(join(second, `process-${other.pid}.json`), JSON.stringify(mark))
  await writeFile(join(second, 'process-1.json'), '{"pid":1')
  expect(await endLeftovers(apps, sendSignal)).toBe(1)
  await until('it has ended', () => left.signalCode !== null)
  expect([other, ended].map(({ pid }) => factsOf(pid ?? 0) !== null)).toEqual([true, true])
  expect(await readdir(apps, { recursive: true })).toEqual(['first', 'second'])
})

test('of a group whose first process is gone, what was started for the workspace is ended, and nobody else', async () => {
  const apps = await folder()
  const folderOfApp = join(apps, 'one')
  await mkdir(folderOfApp)
  const script = `NODE_DAEMON_DIR=/w/one sleep 1000 & echo $!; NODE_DAEMON_DIR=/w/two sleep 1000 & echo $!; read go`
  const first = spawn('sh', ['-c', script], { detached: true, stdio: ['pipe', 'pipe', 'ignore'] })
  const lines = createInterface(first.stdout)[Symbol.asyncIterator]()
  const [own = 0, other = 0] = [Number((await lines.next()).value), Number((await lines.next()).value)]
  onTestFinished(() => [own, other].forEach((pid) => void sendSignal(pid, 'SIGKILL')))
  await markRunning(folderOfApp, first.pid ?? 0, true, '/w/one')
  first.kill('SIGKILL')
  await until('the first has ended', () => factsOf(first.pid ?? 0) === null)
  await until('their programs have begun', () =>
    [own, other].every((pid) => environOf(pid).some((one) => one.includes('/w/')))
  )
  expect(await endLeftovers(apps, sendSignal)).toBe(1)
  await until('its own has ended', () => factsOf(own) === null)
  expect(factsOf(other)).not.toBeNull()
  expect(await readdir(folderOfApp)).toEqual([])
})

test.each(['bwrap', 'none'])('an app ends with its daemon, however that ends (%s)', async (kind) => {
  const root = await folder()
  const daemon = spawn(process.execPath, [DAEMON, root, kind], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void daemon.kill('SIGKILL'))
  if (daemon.stdout === null) throw new Error('no output')
  const [line] = (await once(createInterface(daemon.stdout), 'line')) as [string]
  const pids = JSON.parse(line) as number[]
  expect(pids.length).toBeGreaterThan(kind === 'bwrap' ? 1 : 0)
  expect(pids.every((pid) => factsOf(pid) !== null)).toBe(true)
  daemon.kill('SIGKILL')
  await until('all of it is gone', () => pids.every((pid) => factsOf(pid) === null), 5000)
})
