import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { parseCommand } from '../../../src/apps/command/spec.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { codeOf, messageOf, NodeDaemonError } from '../../../src/core/errors.ts'
import { createIdentity } from '../../../src/core/identity.ts'
import type { ServiceName } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { homeApps, openCommandApps, Secrets } from '../../../src/daemon/apps.ts'
import type { AppOptions, HookOptions } from '../../../src/daemon/options.ts'
import { checkAppHooks, commandHooks } from '../../../src/daemon/snapshot-hooks.ts'
import { SCRIPT, workspaceNumber } from '../apps/command/names.ts'

const LAB = 'lab' as ServiceName
const FILES = 'files' as ServiceName
const NODE = '/run/node-daemon/node'
const NO_HOOKS: HookOptions = {
  ...{ before: {}, after: {}, busy: {}, ready: {}, freeze: {}, thaw: {} },
  timeoutMs: 10_000,
  intervalMs: 1000
}
const OPTIONS: AppOptions = {
  sandbox: 'bwrap',
  network: false,
  memoryBytes: 1e9,
  processes: 64,
  openFiles: 256,
  count: 4,
  idleMs: 60_000,
  startMs: 20_000,
  readable: { lab: [SCRIPT] }
}

afterEach(() => vi.unstubAllEnvs())

async function open(changes: { apps?: Partial<AppOptions>; hooks?: Partial<HookOptions> } = {}) {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'node-daemon-instance-')))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const identity = await createIdentity()
  const deps = { clock: systemClock(), log: silent }
  const options = {
    services: [{ name: LAB, upstream: null, command: parseCommand(`${NODE} ${SCRIPT} {port}`) }],
    hooks: { ...NO_HOOKS, ...changes.hooks },
    apps: { ...OPTIONS, ...changes.apps }
  }
  const at: { commands: Awaited<ReturnType<typeof openCommandApps>> } = { commands: null }
  const hooks = commandHooks(options.hooks, {
    ...deps,
    beside: (place, words) => at.commands?.beside(place, words) ?? null
  })
  const secrets = new Secrets(identity)
  at.commands = await openCommandApps(options, secrets, { ...deps, folder, identity, hooks })
  onTestFinished(() => at.commands?.close())
  const place = { workspace: workspaceNumber(1), service: LAB, epoch: 1, folder: join(folder, 'workspaces', 'one') }
  await mkdir(place.folder, { recursive: true })
  return { folder, place, commands: at.commands, apps: homeApps(options, { hooks, commands: at.commands, secrets }) }
}

test('without bubblewrap apps are refused, with what to install, unless no sandbox is asked for', async () => {
  vi.stubEnv('PATH', '/nonexistent')
  const refused = await open().catch((error: unknown) => error)
  expect(refused).toBeInstanceOf(NodeDaemonError)
  expect(refused).toMatchObject({ code: 'BAD_CONFIG', advice: expect.stringContaining('bubblewrap') })
  expect(messageOf(refused)).toMatch(/^apps cannot be kept apart on this machine: .*bwrap/)
  expect((await open({ apps: { sandbox: 'none' } })).commands).not.toBeNull()
})

test('where namespaces are forbidden apps are refused with what bubblewrap says', async () => {
  const bin = await mkdtemp(join(tmpdir(), 'node-daemon-bin-'))
  onTestFinished(() => rm(bin, { recursive: true, force: true }))
  const says = 'bwrap: No permissions to create new namespace'
  await writeFile(join(bin, 'bwrap'), `#!/bin/sh\necho '${says}' >&2\nexit 1\n`, { mode: 0o755 })
  vi.stubEnv('PATH', bin)
  expect(await open().catch(messageOf)).toBe(`apps cannot be kept apart on this machine: ${says}`)
})

test('what apps are to read must be there', async () => {
  expect(await open({ apps: { readable: { lab: ['/not/there'] } } }).catch(messageOf)).toBe(
    'apps are to read /not/there, which is not there'
  )
})

test('hooks for services that are not offered, or that have no app to be ready, are refused', () => {
  for (const hooks of [{ freeze: { notes: 'true' } }, { thaw: { notes: 'true' } }, { ready: { files: 'true' } }]) {
    expect(() => checkAppHooks({ ...NO_HOOKS, ...hooks }, [FILES, LAB], [LAB])).toThrow('which is not offered here')
  }
  checkAppHooks({ ...NO_HOOKS, freeze: { files: 'true' }, ready: { lab: 'true' } }, [FILES, LAB], [LAB])
})

test('freeze asks a running app in its own sandbox, then ends it; thaw follows where the move is given up', async () => {
  const ask = `${NODE} -e 'require("node:http").get({ socketPath: process.env.NODE_DAEMON_SOCKET, path: "/" }, (answer) => answer.pipe(process.stdout))'`
  const { folder, place, commands, apps } = await open({
    hooks: {
      freeze: { lab: `${ask} >asked.json; ls ${tmpdir()} >seen.txt; echo "$WORKSPACE_ID" >>seen.txt` },
      thaw: { lab: 'echo thawed >thawed.txt' }
    }
  })
  apps.keepSecret(place.workspace, new Uint8Array(32).fill(1))
  const home = apps.of(place)
  const signal = AbortSignal.timeout(20_000)
  await home?.freeze(signal)
  await expect(readFile(join(place.folder, 'asked.json')), 'nobody to ask').rejects.toThrow('ENOENT')

  const app = commands?.find(place.workspace)
  await app?.reach('/lab/')
  home?.hold()
  await home?.freeze(signal)
  expect(app?.isRunning).toBe(false)
  expect(JSON.parse(await readFile(join(place.folder, 'asked.json'), 'utf8'))).toMatchObject({ url: '/' })
  const seen = await readFile(join(place.folder, 'seen.txt'), 'utf8')
  // The program itself may lie there too.
  const [own = ''] = relative(tmpdir(), process.execPath).split('/')
  expect(seen.split('\n').filter((name) => name !== own)).toEqual([folder.split('/').at(-1), place.workspace, ''])
  expect(await app?.reach('/lab/').catch(codeOf)).toBe('NOT_HOME')
  home?.thaw()
  await expect.poll(() => readFile(join(place.folder, 'thawed.txt'), 'utf8').catch(() => '')).toBe('thawed\n')
  await home?.close()
  expect(commands?.find(place.workspace)).toBeNull()
})

test('a freeze that fails says what the app said, and the app runs on', async () => {
  const { place, commands, apps } = await open({ hooks: { freeze: { lab: 'echo not now; exit 3' } } })
  const home = apps.of(place)
  const app = commands?.find(place.workspace)
  await app?.reach('/lab/')
  const failed = await home?.freeze(AbortSignal.timeout(20_000)).catch((error: unknown) => error)
  expect([codeOf(failed), messageOf(failed)]).toEqual(['BUSY', 'freeze of lab ended with 3: not now'])
  expect(app?.isRunning).toBe(true)
})

test('an app is ready once its command says so', async () => {
  const { place, commands, apps } = await open({
    hooks: { ready: { lab: 'test -e ready || { touch ready; exit 1; }' } }
  })
  apps.of(place)
  await commands?.find(place.workspace)?.reach('/lab/')
  expect(await readFile(join(place.folder, 'ready'), 'utf8')).toBe('')
})
