import { mkdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CarReader } from '@ipld/car'
import { exporter, walkPath } from 'ipfs-unixfs-exporter'
import { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import type { HeadView, SnapshotView } from '../../src/console/views.ts'
import { TestFederation } from '../tools/federation.ts'
import { Traffic } from '../tools/traffic.ts'
import { describeTree } from '../tools/tree-listing.ts'
import type { WebUser } from '../tools/web-user.ts'

const heads = async (federation: TestFederation, id: string): Promise<HeadView[]> =>
  (await federation.api.get<HeadView[]>(`/workspaces/${id}/history`)).filter(({ diverged }) => !diverged)

/** Waits until all that was written past the front door is in a head: what is written last is there, and nothing waits. */
async function published(federation: TestFederation, folder: string, id: string, marker: string): Promise<number> {
  await writeFile(join(folder, marker), marker)
  const taken = await federation.until(`${marker} is in a head`, async () => {
    const found = await federation.api.get<SnapshotView>(`/workspaces/${id}/snapshot?path=${marker}`)
    const { unsyncedAgeMs } = await federation.status('alpha')
    return unsyncedAgeMs === 0 && found
  })
  return taken.head.sequence
}

interface Moment {
  readonly sequence: number
  readonly at: string
  readonly tree: readonly string[]
}

/** Several moments of one workspace, with what the home's disk had at each. */
async function moments(federation: TestFederation): Promise<{ user: WebUser; id: string; moments: Moment[] }> {
  const user = await federation.addUser('ada')
  await user.save('/first.txt', 'the first')
  const { id } = await federation.workspaceOf(user)
  const folder = await federation.filesOf(user, 'alpha')
  const taken: Moment[] = []
  const take = async (): Promise<void> => {
    const sequence = await published(federation, folder, id, `marker-${taken.length}`)
    taken.push({ sequence, at: new Date().toISOString(), tree: await describeTree(folder) })
  }
  await mkdir(join(folder, 'empty', 'deeper'), { recursive: true })
  await mkdir(join(folder, 'docs'), { mode: 0o750 })
  await writeFile(join(folder, 'docs', 'run.sh'), '#!/bin/sh\n', { mode: 0o755 })
  await writeFile(join(folder, 'docs', 'large.bin'), Buffer.alloc(3_000_000, 'large'))
  await symlink('docs/run.sh', join(folder, 'link'))
  await utimes(join(folder, 'docs', 'large.bin'), 1_600_000_000.123456, 1_600_000_000.123456)
  await take()
  await user.save('/first.txt', 'changed')
  await user.save('/docs/more.txt', 'more')
  await take()
  await rm(join(folder, 'docs'), { recursive: true })
  await rm(join(folder, 'link'))
  await take()
  return { user, id, moments: taken }
}

test('any kept moment comes back byte-exact into a folder, in whole or in part; a CAR is read by other tools', async () => {
  await using federation = await TestFederation.open(['--standbys', '0'])
  await federation.join('alpha')
  const { user, id, moments: taken } = await moments(federation)
  const listed = await federation.admin('workspaces', 'history', id)
  expect(listed.code).toBe(0)
  const rows = listed.lines[0] as unknown as HeadView[]
  expect(rows.map(({ sequence }) => sequence)).toEqual(rows.map((_, index) => rows.length - index))
  expect(rows[0]).toMatchObject({ writerName: 'alpha', diverged: false, unsettled: [] })

  for (const [index, { sequence, tree }] of taken.entries()) {
    const to = join(federation.root, `restored-${index}`)
    const done = await federation.admin('workspaces', 'restore', id, '--sequence', String(sequence), '--to', to)
    expect(done.code, done.log).toBe(0)
    expect(await describeTree(to)).toEqual(tree)
  }
  const [first, second] = taken
  const byTime = join(federation.root, 'by-time')
  const { admin } = federation.ready
  const { token } = await federation.api.send<{ token: string }>('POST', '/admins', { name: 'eve', role: 'admin' })
  const far = ['--api', admin, '--token', token]
  const timed = await federation.run('workspaces', 'restore', id, '--at', first?.at ?? '', '--to', byTime, ...far)
  expect(timed.code, timed.log).toBe(0)
  expect(timed.lines[0]).toMatchObject({ head: { sequence: first?.sequence } })
  expect(await describeTree(byTime)).toEqual(first?.tree)

  for (const path of ['docs', 'docs/run.sh', 'link', 'empty/deeper']) {
    const name = path.split('/').at(-1) ?? ''
    const to = join(federation.root, `part-${name}`)
    const part = ['--sequence', String(second?.sequence), '--path', path, '--to', to]
    expect((await federation.admin('workspaces', 'restore', id, ...part)).code).toBe(0)
    const below = second?.tree.filter((line) => line.startsWith(`${path} `) || line.startsWith(`${path}/`)) ?? []
    expect(below.length).toBeGreaterThan(0)
    expect(await describeTree(to)).toEqual(below.map((line) => line.slice(path.length - name.length)))
  }
  const refused = await federation.admin('workspaces', 'restore', id, '--to', byTime)
  expect([refused.code, refused.log]).toEqual([2, expect.stringContaining('is not empty')])
  const gone = await federation.admin('workspaces', 'restore', id, '--path', 'docs', '--to', join(federation.root, 'x'))
  expect(gone.code).toBe(3)

  const car = join(federation.root, 'ada.car')
  const exported = await federation.admin('workspaces', 'export', id, '--sequence', String(second?.sequence), car)
  expect(exported.code, exported.log).toBe(0)
  const reader = await CarReader.fromBytes(await readFile(car))
  const roots = await reader.getRoots()
  expect(roots.map(String)).toEqual([exported.lines[0]?.root])
  const blockstore = {
    async *get(cid: CID) {
      const block = await reader.get(cid)
      if (block === undefined) throw new Error(`no ${cid}`)
      yield block.bytes
    }
  }
  const entry = await exporter(`${roots[0]}/docs/large.bin`, blockstore as never)
  if (entry.type !== 'file') throw new Error(`docs/large.bin is a ${entry.type}`)
  const parts: Uint8Array[] = []
  for await (const part of entry.content()) parts.push(part)
  expect(Buffer.concat(parts).equals(Buffer.alloc(3_000_000, 'large'))).toBe(true)
  for await (const step of walkPath(`${roots[0]}/first.txt`, blockstore as never)) expect(step.cid).toBeDefined()

  const whole = join(federation.root, 'all.car')
  expect((await federation.admin('repo', 'export', whole)).code).toBe(0)
  const all = await CarReader.fromBytes(await readFile(whole))
  const newest = (await federation.workspaceOf(user)).head
  expect((await all.getRoots()).map(String)).toEqual([newest?.root])
  expect(await all.has(CID.parse((await heads(federation, id))[0]?.head ?? ''))).toBe(true)
})

test('a workspace goes back in place under 20 requests a second: none fails, and what was there stays in the history', async () => {
  await using federation = await TestFederation.open()
  await Promise.all(['alpha', 'beta'].map((name) => federation.join(name)))
  const user = await federation.addUser('ada')
  await user.send('MKCOL', '/notes')
  await user.save('/notes/thesis.txt', 'good')
  await user.save('/other.txt', 'old')
  const { id, head: good } = await federation.workspaceOf(user)
  await user.save('/notes/thesis.txt', 'spoilt')
  await user.save('/other.txt', 'new')
  await federation.settled()

  await using traffic = new Traffic([user], 20)
  await federation.until('requests pass', async () => traffic.requests > 5)
  const part = ['--sequence', String(good?.sequence), '--path', 'notes/thesis.txt', '--in-place']
  const unsure = await federation.admin('workspaces', 'restore', id, ...part)
  expect(unsure.code, 'it asks first').toBe(2)
  const done = await federation.admin('workspaces', 'restore', id, ...part, '--yes')
  expect(done.code, done.log).toBe(0)
  expect((await user.read('/notes/thesis.txt')).toString()).toBe('good')
  expect((await user.read('/other.txt')).toString()).toBe('new')
  await traffic.stop()
  expect(traffic.failures).toEqual([])
  expect(await traffic.lost()).toEqual([])
  const { before, after, pauseMs } = done.lines.at(-1) as unknown as Record<'before' | 'after', HeadView> & {
    pauseMs: number
  }
  expect(after.sequence).toBe(before.sequence + 1)
  console.info(`restored in place: requests waited ${pauseMs} ms of ${traffic.requests} requests`)

  const whole = await federation.admin(
    'workspaces',
    'restore',
    id,
    '--sequence',
    String(good?.sequence),
    '--in-place',
    '--yes'
  )
  expect(whole.code, whole.log).toBe(0)
  expect((await user.read('/other.txt')).toString()).toBe('old')
  expect((await user.get('/same.txt')).status).toBe(404)
  const back = await federation.admin(
    'workspaces',
    'restore',
    id,
    '--sequence',
    String(after.sequence),
    '--in-place',
    '--yes'
  )
  expect(back.code, back.log).toBe(0)
  expect((await user.read('/other.txt')).toString()).toBe('new')

  // Whoever takes over has it too.
  await federation.settled()
  await federation.kill((await federation.workspaceOf(user)).homeName ?? '')
  expect((await user.read('/notes/thesis.txt')).toString()).toBe('good')
  const audit = await federation.api.get<{ action: string }[]>('/audit')
  expect(audit.filter(({ action }) => action === 'workspace.restore')).toHaveLength(3)
})

test('a home that is killed while it goes back leaves the old files or the new ones, and no mix', async () => {
  await using federation = await TestFederation.open(['--standbys', '0', '--failover-after', '1m'])
  await federation.join('alpha')
  const user = await federation.addUser('ada')
  await user.save('/first.txt', 'the first')
  const { id } = await federation.workspaceOf(user)
  const folder = await federation.filesOf(user, 'alpha')
  const names = Array.from({ length: 800 }, (_, index) => `file-${index}`)
  const writeAll = async (text: string): Promise<number> => {
    for (const name of names) await writeFile(join(folder, name), `${text} ${name} ${text.repeat(5000)}`)
    return await published(federation, folder, id, `marker-${text}`)
  }
  const old = await writeAll('old')
  await writeAll('new')
  const states = async (): Promise<Set<string>> => {
    const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8').catch(() => 'missing')))
    return new Set(texts.map((text) => text.slice(0, 3)))
  }
  const going = federation.admin('workspaces', 'restore', id, '--sequence', String(old), '--in-place', '--yes')
  await federation.until('some files are back', async () => (await states()).has('old'))
  await federation.kill('alpha')
  const mixed = await states()
  await going

  await federation.resume('alpha')
  expect((await user.read('/first.txt')).toString()).toBe('the first')
  const after = await states()
  expect(after.size).toBe(1)
  const served = (await user.read(`/${names[0]}`)).toString().slice(0, 3)
  expect(after).toEqual(new Set([served]))
  const restored = join(federation.root, 'newest')
  expect((await federation.admin('workspaces', 'restore', id, '--to', restored)).code).toBe(0)
  expect(await describeTree(restored)).toEqual(await describeTree(folder))
  console.info(`killed with files ${[...mixed].join(' and ')}; served ${served}`)
})
