import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { HeadView, RepositoryView, SnapshotView, VerifiedView } from '../../../src/console/views.ts'
import { carOf } from '../../../src/store/car-export.ts'
import { snapshot } from '../store/support.ts'
import { type FakeDaemon, fakeDaemon, json, lines, type Reply } from './fake-daemon.ts'
import { run } from './fake-terminal.ts'

const ID = '7f3a0000000000000000000000000001'
const HEAD: HeadView = {
  head: 'bafyhead',
  root: 'bafyroot',
  sequence: 4,
  epoch: 1,
  createdAt: '2026-01-02T03:04:05.000Z',
  writer: '12D3KooWAlpha',
  writerName: 'alpha',
  files: 3,
  bytes: 1000,
  unsettledCount: 0,
  unsettled: [],
  diverged: false
}
const STATS: RepositoryView = {
  blocks: 10,
  storedBytes: 4096,
  logicalBytes: 8192,
  heads: 3,
  workspaces: 1,
  packs: 1,
  dedupRatio: 2,
  damaged: 2,
  lastGcAt: null,
  lastVerifyAt: '2026-01-02T03:04:05.000Z'
}
const FILES = { 'a.txt': 'content of a', 'b.txt': 'content of b' }
const VERIFIED: VerifiedView = { state: 'done', blocks: 10, bytes: 4096, damaged: 0, repaired: 0, left: [] }

