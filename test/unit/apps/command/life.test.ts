import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { factsOf } from '../../../../src/apps/command/proc.ts'
import type { HookPlace } from '../../../../src/apps/hooks.ts'
import { until } from '../../../tools/program.ts'
import { appsBench, NONE } from './bench.ts'
import { SCRIPT, workspaceNumber } from './names.ts'

const HTML = { accept: 'text/html' }
const CRASH = 'console.error("out of luck"); setImmediate(() => process.exit(3))'

test('each workspace has a process of its own, started with the first request and kept for the next', async () => {
  const { ask, run, apps } = await appsBench()
  const first = await ask()
  expect([first.status, JSON.parse(first.body).url]).toEqual([200, '/notes/'])
  await run('globalThis.seen = 1')
  expect(await run('return globalThis.seen')).toBe(1)
  expect(await run('return globalThis.seen ?? null', 2)).toBeNull()
  expect(apps.find(workspaceNumber(2))?.isRunning).toBe(true)
})

test('an app on a socket is told where it is, and its secret is the same after a new start', async () => {
  const { ask, run, apps } = await appsBench({
    command: `/run/node-daemon/node ${SCRIPT} {socket} {dir} {base} {secret}`
  })
  const told = 'return [process.argv.slice(2), process.env.NODE_DAEMON_SECRET]'
  const [words, secret] = (await run(told)) as [string[], string]
  expect(words).toEqual(['/run/app/http.sock', expect.stringContaining(workspaceNumber(1)), '/notes/', secret])
  await apps.find(workspaceNumber(1))?.stop()
  expect(await run(told)).toEqual([words, secret])
  expect((await run(told, 2)) as unknown[]).not.toContain(secret)
  expect((await ask()).status).toBe(200)
})

test('a newcomer is offered to begin: the change that brings the workspace into being leads back to the page', async () => {
  const { ask } = await appsBench()
  const page = await ask('/notes/', { workspace: 0, headers: HTML })
  expect([page.status, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
  const [, action = ''] = /method="post" action="([^"]+)"/.exec(page.body) ?? []
  const begun = await ask(`/notes/${action}`, { method: 'POST', workspace: 1 })
  expect([begun.status, begun.headers.location]).toEqual([303, '/notes/'])
  expect((await ask('/notes/', { workspace: 0 })).status).toBe(404)
})

test('an app that crashes is told with its last words, and started again a while later', async () => {
  const { ask, run, failures } = await appsBench()
  await run(CRASH)
  await until('the crash is noted', () => failures.length > 0)
  expect(failures).toEqual(['the app of this service failed: it ended with 3; its last words: out of luck'])
  await until('it is there again', async () => (await ask()).status === 200)
})

test('an app that cannot start is told as such, and what it said is kept', async () => {
  const { ask, root } = await appsBench({ command: 'sh -c "echo no such luck; exit 7" {port}' })
  const { status, body } = await ask()
  expect([status, body]).toEqual([502, expect.stringContaining('it ended with 7; its last words: no such luck')])
  expect(await readFile(join(root, 'apps', workspaceNumber(1), 'log'), 'utf8')).toContain('no such luck')
})

test('an app that never answers is ended after the time for its start', async () => {
  const { ask, apps } = await appsBench({ command: 'sleep 1000{port}', startMs: 300 })
  const { status, body } = await ask()
  expect([status, body]).toEqual([502, expect.stringContaining('its start took longer than 300 ms')])
  expect(apps.find(workspaceNumber(1))?.isRunning).toBe(false)
})

test('requests wait for an app that is slow to be ready, and are served then', async () => {
  let asked = 0
  const { ask } = await appsBench({ isReady: async () => ++asked > 3 })
  expect((await Promise.all([ask(), ask()])).map(({ status }) => status)).toEqual([200, 200])
  expect(asked).toBe(4)
})

test('held, what waits for the start is refused as for another home, and the app is not to blame', async () => {
  const { ask, apps, place } = await appsBench({ command: 'sleep 1000{port}' })
  await place()
  const waiting = ask()
  const app = apps.find(workspaceNumber(1))
  await until('it is starting', () => app?.isRunning)
  app?.hold()
  expect((await waiting).body).toBe('NOT_HOME')
  await app?.stop()
  expect((await ask()).body).toBe('NOT_HOME')
  app?.letIn()
  const again = ask()
  await until('it is starting again, at once', () => app?.isRunning)
  await app?.close()
  expect((await again).body).toBe('NOT_HOME')
  expect(apps.find(workspaceNumber(1))).toBeNull()
})

test('stopped, an app may write what it has; one that does not end is made to', async () => {
  const { run, apps, place } = await appsBench()
  const { folder } = await place()
  const write = `const { writeFileSync } = await load('node:fs')
    process.removeAllListeners('SIGTERM')
    process.on('SIGTERM', () => { writeFileSync('last.txt', 'saved'); process.exit(0) })`
  await run(write)
  await apps.find(workspaceNumber(1))?.stop()
  expect(await readFile(join(folder, 'last.txt'), 'utf8')).toBe('saved')

  await run(`process.removeAllListeners('SIGTERM'); process.on('SIGTERM', () => undefined)`)
  const root = await apps.find(workspaceNumber(1))?.running?.root()
  await apps.find(workspaceNumber(1))?.stop()
  expect(factsOf(root ?? 0)).toBeNull()
})

