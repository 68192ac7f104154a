import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
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

test('of a disk that is nearly full, the app that writes most is ended, and no other', async () => {
  let free = 1e12
  const bench = await appsBench({ reserveBytes: 1e9, freeBytes: async () => free })
  const hog = `const { openSync, writeSync, fsyncSync } = await load('node:fs')
    const file = openSync('big', 'w'); const chunk = Buffer.alloc(1024 * 1024, 1)
    for (let count = 0; count < 2000; count++) {
      writeSync(file, chunk, 0, chunk.length, (count % 20) * chunk.length); fsyncSync(file)
      await new Promise((go) => setImmediate(go))
    }`
  await Promise.all([bench.ask('/notes/', { workspace: 1 }), bench.ask('/notes/', { workspace: 2 })])
  void bench.run(hog).catch(() => undefined)
  free = 1e8
  const app = bench.apps.find(workspaceNumber(1))
  await until('it was ended', () => app?.isRunning === false)
  expect(bench.apps.find(workspaceNumber(2))?.isRunning).toBe(true)
  expect(bench.failures).toEqual([expect.stringContaining('it wrote most')])
  await until('nothing is started while there is no room', async () => (await bench.ask()).status === 507)
  free = 1e12
  expect((await bench.ask()).status).toBe(200)
})

test('what an app says is kept to a bound', async () => {
  const { run, root } = await appsBench()
  await run(`const line = 'x'.repeat(1023) + '\\n'
    for (let count = 0; count < 3000; count++) await new Promise((go) => process.stdout.write(line, go))`)
  const log = join(root, 'apps', workspaceNumber(1), 'log')
  await until('all was read', async () => (await readFile(log)).length > 0 && (await readFile(`${log}.1`)).length > 0)
  for (const path of [log, `${log}.1`]) expect((await readFile(path)).length).toBeLessThanOrEqual(1024 * 1024)
})
