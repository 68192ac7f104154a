import { expect, test } from 'vitest'
import type { DrainView, PeerDetailView } from '../../../src/console/views.ts'
import { fakeDaemon, json, lines } from './fake-daemon.ts'
import { run } from './fake-terminal.ts'

const PEER: PeerDetailView = {
  peerId: '12D3KooWPeer',
  code: 'tiger-lamp-river-stone-92',
  name: 'alpha',
  role: 'instance',
  state: 'pending',
  contact: 'ada@example.org',
  site: 'freiburg',
  message: '',
  labels: { gpu: 'yes' },
  services: ['files'],
  unfit: {},
  newcomers: null,
  version: '0.1.0',
  lastSeenAt: null,
  workspaces: 3,
  standbyFor: 0,
  capacityBytes: null,
  disk: { totalBytes: 100e9, freeBytes: 50e9, fullAt: null },
  unsyncedBytes: 0,
  unsyncedAgeMs: 0,
  pendingWork: 0,
  route: null,
  workspaceIds: [],
  drain: null,
  address: null,
  reason: null,
  askedAt: null,
  decidedAt: null
}

const drain = (change: Partial<DrainView>): DrainView => ({
  state: 'draining',
  workspaces: { done: 1, total: 2 },
  bytes: { done: 50, total: 100 },
  etaMs: 1000,
  reason: null,
  plan: [],
  waiting: [],
  exits: true,
  plannedAt: null,
  unproven: [],
  certificate: null,
  ...change
})

test.each([
  ['PATCH /services/wiki', ['services', 'set', 'wiki', '--version', '3.0']],
  ['PATCH /services/wiki', ['--json', 'services', 'set', 'wiki', '--version=3.0']],
  ['POST /services', ['services', 'add', 'wiki', '--route', '/wiki', '--version', '3.0', '--json']]
])('the --version of a service is not taken for that of the program: %s %j', async (route, argv) => {
  const wiki = { name: 'wiki', route: '/wiki', version: '3.0', warnings: [] }
  await using daemon = await fakeDaemon({ [route]: json(wiki), [route.replace('PATCH', 'POST')]: json(wiki) })
  expect((await run([...argv, '--data', daemon.data])).stdout).toContain('3.0')
  expect(daemon.asked[0]?.body).toMatchObject({ version: '3.0' })
})

test('peers ls prints a table for people and the API’s array for machines', async () => {
  await using daemon = await fakeDaemon({ 'GET /peers': json([PEER]), 'GET /status': json({ held: null }) })
  const people = await run(['peers', 'ls', '--data', daemon.data])
  expect(people.code).toBe(0)
  expect(people.stdout).toMatch(/NAME +STATE +CODE/)
  expect(people.stdout).toMatch(/alpha +pending +tiger-lamp-river-stone-92/)
  const machine = await run(['peers', 'ls', '--json', '--data', daemon.data])
  expect(JSON.parse(machine.stdout)).toEqual([PEER])
})

test('an approval asks to compare the code, and binds to the key', async () => {
  await using daemon = await fakeDaemon({
    'GET /peers/alpha': json(PEER),
    'POST /peers/12D3KooWPeer/approve': json({ ...PEER, state: 'approved' })
  })
  const argv = ['peers', 'approve', 'alpha', '--data', daemon.data]
  const asked = await run(argv, { answers: ['yes'] })
  expect(asked.code).toBe(0)
  expect(asked.stderr).toContain('tiger-lamp-river-stone-92')
  expect(daemon.asked.at(-1)?.body).toEqual({ code: PEER.code })

  const declined = await run(argv, { answers: ['no'] })
  expect(declined.code).toBe(130)
  const unattended = await run(argv)
  expect(unattended.code).toBe(2)
  expect(unattended.stderr).toMatch(/^error CODE_REQUIRED: /)
  expect(daemon.asked.filter(({ method }) => method === 'POST')).toHaveLength(1)

  const told = await run([...argv, '--code', 'other-code'])
  expect(told.code).toBe(0)
  expect(daemon.asked.at(-1)?.body).toEqual({ code: 'other-code' })
})