test('one that nobody uses is stopped; an open WebSocket is a use', async () => {
  const { ask, apps, upgrade } = await appsBench({ idleMs: 300 })
  const socket = await upgrade()
  socket.write('hello')
  await until('it is echoed', () => socket.read()?.toString() === 'hello')
  await ask('/notes/', { workspace: 2 })
  await until('the second is stopped', () => apps.find(workspaceNumber(2))?.isRunning === false)
  expect(apps.find(workspaceNumber(1))?.isRunning).toBe(true)
  socket.destroy()
  await until('the first is stopped', () => apps.find(workspaceNumber(1))?.isRunning === false)
  expect((await ask()).status).toBe(200)
})

test('of more apps than may run at once, the one that is idle longest makes room; where all are in use, a newcomer waits', async () => {
  const { ask, apps, upgrade } = await appsBench({ appsMax: 1 })
  await ask('/notes/', { workspace: 1 })
  await ask('/notes/', { workspace: 2 })
  expect([1, 2].map((number) => apps.find(workspaceNumber(number))?.isRunning)).toEqual([false, true])
  const socket = await upgrade(2)
  const { status, headers, body } = await ask('/notes/', { workspace: 1, headers: HTML })
  expect([status, headers['retry-after']]).toEqual([503, '2'])
  expect(body).toContain('1 apps are in use on this server')
  socket.destroy()
})

test('one that says that users are at work is neither stopped for being idle nor to make room', async () => {
  const asked: string[] = []
  const isAtWork = async ({ workspace }: HookPlace): Promise<boolean> => {
    asked.push(workspace)
    return workspace === workspaceNumber(1)
  }
  const { ask, apps } = await appsBench({ appsMax: 2, idleMs: 500, isAtWork })
  await Promise.all([ask(), ask('/notes/', { workspace: 2 })])
  await until('the second is stopped', () => apps.find(workspaceNumber(2))?.isRunning === false)
  await until('the first was asked', () => asked.includes(workspaceNumber(1)))
  expect((await ask('/notes/', { workspace: 3 })).status).toBe(200)
  expect((await ask('/notes/', { workspace: 4 })).status).toBe(200)
  expect([1, 3].map((number) => apps.find(workspaceNumber(number))?.isRunning)).toEqual([true, false])
})

test('of many that come at once, no more are started than may run', async () => {
  const { ask, apps, place } = await appsBench({ appsMax: 2 })
  const all = [1, 2, 3, 4, 5, 6, 7, 8]
  for (const workspace of all) await place(workspace)
  const running = (): number => all.filter((one) => apps.find(workspaceNumber(one))?.isRunning).length
  const most = { count: 0 }
  const answers = all.map(async (workspace) => {
    const { status } = await ask('/notes/', { workspace })
    most.count = Math.max(most.count, running())
    return status
  })
  expect(new Set(await Promise.all(answers))).toEqual(new Set([200, 503]))
  expect([most.count, running()]).toEqual([2, 2])
})

test('an app that cannot start gives its place back', async () => {
  const { ask } = await appsBench({ command: 'sh -c "exit 7" {port}', appsMax: 1 })
  const statuses: number[] = []
  for (const workspace of [1, 2, 3]) statuses.push((await ask('/notes/', { workspace })).status)
  expect(statuses).toEqual([502, 502, 502])
})

test('a disk that is nearly full: nothing is started', async () => {
  const { ask } = await appsBench({ reserveBytes: 10, freeBytes: async () => 9 })
  expect((await ask()).status).toBe(507)
})

test('without a sandbox an app runs as the daemon does, and ends with all that it started', async () => {
  const { run, apps } = await appsBench({ sandbox: NONE })
  const child = await run(`return (await load('node:child_process')).spawn('sleep', ['1000'], { stdio: 'ignore' }).pid`)
  expect(factsOf(Number(child))).not.toBeNull()
  await run(`process.removeAllListeners('SIGTERM'); process.on('SIGTERM', () => undefined)`)
  await apps.find(workspaceNumber(1))?.stop()
  await until('the child is gone', () => factsOf(Number(child)) === null)
})

test('an app that hangs harms no other, and is made to end', async () => {
  const { ask, run, apps } = await appsBench()
  await ask()
  const hung = run('for (;;) {}').catch(() => 'broken off')
  expect((await ask('/notes/', { workspace: 2 })).status).toBe(200)
  await apps.find(workspaceNumber(1))?.stop()
  expect(await hung).toBe('broken off')
  expect((await ask()).status).toBe(200)
})

test('what an app has left behind goes with the files of its workspace', async () => {
  const { ask, apps, place, root } = await appsBench()
  await Promise.all([ask(), ask('/notes/', { workspace: 2 })])
  await rm((await place(1)).folder, { recursive: true })
  await apps.close()
  expect((await readdir(join(root, 'apps'))).sort()).toEqual([workspaceNumber(2), 'group', 'passwd'])
})