async function temporary(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nd-past-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const bytes =
  (...parts: readonly Uint8Array[]): Reply =>
  (_asked, response) => {
    response.writeHead(200, { 'content-type': 'application/vnd.ipld.car' })
    response.end(Buffer.concat(parts))
  }

/** Begins an answer, and cuts the connection. */
const cut: Reply = (_asked, response) => {
  response.writeHead(200, { 'content-type': 'application/vnd.ipld.car' })
  response.write('the first part', () => response.destroy())
}

/** Begins an answer, and tells in a trailer why it goes no further. */
const damagedOnTheWay: Reply = (_asked, response) => {
  const error = { code: 'INCOMPLETE', message: 'block x is damaged', advice: 'see: node-daemon repo verify' }
  response.writeHead(200, { 'content-type': 'application/vnd.ipld.car', trailer: 'nd-error' })
  response.write('the first part')
  response.addTrailers({ 'nd-error': encodeURIComponent(JSON.stringify({ error })) })
  response.end()
}

test('a damaged block on the way ends an export with 6 and what to do, and leaves no file', async () => {
  const folder = await temporary()
  await using daemon = await fakeDaemon({ 'GET /repo/export': damagedOnTheWay })
  const { code, stderr } = await run(['repo', 'export', join(folder, 'all.car'), '--data', daemon.data])
  expect([code, await readdir(folder)]).toEqual([6, []])
  expect(stderr).toContain('error INCOMPLETE: block x is damaged\n  see: node-daemon repo verify')
})

test('repo stats tells damage, and when it was last read again and thinned', async () => {
  await using daemon = await fakeDaemon({ 'GET /repo/stats': json(STATS) })
  const { stdout } = await run(['repo', 'stats', '--data', daemon.data])
  expect(stdout).toMatch(/Damaged +2 blocks/)
  expect(stdout).toMatch(/Last read again +.* ago/)
  expect(stdout).toMatch(/Last thinned +never/)
})

test('repo verify shows its progress on stderr of a terminal, and ends with 7 and a list where damage is left', async () => {
  const working = { state: 'working', blocks: 5, bytes: 2048, totalBytes: 4096 }
  const left = [{ cid: 'bafkrotten', workspaces: [ID] }]
  await using daemon = await fakeDaemon({
    'POST /repo/verify': lines(working, { ...VERIFIED, damaged: 2, repaired: 1, left })
  })
  const argv = ['repo', 'verify', '--share', '1GB', '--data', daemon.data]
  const { code, stdout, stderr } = await run(argv, { tty: true, columns: 100 })
  expect((await run(argv)).stderr).not.toContain('%')
  expect(code).toBe(7)
  expect(daemon.asked[0]?.body).toEqual({ maxBytes: 1e9 })
  expect(stdout).toContain('Read 10 blocks')
  expect(stdout).toContain('Of 2 damaged blocks 1 repaired, 1 still damaged.')
  expect(stdout).not.toContain('█')
  expect(stderr).toContain('50 %')
  expect(stderr).toMatch(new RegExp(`damaged: bafkrotten, needed by ${ID}`))
  expect(stderr).toMatch(/error INTEGRITY: 1 block is still damaged/)
})

test('repo verify reads no share of nothing', async () => {
  await using daemon = await fakeDaemon({})
  const { code } = await run(['repo', 'verify', '--share', '0', '--data', daemon.data])
  expect([code, daemon.asked]).toEqual([2, []])
})

test('repo stats says that nothing is saved by sharing where it is so', async () => {
  await using daemon = await fakeDaemon({ 'GET /repo/stats': json({ ...STATS, dedupRatio: 1 }) })
  expect((await run(['repo', 'stats', '--data', daemon.data])).stdout).toMatch(/Saved by sharing +nothing/)
})

test('repo verify ends with 0 where all is whole; machines get the outcome alone', async () => {
  await using daemon = await fakeDaemon({ 'POST /repo/verify': lines(VERIFIED) })
  const people = await run(['repo', 'verify', '--data', daemon.data])
  expect([people.code, people.stdout]).toEqual([0, expect.stringContaining('The main repository is whole.')])
  const machine = await run(['repo', 'verify', '--json', '--data', daemon.data])
  expect(JSON.parse(machine.stdout)).toEqual(VERIFIED)
  expect(machine.stderr).toBe('')
})

test('an error at the end of a long answer is an error of the command; so is an end without an outcome', async () => {
  const error = { error: { code: 'BUSY', message: 'one is under way', advice: 'wait' } }
  await using daemon = await fakeDaemon({
    'POST /repo/gc': lines({ state: 'working' }, error),
    'POST /repo/reindex': lines({ state: 'working' })
  })
  const busy = await run(['repo', 'gc', '--yes', '--data', daemon.data])
  expect([busy.code, busy.stderr]).toEqual([5, expect.stringContaining('error BUSY: one is under way\n  wait')])
  expect((await run(['repo', 'reindex', '--data', daemon.data])).code).toBe(5)
})

test('repo gc asks before it gives history up', async () => {
  const done = { state: 'done', headsDropped: 2, blocksDropped: 3, freedBytes: 5000, packsRewritten: 1 }
  await using daemon = await fakeDaemon({ 'POST /repo/gc': lines(done) })
  const argv = ['repo', 'gc', '--data', daemon.data]
  expect((await run(argv)).code).toBe(2)
  expect((await run(argv, { answers: ['no'] })).code).toBe(130)
  expect(daemon.asked).toEqual([])
  const sure = await run([...argv, '--full'], { answers: ['yes'] })
  expect([sure.code, daemon.asked[0]?.body]).toEqual([0, { full: true }])
  expect(sure.stdout).toContain('2 heads and 3 blocks given up, 5.0 kB freed; 1 pack was written anew.')
})

test('an export is a new file, whole or not there; - is stdout, but neither a terminal nor JSON', async () => {
  const folder = await temporary()
  await using daemon = await fakeDaemon({ 'GET /repo/export': bytes(Buffer.from('a car')) })
  await using broken = await fakeDaemon({ 'GET /repo/export': cut })
  const file = join(folder, 'all.car')
  const failed = await run(['repo', 'export', file, '--data', broken.data])
  expect([failed.code, await readdir(folder)]).toEqual([5, []])
  expect((await run(['repo', 'export', file, '--data', daemon.data])).code).toBe(0)
  expect([await readFile(file, 'utf8'), await readdir(folder)]).toEqual(['a car', ['all.car']])
  const again = await run(['repo', 'export', file, '--data', daemon.data])
  expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('exists already')])
  const onFolder = await run(['repo', 'export', folder, '--data', daemon.data])
  expect([onFolder.code, onFolder.stderr]).toEqual([2, expect.stringContaining('is a folder')])
  const nowhere = await run(['repo', 'export', join(folder, 'no/dir/x.car'), '--data', daemon.data])
  expect([nowhere.code, nowhere.stderr]).toEqual([3, expect.stringContaining('error NOT_FOUND: there is no folder')])
  const noReceipt = await run(['receipts', 'verify', join(folder, 'none')])
  expect([noReceipt.code, noReceipt.stderr]).toEqual([3, expect.stringContaining('error NOT_FOUND: there is no file')])
  expect((await run(['repo', 'export', '-', '--data', daemon.data])).stdout).toBe('a car')
  expect((await run(['repo', 'export', '-', '--json', '--data', daemon.data])).code).toBe(2)
  expect((await run(['repo', 'export', '-', '--data', daemon.data], { tty: true })).code).toBe(2)
})