test('the daemon’s errors come through with their code, advice and exit code', async () => {
  await using daemon = await fakeDaemon({
    'GET /peers/al': json(
      { error: { code: 'AMBIGUOUS', message: 'al is two peers', advice: 'write more of it' } },
      409
    ),
    'GET /peers/x': (_asked, response) => void response.writeHead(500).end('<html>')
  })
  const ambiguous = await run(['peers', 'show', 'al', '--data', daemon.data])
  expect(ambiguous).toEqual({ code: 3, stdout: '', stderr: 'error AMBIGUOUS: al is two peers\n  write more of it\n' })
  const strange = await run(['peers', 'show', 'x', '--data', daemon.data])
  expect(strange.code).toBe(5)
  expect(strange.stderr).toMatch(/^error OUT_OF_REACH: /)
})

test('with --api the token goes along as Bearer, from the environment too', async () => {
  await using daemon = await fakeDaemon({ 'GET /services': json([]) })
  const { code } = await run(['services', 'ls'], {
    env: { NODE_DAEMON_API: daemon.url, NODE_DAEMON_TOKEN: 'nda_secret' }
  })
  expect(code).toBe(0)
  expect(daemon.asked[0]?.token).toBe('Bearer nda_secret')
})

test('nobody at --api is out of reach; no local daemon is not running', async () => {
  const { url } = await (async () => {
    await using daemon = await fakeDaemon({})
    return daemon
  })()
  const remote = await run(['users', 'ls', '--api', url, '--token', 'x'])
  expect({ code: remote.code, head: remote.stderr.split(':')[0] }).toEqual({ code: 5, head: 'error OUT_OF_REACH' })
  const local = await run(['users', 'ls'])
  expect(local.code).toBe(5)
  expect(local.stderr).toMatch(
    /^error NOT_RUNNING: no coordinator runs on \/nowhere\/.local\/state\/node-daemon\/coordinator\n {2}start it with: node-daemon coordinator/
  )
})

test('STATE_DIRECTORY and XDG_STATE_HOME say where the daemon is', async () => {
  await using daemon = await fakeDaemon({ 'GET /users': json([]) })
  expect((await run(['users', 'ls'], { env: { STATE_DIRECTORY: daemon.data } })).code).toBe(0)
  const xdg = await run(['users', 'ls'], { env: { XDG_STATE_HOME: '/xdg' } })
  expect(xdg.stderr).toContain('/xdg/node-daemon/coordinator')
})

test('a drain is shown line by line, and ends with 0 and its certificate', async () => {
  const views = [drain({}), drain({ state: 'drained', certificate: '/path/exit.json' })]
  await using daemon = await fakeDaemon({ 'POST /drain': lines(...views) })
  const machine = await run(['drain', '--json', '--data', daemon.data, '--deadline', '1m', '--to', 'beta'])
  expect(machine.code).toBe(0)
  expect(
    machine.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
  ).toEqual(views)
  expect(daemon.asked[0]?.body).toEqual({ deadlineMs: 60_000, to: 'beta' })
  const people = await run(['drain', '--data', daemon.data])
  expect(people.stdout).toMatch(/50 % {2}draining: 1 of 2 workspaces/)
  expect(people.stdout).toContain('The proof: /path/exit.json')
})

test.each([
  ['expired', 6, /not proven elsewhere: w1\n(.|\n)*error INCOMPLETE: /],
  ['cancelled', 6, /error INCOMPLETE: /],
  ['failed', 4, /error REFUSED_BY_POLICY: .*no room/]
] as const)('a drain that is %s ends with %i and says why', async (state, exit, message) => {
  await using daemon = await fakeDaemon({
    'POST /drain': lines(drain({}), drain({ state, reason: 'no room', unproven: ['w1'] }))
  })
  const { code, stderr } = await run(['drain', '--data', daemon.data])
  expect(code).toBe(exit)
  expect(stderr).toMatch(message)
})

test('a daemon that dies in the middle of a drain is no success', async () => {
  await using daemon = await fakeDaemon({
    'POST /drain': (_asked, response) => {
      response.write(`${JSON.stringify(drain({}))}\n`, () => response.destroy())
    }
  })
  const { code, stderr } = await run(['drain', '--data', daemon.data])
  expect(code).toBe(5)
  expect(stderr).toMatch(/^error OUT_OF_REACH: /)
})

test('a plan is shown and nothing is followed', async () => {
  const plan = [{ workspace: 'w1'.repeat(16), to: null, toName: '', bytes: 2000, etaMs: 1000, busy: true }]
  await using daemon = await fakeDaemon({ 'POST /drain': lines(drain({ state: 'preparing', plan })) })
  const { code, stdout } = await run(['drain', '--plan', '--data', daemon.data])
  expect(code).toBe(0)
  expect(stdout).toContain('the main repository')
  expect(daemon.asked[0]?.body).toMatchObject({ plan: true })
})

