import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type AppsBench, appsBench, BWRAP } from './bench.ts'
import { SCRIPT, workspaceNumber } from './names.ts'

const read = (path: string): string => `return (await load('node:fs')).readFileSync(${JSON.stringify(path)}, 'utf8')`
const write = (path: string): string =>
  `(await load('node:fs')).writeFileSync(${JSON.stringify(path)}, 'x'); return 'written'`
const connect = (where: object): string => `
  const { connect } = await load('node:net')
  return await new Promise((done, fail) => {
    connect(${JSON.stringify(where)}, () => done('connected')).on('error', fail)
  })`

async function bench(): Promise<AppsBench> {
  const made = await appsBench()
  await Promise.all([made.place(1), made.place(2)])
  return made
}

test('an app reads and writes its own workspace, at the same path as outside', async () => {
  const { place, run } = await bench()
  const { folder } = await place(1)
  await writeFile(join(folder, 'a.txt'), 'mine')
  expect(await run(read(join(folder, 'a.txt')))).toBe('mine')
  expect(await run(write(join(folder, 'b.txt')))).toBe('written')
  expect(await readFile(join(folder, 'b.txt'), 'utf8')).toBe('x')
})

test("an app reaches neither a neighbour's workspace nor the daemon's key, nor can it write outside", async () => {
  const { root, place, run, ask } = await bench()
  const { folder } = await place(2)
  await writeFile(join(folder, 'private.txt'), 'not yours')
  await writeFile(join(root, 'identity.key'), 'secret')
  await ask('/notes/', { workspace: 2 })
  for (const path of [join(folder, 'private.txt'), join(root, 'identity.key'), '/etc/shadow', '/root/.profile']) {
    expect(await run(read(path)), path).toEqual({ error: 'ENOENT' })
  }
  const link = `(await load('node:fs')).symlinkSync(${JSON.stringify(folder)}, 'way'); return (await load('node:fs')).readdirSync('way')`
  expect(await run(link), 'by a link').toEqual({ error: 'ENOENT' })
  for (const path of ['/x', '/usr/x', '/etc/x', '/run/x', '/dev/x', '/proc/sys/kernel/core_pattern']) {
    expect(await run(write(path)), path).toEqual({ error: expect.stringMatching(/^(EROFS|EACCES)$/) })
  }
  const elsewhere = join(root, 'elsewhere.txt')
  await run(write(elsewhere))
  expect(existsSync(elsewhere), 'what it writes beside its workspace stays inside').toBe(false)
})

test("an app sees no other process, reaches no neighbour's port or socket, and has no way out", async () => {
  const { root, address, run, ask, place } = await bench()
  await ask('/notes/', { workspace: 2 })
  const { workspace } = await place(2)
  expect(await run(connect(address))).toEqual({ error: 'ECONNREFUSED' })
  expect(await run(connect({ path: join(root, 'apps', workspace, 'run', 'http.sock') }))).toEqual({ error: 'ENOENT' })
  expect(await run(connect({ host: '192.0.2.1', port: 80 }))).toEqual({ error: 'ENETUNREACH' })
  const commands = await run(`
    const { readdirSync, readFileSync } = await load('node:fs')
    const pids = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))
    return pids.map((pid) => readFileSync('/proc/' + pid + '/cmdline', 'utf8').split('\\0')[0])`)
  expect([...new Set(commands as string[])].sort()).toEqual(['/run/node-daemon/node', 'bwrap'])
  expect(await run(`process.kill(${process.pid}, 0)`)).toEqual({ error: 'ESRCH' })
})

test('an app finds nothing of the environment of the daemon, and a quarter of its memory limit in each folder for scratch', async () => {
  process.env.TEST_SECRET_OF_DAEMON = 'x'
  const { run } = await appsBench({ sandbox: { ...BWRAP, limits: { ...BWRAP.limits, memoryBytes: 256 * 1024 ** 2 } } })
  const names = await run('return Object.keys(process.env)')
  delete process.env.TEST_SECRET_OF_DAEMON
  expect(
    (names as string[]).filter((name) => !/^(NODE_DAEMON_\w+|PATH|LANG|HOME|USER|LOGNAME|PWD)$/.test(name))
  ).toEqual([])
  const fill = (folder: string): string =>
    `(await load('node:fs')).writeFileSync('${folder}/big', Buffer.alloc(65 * 1024 * 1024)); return 'written'`
  for (const folder of ['/tmp', '/dev/shm', '/home/app'])
    expect(await run(fill(folder)), folder).toEqual({ error: 'ENOSPC' })
})

test('with the network of the machine, an app reaches what listens on it: that is what is asked for', async () => {
  const { address, run } = await appsBench({ sandbox: { ...BWRAP, network: true } })
  expect(await run(connect(address))).toBe('connected')
  expect(await run(read('/etc/shadow'))).toEqual({ error: 'ENOENT' })
})

test('a link that an app puts in the place of its socket leads nobody anywhere', async () => {
  const { root, run, ask, apps } = await appsBench({ command: `/run/node-daemon/node ${SCRIPT} {socket}` })
  const others = createServer((_, response) => response.end('not for you'))
  const path = join(root, 'control.sock')
  others.listen(path)
  onTestFinished(() => void others.close())
  await ask()
  const swap = `const { rmSync, symlinkSync } = await load('node:fs')
    rmSync('/run/app/http.sock'); symlinkSync(${JSON.stringify(path)}, '/run/app/http.sock')`
  await run(swap)
  const app = JSON.parse((await ask()).body) as { url?: string }
  expect(app.url, 'the app itself, by the socket that it had').toBe('/notes/')
  await apps.find(workspaceNumber(1))?.stop()

  const begins = join(root, 'begins.sh')
  await writeFile(begins, `ln -s ${path} /run/app/http.sock; sleep 1000`)
  const other = await appsBench({ command: `sh ${begins} {socket}`, startMs: 1000, readable: [begins] })
  expect(await other.ask()).toMatchObject({ status: 502, body: expect.stringContaining('its start took longer') })
})