test('history tells what diverged and what was not taken exactly', async () => {
  const heads = [
    { ...HEAD, sequence: 5, diverged: true, head: 'bafylate' },
    { ...HEAD, unsettledCount: 1, unsettled: ['busy.log'] },
    { ...HEAD, sequence: 3, unsettledCount: 2 }
  ]
  await using daemon = await fakeDaemon({ [`GET /workspaces/${ID}/history?limit=1000`]: json(heads) })
  const people = await run(['workspaces', 'history', ID, '--data', daemon.data])
  expect(people.stdout).toContain('diverged: bafylate')
  expect(people.stdout).toMatch(/4 +bafyhead +2026-01-02/)
  expect(people.stdout).toContain('not taken exactly: busy.log')
  expect(people.stdout, 'who may not see paths learns how many').toContain('not taken exactly: 2')
  const machine = await run(['workspaces', 'history', ID, '--json', '--data', daemon.data])
  expect(JSON.parse(machine.stdout)).toEqual(heads)
})

/** A daemon with one snapshot; `car` is what its export gives. */
async function withSnapshot(change: Partial<SnapshotView>, car: readonly Uint8Array[]): Promise<FakeDaemon> {
  const { root } = await snapshot(FILES)
  const view: SnapshotView = {
    workspace: ID,
    head: { ...HEAD, root: root.toString() },
    path: '',
    kind: 'folder',
    cid: root.toString(),
    totalBytes: 100,
    ...change
  }
  const query = new URLSearchParams({ head: HEAD.head, path: view.path })
  return await fakeDaemon({
    'GET /workspaces/7f3a/snapshot?sequence=4': json(view),
    [`GET /workspaces/${ID}/export?${query}`]: bytes(...car),
    [`POST /workspaces/${ID}/restore`]: lines({
      state: 'done',
      workspace: ID,
      from: HEAD,
      before: { ...HEAD, head: 'bafybefore', sequence: 7 },
      after: { ...HEAD, sequence: 8 },
      pauseMs: 40
    })
  })
}

/** The CAR of `FILES`, with whatever a liar or a bad line makes of it. */
async function carBytes(change: (car: Buffer) => Uint8Array = (car) => car): Promise<Uint8Array[]> {
  const { root, blocks } = await snapshot(FILES)
  async function* all() {
    yield* blocks.toReversed()
  }
  const parts: Uint8Array[] = []
  for await (const part of carOf([root], all())) parts.push(part)
  return [change(Buffer.concat(parts))]
}

/** One file has other bytes than its name says. */
function swapped(car: Buffer): Uint8Array {
  const at = car.indexOf('content of a')
  return Buffer.concat([car.subarray(0, at), Buffer.from('CONTENT'), car.subarray(at + 7)])
}