test('status says first whether the machine may be switched off', async () => {
  const status = {
    role: 'instance',
    state: 'serving',
    name: 'alpha',
    peerId: 'p',
    code: 'c',
    coordinator: { peerId: 'q', federation: 'demo', connected: true, by: 'websocket' },
    users: 1,
    workspaces: { home: 1, standby: 0 },
    usedBytes: 10,
    unsyncedBytes: 5,
    unsyncedAgeMs: 1000,
    safeToSwitchOff: false,
    reason: '5 B are on this disk only',
    version: '0.1.0',
    startedAt: '2026-01-01T00:00:00Z',
    drain: null,
    limits: { uploadLimit: null, uploadHours: [], downloadLimit: 1000, downloadHours: [], capacity: null },
    clockSkewMs: 0
  }
  await using daemon = await fakeDaemon({ 'GET /status': json(status) })
  const { code, stdout } = await run(['status', '--data', daemon.data])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^NOT safe to switch off: 5 B are on this disk only\n/)
  const machine = await run(['status', '--json', '--data', daemon.data])
  expect(JSON.parse(machine.stdout)).toEqual(status)
})

test('status of a coordinator tells damage before all else', async () => {
  const status = {
    role: 'coordinator',
    state: 'running',
    name: 'demo',
    peerId: 'p',
    addresses: [],
    http: '',
    admin: '',
    version: '0.1.0',
    startedAt: '2026-01-01T00:00:00Z',
    instances: { serving: 0, pending: 0, total: 0 },
    workspaces: { total: 0, waiting: 2 },
    users: 0,
    unsyncedBytes: 0,
    unsyncedAgeMs: 0,
    safeToSwitchOff: true,
    reason: null,
    repository: { damaged: 4, storedBytes: 0, logicalBytes: 0 },
    dataFolder: '/'
  }
  await using daemon = await fakeDaemon({ 'GET /status': json(status) })
  const { stdout } = await run(['status', '--data', daemon.data])
  expect(stdout).toMatch(/^DAMAGED: 4 blocks of the main repository.*\n2 workspaces wait for an instance\.\n/)
})

test('set sends numbers, and none as null', async () => {
  await using daemon = await fakeDaemon({
    'PATCH /settings': json({
      uploadLimit: 10_000_000,
      uploadHours: [{ fromMinute: 480, toMinute: 1080, limit: 1_000_000 }],
      downloadLimit: null,
      downloadHours: [],
      capacity: null
    })
  })
  const { code, stdout } = await run([
    'set',
    'upload-limit=10MB/s,1MB/s@08:00-18:00',
    'capacity=none',
    '--data',
    daemon.data
  ])
  expect(code).toBe(0)
  expect(daemon.asked[0]?.body).toEqual({
    uploadLimit: 10_000_000,
    uploadHours: [{ fromMinute: 480, toMinute: 1080, limit: 1_000_000 }],
    capacity: null
  })
  expect(stdout).toContain('10.0 MB/s, 1.0 MB/s from 08:00 to 18:00')
})

test('labels, invites, users and admins send what was said', async () => {
  await using daemon = await fakeDaemon({
    'POST /peers/alpha/label': json(PEER),
    'POST /invites': json({ id: 'i', link: 'https://x/#invite=s', expiresAt: '2026-01-01T00:00:00Z', uses: 2 }),
    'POST /users': json({ name: 'ada', token: 'ndu_1' }),
    'POST /users/a%2Fb/block': json({ name: 'a/b', blocked: true, createdAt: '', workspaces: 0 }),
    'POST /admins': json({ name: 'grace', role: 'viewer', token: 'nda_1' }),
    'DELETE /users/ada': json({})
  })
  const ok = async (...argv: string[]): Promise<string> => {
    const { code, stdout, stderr } = await run([...argv, '--json', '--data', daemon.data])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    return stdout
  }
  await ok('peers', 'label', 'alpha', 'site=x', 'gpu-')
  await ok('invite', '--uses', '2', '--expires', '1d', '--label', 'a=b')
  expect(JSON.parse(await ok('users', 'add', 'ada'))).toEqual({ name: 'ada', token: 'ndu_1' })
  await ok('users', 'block', 'a/b')
  await ok('admins', 'add', 'grace', '--role', 'viewer')
  await ok('users', 'rm', 'ada', '--yes')
  expect(daemon.asked.map(({ body }) => body)).toEqual([
    { labels: { site: 'x', gpu: null } },
    { expiresMs: 86_400_000, uses: 2, labels: { a: 'b' } },
    { name: 'ada' },
    { blocked: true },
    { name: 'grace', role: 'viewer' },
    null
  ])
})

