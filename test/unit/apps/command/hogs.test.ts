import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { whoFills } from '../../../../src/apps/command/disk-use.ts'
import { until } from '../../../tools/program.ts'
import { type AppsBench, appsBench, BWRAP } from './bench.ts'
import { workspaceNumber } from './names.ts'

const LIMITS = { memoryBytes: 300 * 1024 ** 2, processes: 40, openFiles: 64 }

/** Runs a script in one workspace until its app is ended. Another one is served meanwhile, and by the same process as before. */
async function harmsNobody({ run, failures }: AppsBench, script: string): Promise<string> {
  await run('globalThis.seen = 1', 2)
  void run(script).catch(() => undefined)
  const [told = ''] = await until('it was ended', async () => {
    expect(await run('return globalThis.seen', 2)).toBe(1)
    return failures.length > 0 && failures
  })
  expect(await run('return globalThis.seen', 2)).toBe(1)
  return told
}

test('an app that takes more memory than it may is ended, and no other', async () => {
  const bench = await appsBench({ sandbox: { ...BWRAP, limits: LIMITS } })
  const hog = `const kept = []; for (;;) { kept.push(Buffer.alloc(16 * 1024 * 1024, 1)); await new Promise((go) => setTimeout(go, 10)) }`
  expect(await harmsNobody(bench, hog)).toContain('it took more than 300 MiB of memory')
})

test('an app that starts more processes than it may is ended, or gets no more, and no other', async () => {
  const bench = await appsBench({ sandbox: { ...BWRAP, limits: LIMITS } })
  const bomb = `const { spawn } = await load('node:child_process')
    for (let count = 0; count < 200; count++) spawn('sleep', ['1000'], { stdio: 'ignore' }).on('error', () => undefined)
    return 'still there'`
  await bench.run('globalThis.seen = 1', 2)
  await bench.run(bomb).catch(() => undefined)
  const count = `return (await load('node:fs')).readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name)).length`
  await until('there are no more than it may have', async () => Number(await bench.run(count)) <= LIMITS.processes)
  expect(await bench.run('return globalThis.seen', 2)).toBe(1)
})

test('an app that starts more threads than it may is ended, or gets no more', async () => {
  const { run } = await appsBench({ sandbox: { ...BWRAP, limits: { ...LIMITS, memoryBytes: 1e9, openFiles: 1024 } } })
  const bomb = `const { Worker } = await load('node:worker_threads')
    const workers = Array.from({ length: 30 }, () => new Worker('setInterval(() => undefined, 1000)', { eval: true }))
    await Promise.all(workers.map((one) => new Promise((go) => one.once('online', go).once('error', go))))`
  await run(bomb).catch(() => undefined)
  const count = `const { readdirSync } = await load('node:fs')
    const pids = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))
    return pids.reduce((sum, pid) => sum + readdirSync('/proc/' + pid + '/task').length, 0)`
  const threads = (): Promise<number> => run(count).then(Number, () => Number.POSITIVE_INFINITY)
  await until('there are no more than it may have', async () => (await threads()) <= LIMITS.processes)
})

test.each(['/tmp', '/dev/shm'])('what an app keeps in memory as files counts as well (%s)', async (folder) => {
  const bench = await appsBench({ sandbox: { ...BWRAP, limits: LIMITS } })
  const fill = `const { writeFileSync } = await load('node:fs')
    globalThis.kept = Buffer.alloc(195 * 1024 * 1024, 1)
    for (let count = 0; count < 70; count++) writeFileSync('${folder}/' + count, Buffer.alloc(1024 * 1024, 1))`
  void bench.run(fill).catch(() => undefined)
  await until('it was ended', () => bench.failures.length > 0)
  expect(bench.failures).toEqual([expect.stringContaining('more than 300 MiB of memory')])
})

test.skipIf(!existsSync('/usr/bin/python3'))('so does a file without a name', async () => {
  const bench = await appsBench({ sandbox: { ...BWRAP, limits: LIMITS } })
  const hold = `import os, time
file = os.memfd_create('x')
for _ in range(320): os.write(file, bytes(1 << 20))
time.sleep(1000)`
  await bench.run(`(await load('node:child_process')).spawn('/usr/bin/python3', ['-c', ${JSON.stringify(hold)}])`)
  await until('it was ended', () => bench.failures.length > 0)
  expect(bench.failures).toEqual([expect.stringContaining('more than 300 MiB of memory')])
})

test('of a disk that is nearly full, the app that fills it is ended, and not one that writes without filling it', async () => {
  let free = 1e12
  const bench = await appsBench({ reserveBytes: 1e9, freeBytes: async () => free })
  const honest = `const { openSync, writeSync, fsyncSync } = await load('node:fs')
    const file = openSync('own', 'w'); const chunk = Buffer.alloc(1024 * 1024, 1)
    globalThis.rounds = 0
    setInterval(() => { writeSync(file, chunk, 0, chunk.length, 0); fsyncSync(file); globalThis.rounds++ }, 20)`
  const hog = `const { execFileSync } = await load('node:child_process')
    for (let count = 1; count < 60; count++) {
      execFileSync('fallocate', ['--length', count * 20 + 'MiB', 'big'])
      await new Promise((go) => setTimeout(go, 200))
    }`
  await Promise.all([bench.run('globalThis.rounds = 0'), bench.run(honest, 2)])
  void bench.run(hog).catch(() => undefined)
  free = 1e8
  const app = bench.apps.find(workspaceNumber(1))
  await until('it was ended', () => app?.isRunning === false)
  const rounds = (): Promise<number> => bench.run('return globalThis.rounds', 2).then(Number)
  const before = await rounds()
  await until('the other one goes on', async () => (await rounds()) > before + 60)
  expect(bench.failures).toEqual([expect.stringContaining('it added most')])
  await until('nothing is started while there is no room', async () => (await bench.ask()).status === 507)
  free = 1e12
  expect((await bench.ask()).status).toBe(200)
})

test('whoever is beyond a limit is ended before one that has grown more, and nobody who has hardly grown', () => {
  const uses = [
    { app: 'large', grownBytes: 900, overBytes: -100 },
    { app: 'over', grownBytes: 100, overBytes: 50 },
    { app: 'over for long', grownBytes: 9, overBytes: 5000 }
  ]
  expect(whoFills(uses, 10)?.app).toBe('over')
  expect(whoFills(uses.slice(0, 1), 10)?.app).toBe('large')
  expect(whoFills(uses.slice(2), 10)).toBeNull()
})

test('what an app says is kept to a bound', async () => {
  const { run, root } = await appsBench()
  await run(`const line = 'x'.repeat(1023) + '\\n'
    for (let count = 0; count < 3000; count++) await new Promise((go) => process.stdout.write(line, go))`)
  const log = join(root, 'apps', workspaceNumber(1), 'log')
  await until('all was read', async () => (await readFile(log)).length > 0 && (await readFile(`${log}.1`)).length > 0)
  for (const path of [log, `${log}.1`]) expect((await readFile(path)).length).toBeLessThanOrEqual(1024 * 1024)
})