test('restore --to puts the files into a new or empty folder, and leaves nothing beside it', async () => {
  const folder = await temporary()
  await using daemon = await withSnapshot({}, await carBytes())
  const argv = ['workspaces', 'restore', '7f3a', '--sequence', '4', '--data', daemon.data]
  for (const name of ['new', 'empty']) {
    const to = join(folder, name)
    if (name === 'empty') await mkdir(to)
    const { code, stdout, stderr } = await run([...argv, '--to', to])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toContain('2 files')
    expect(await readFile(join(to, 'b.txt'), 'utf8')).toBe('content of b')
  }
  expect((await readdir(folder)).sort()).toEqual(['empty', 'new'])
  const full = await run([...argv, '--to', join(folder, 'new')])
  expect([full.code, full.stderr]).toEqual([2, expect.stringContaining('is not empty')])
  await writeFile(join(folder, 'file'), 'mine')
  expect((await run([...argv, '--to', join(folder, 'file')])).code).toBe(2)
  expect(await readFile(join(folder, 'file'), 'utf8')).toBe('mine')
})

test.each<[string, (car: Buffer) => Uint8Array]>([
  ['has other bytes than a name says', swapped],
  ['is cut short', (car) => car.subarray(0, -3)],
  ['has another root', (car) => car.fill(7, 30, 31)],
  ['is no CAR', () => Buffer.from('something else, of some length')],
  ['is empty', () => new Uint8Array(0)]
])('a snapshot that %s is refused with 7, and nothing of it is left', async (_, change) => {
  const folder = await temporary()
  await using daemon = await withSnapshot({}, await carBytes(change))
  const to = join(folder, 'to')
  const { code } = await run(['workspaces', 'restore', '7f3a', '--sequence', '4', '--to', to, '--data', daemon.data])
  expect([code, existsSync(to), await readdir(folder)]).toEqual([7, false, []])
})

test('restore --in-place asks, names the head once and for all, and says where the present stays', async () => {
  await using daemon = await withSnapshot({ path: 'a.txt' }, [])
  const argv = ['workspaces', 'restore', '7f3a', '--sequence', '4', '--in-place', '--data', daemon.data]
  expect((await run(argv, { answers: ['no'] })).code).toBe(130)
  const { code, stdout, stderr } = await run(argv, { answers: ['yes'] })
  expect(code).toBe(0)
  expect(stderr).toContain('Replace "a.txt" in workspace 7f3a00000000 by "a.txt" of head 4')
  expect(stdout).toContain('What was there is head 7.')
  expect(daemon.asked.at(-1)?.body).toEqual({ head: HEAD.head, path: 'a.txt' })
})

const NOW = (path: string): string => `GET /workspaces/${ID}/snapshot?${new URLSearchParams({ path })}`
const RESTORED = { state: 'done', workspace: ID, from: HEAD, pauseMs: 40 }
const THEN: SnapshotView = { workspace: ID, head: HEAD, path: 'a/b/c', kind: 'file', cid: 'bafy', totalBytes: 1 }
const IN_PLACE = ['workspaces', 'restore', '7f3a', '--sequence', '4', '--path', 'a/b/c', '--in-place']
const inPlaceOf = (data: string): string[] => [...IN_PLACE, '--data', data]

test.each<[string, Record<string, Partial<SnapshotView>>, string]>([
  ['a file above it', { a: { kind: 'folder' }, 'a/b': { kind: 'file' } }, 'the file "a/b"'],
  ['a folder at it', { 'a/b/c': { kind: 'folder' } }, 'the folder "a/b/c" with all that is in it']
])('restore --in-place tells before and after that %s goes', async (_, stands, gone) => {
  const before = { ...HEAD, head: 'bafybefore', sequence: 7 }
  await using daemon = await fakeDaemon({
    'GET /workspaces/7f3a/snapshot?sequence=4&path=a%2Fb%2Fc': json(THEN),
    ...Object.fromEntries(Object.entries(stands).map(([path, view]) => [NOW(path), json({ ...THEN, path, ...view })])),
    [`POST /workspaces/${ID}/restore`]: lines({ ...RESTORED, before, after: { ...HEAD, sequence: 8 } })
  })
  const { code, stdout, stderr } = await run(inPlaceOf(daemon.data), { answers: ['yes'] })
  expect(code, stderr).toBe(0)
  expect(stderr).toContain(`This removes ${gone}, which stands there now.`)
  expect(stdout).toContain(`It took the place of ${gone}: that is in head 7.`)
})