test('audit --verify ends with 7 where the chain is broken', async () => {
  await using daemon = await fakeDaemon({
    'GET /audit/verify': json({ ok: false, entries: 9, brokenAt: 4 }),
    'GET /audit?limit=5': json([])
  })
  const broken = await run(['audit', '--verify', '--data', daemon.data])
  expect(broken.code).toBe(7)
  expect(broken.stderr).toMatch(/^error INTEGRITY: .*entry 4/)
  expect((await run(['audit', 'ls', '--limit', '5', '--data', daemon.data])).code).toBe(0)
})

test('receipts verify: a missing file is 3, something else than a certificate is 7', async () => {
  expect((await run(['receipts', 'verify', '/nowhere/at/all.json'])).code).toBe(3)
  const { code, stderr } = await run(['receipts', 'verify', new URL(import.meta.url).pathname])
  expect(code).toBe(7)
  expect(stderr).toMatch(/^error INTEGRITY: /)
})

test('a config file named by --config gives settings to any command', async () => {
  await using daemon = await fakeDaemon({ 'GET /services': json([]) })
  const path = `${daemon.data}/own.yaml`
  await (await import('node:fs/promises')).writeFile(path, `data: ${daemon.data}\nhold: 5s\n`)
  expect((await run(['services', 'ls', '--config', path])).code).toBe(0)
})

test('a command that is for the other daemon says so', async () => {
  await using instance = await fakeDaemon({ 'GET /status': json({ role: 'instance' }) })
  await using coordinator = await fakeDaemon({ 'GET /status': json({ role: 'coordinator' }) })
  const stats = await run(['repo', 'stats', '--data', instance.data])
  expect([stats.code, stats.stderr]).toEqual([
    2,
    expect.stringContaining('an instance runs here; this command is for a coordinator')
  ])
  const set = await run(['set', '--data', coordinator.data])
  expect([set.code, set.stderr]).toEqual([
    2,
    expect.stringContaining('a coordinator runs here; this command is for an instance')
  ])
  const own = await run(['repo', 'stats', '--data', coordinator.data])
  expect(own.code, 'what is not there is still that').toBe(3)
})

test('a wrong token is told with where it was said', async () => {
  const refused = json({ error: { code: 'UNAUTHENTICATED', message: 'not known', advice: 'sign in again' } }, 401)
  await using daemon = await fakeDaemon({ 'GET /peers': refused })
  const { code, stderr } = await run(['peers', 'ls', '--api', daemon.url, '--token', 'wrong'])
  expect([code, stderr]).toEqual([4, expect.stringContaining('check --token or NODE_DAEMON_TOKEN')])
})

test.each([
  ['users', ['users', 'rm', 'nobody']],
  ['groups', ['groups', 'rm', 'nobody']],
  ['admins', ['admins', 'rm', 'nobody']],
  ['services', ['services', 'rm', 'nobody']],
  ['users', ['groups', 'grant', 'lab', 'nobody']]
])('what is not there is told before anybody is asked, with where to look: %s', async (list, argv) => {
  await using daemon = await fakeDaemon({ [`GET /${list}`]: json([{ name: 'somebody' }]) })
  const { code, stderr } = await run([...argv, '--data', daemon.data])
  expect(code).toBe(3)
  expect(stderr).toMatch(new RegExp(`"nobody"\n  see: node-daemon ${list} ls`))
  expect(daemon.asked).toHaveLength(1)
})

test('a user who has not come yet becomes a member of a group with --yes', async () => {
  await using daemon = await fakeDaemon({ 'POST /groups/lab/grant': json({ name: 'lab', members: [] }) })
  expect((await run(['groups', 'grant', 'lab', 'ada', '--yes', '--data', daemon.data])).code).toBe(0)
})

test('an empty name is refused in words of the command', async () => {
  const { code, stderr } = await run(['groups', 'add', ''])
  expect(code).toBe(2)
  expect(stderr).toBe('error BAD_USAGE: <name> is empty\n  for example: node-daemon groups add lab\n')
})

test('the example of a group of commands may be typed as it stands', async () => {
  expect((await run(['users', '--help'])).stdout).toContain('$ node-daemon users add ada\n')
})