test('a restore that changes nothing says so; one that nobody heard the end of is not known', async () => {
  await using daemon = await fakeDaemon({
    'GET /workspaces/7f3a/snapshot?sequence=4&path=a%2Fb%2Fc': json(THEN),
    [`POST /workspaces/${ID}/restore`]: lines({ ...RESTORED, before: HEAD, after: HEAD })
  })
  const same = await run([...inPlaceOf(daemon.data), '--yes'])
  expect([same.code, same.stdout]).toEqual([0, expect.stringContaining('is already so')])
  await using killed = await fakeDaemon({
    'GET /workspaces/7f3a/snapshot?sequence=4&path=a%2Fb%2Fc': json(THEN),
    [`POST /workspaces/${ID}/restore`]: (_asked, response) => {
      response.writeHead(200, { 'content-type': 'application/x-ndjson' })
      response.write('{"state":"working"}\n', () => setImmediate(() => response.destroy()))
    }
  })
  const lost = await run([...inPlaceOf(killed.data), '--yes'])
  expect([lost.code, lost.stderr]).toEqual([
    5,
    expect.stringContaining('it is not known whether 7f3a00000000 went back')
  ])
  expect(lost.stderr).toContain('node-daemon workspaces history 7f3a00000000')
})

test('restore --to removes what killed restores have left beside it, and nothing else', async () => {
  const folder = await temporary()
  await using daemon = await withSnapshot({}, await carBytes())
  const argv = ['workspaces', 'restore', '7f3a', '--sequence', '4', '--data', daemon.data]
  const dead = spawnSync(process.execPath, ['-e', '']).pid
  const names = [`${dead}-abcdef`, `${process.pid}-abcdef`, `${process.pid}-ghijkl`, 'ABCDEF', 'notes']
  for (const name of names) await mkdir(join(folder, `.node-daemon-restore-${name}`, 'tree'), { recursive: true })
  await utimes(join(folder, `.node-daemon-restore-${process.pid}-ghijkl`), 1, 1)
  expect((await run([...argv, '--to', join(folder, 'new')])).code).toBe(0)
  const left = ['new', ...[`${process.pid}-abcdef`, 'ABCDEF', 'notes'].map((name) => `.node-daemon-restore-${name}`)]
  expect((await readdir(folder)).sort()).toEqual(left.sort())
  const nowhere = await run([...argv, '--to', join(folder, 'no/such/parent')])
  expect([nowhere.code, nowhere.stderr]).toEqual([3, expect.stringContaining('there is no folder')])
})

test('what does not go together is wrong usage, before anything is asked', async () => {
  await using daemon = await fakeDaemon({})
  const restore = ['workspaces', 'restore', '7f3a', '--data', daemon.data]
  for (const flags of [
    [],
    ['--to', '/x', '--in-place'],
    ['--to', '/x', '--at', '2h', '--sequence', '3'],
    ['--to', '/x', '--at', 'long ago'],
    ['--to', '/x', '--sequence', '0']
  ]) {
    expect((await run([...restore, ...flags])).code, flags.join(' ')).toBe(2)
  }
  expect(daemon.asked).toEqual([])
})

test('workspaces show writes a receipt that verifies offline, where there is one', async () => {
  const folder = await temporary()
  const view = {
    id: ID,
    service: 'files',
    user: 'user:ada',
    state: 'serving',
    standbys: [],
    standbyNames: [],
    usedBytes: 0,
    files: 0,
    epoch: 1,
    head: null,
    homeName: null,
    historyCount: 0,
    unsyncedBytes: 0,
    unsyncedAgeMs: 4000,
    receipts: [],
    diverged: [],
    receipt: null
  }
  await using daemon = await fakeDaemon({ 'GET /workspaces/7f3a': json(view) })
  const none = await run(['workspaces', 'show', '7f3a', '--receipt', join(folder, 'r.json'), '--data', daemon.data])
  expect([none.code, await readdir(folder)]).toEqual([6, []])
  const shown = await run(['workspaces', 'show', '7f3a', '--data', daemon.data])
  expect(shown.stdout, 'changes that nobody has counted yet are not none').toMatch(/Unsynced +changes, 4 s/)
})
