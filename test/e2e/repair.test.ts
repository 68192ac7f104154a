import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { RepositoryView } from '../../src/console/views.ts'
import { TestFederation } from '../tools/federation.ts'
import { describeTree } from '../tools/tree-listing.ts'

/** Changes one byte of what a pack has of `content`. */
async function spoil(federation: TestFederation, content: Buffer): Promise<void> {
  const folder = join(federation.folder('coordinator'), 'repository', 'packs')
  for (const name of await readdir(folder)) {
    const at = (await readFile(join(folder, name))).indexOf(content.subarray(1000, 1100))
    if (at < 0) continue
    await using file = await open(join(folder, name), 'r+')
    await file.write(Uint8Array.of((content[1000] ?? 0) ^ 0xff), 0, 1, at)
    return
  }
  throw new Error('no pack has this content')
}

test('a block that rots is found, comes back from the instance that has it, and is never served spoilt', async () => {
  await using federation = await TestFederation.open(['--standbys', '0', '--failover-after', '1m'])
  await federation.join('alpha')
  const ada = await federation.addUser('ada')
  const photo = randomBytes(100_000)
  await ada.save('/photo.jpg', photo)
  const { id } = await federation.workspaceOf(ada)
  const whole = await federation.admin('repo', 'verify')
  expect([whole.code, whole.lines.at(-1)]).toMatchObject([0, { damaged: 0, repaired: 0, left: [] }])

  await spoil(federation, photo)
  const repaired = await federation.admin('repo', 'verify')
  expect([repaired.code, repaired.lines.at(-1)], repaired.log).toMatchObject([0, { damaged: 1, repaired: 1, left: [] }])
  const stats = await federation.api.get<RepositoryView>('/repo/stats')
  expect(stats).toMatchObject({ damaged: 0, lastVerifyAt: expect.any(String) })

  // What rots while the coordinator is off, and no instance is there.
  await federation.kill('alpha')
  expect((await federation.command('coordinator', 'stop')).code).toBe(0)
  await federation.program('coordinator').ended()
  await spoil(federation, photo)
  await federation.startCoordinator()
  const lost = await federation.admin('repo', 'verify')
  expect([lost.code, lost.lines.at(-1)], lost.log).toMatchObject([7, { repaired: 0, left: [{ workspaces: [id] }] }])
  expect(lost.log).toContain('error INTEGRITY')
  expect(lost.log).toContain(id)
  const car = join(federation.root, 'spoilt.car')
  expect((await federation.admin('workspaces', 'export', id, car)).code).toBe(6)
  expect(existsSync(car), 'nothing spoilt is left').toBe(false)
  const folder = join(federation.root, 'spoilt')
  expect((await federation.admin('workspaces', 'restore', id, '--to', folder)).code).toBe(6)
  const all = await federation.admin('repo', 'export', car)
  expect([all.code, all.log]).toEqual([6, expect.stringMatching(/error INCOMPLETE.*node-daemon repo verify/s)])
  expect(existsSync(folder), 'nothing half restored is left').toBe(false)

  await federation.resume('alpha')
  expect((await ada.read('/photo.jpg')).equals(photo), 'the home has it').toBe(true)
  const again = await federation.admin('repo', 'verify')
  expect([again.code, again.lines.at(-1)], again.log).toMatchObject([0, { repaired: 1, left: [] }])
  expect((await federation.admin('workspaces', 'restore', id, '--to', folder)).code).toBe(0)
  expect(await describeTree(folder)).toEqual(await describeTree(await federation.filesOf(ada, 'alpha')))
})

test('the history is thinned when an admin is sure, and the index is built anew, while users go on', async () => {
  await using federation = await TestFederation.open(['--standbys', '0', '--retention', 'minutes=1,hours=1'])
  await federation.join('alpha')
  const ada = await federation.addUser('ada')
  for (const text of ['one', 'two', 'three']) await ada.save('/note.txt', text)
  expect((await federation.admin('repo', 'gc')).code, 'it asks first').toBe(2)
  const thinned = await federation.admin('repo', 'gc', '--full', '--yes')
  expect([thinned.code, thinned.lines.at(-1)], thinned.log).toMatchObject([0, { freedBytes: expect.any(Number) }])
  const rebuilt = await federation.admin('repo', 'reindex')
  expect([rebuilt.code, rebuilt.lines.at(-1)], rebuilt.log).toMatchObject([0, { state: 'done' }])
  await ada.save('/note.txt', 'four')
  expect((await ada.read('/note.txt')).toString()).toBe('four')
  expect((await federation.admin('repo', 'verify')).code).toBe(0)
  const audit = await federation.api.get<{ action: string }[]>('/audit')
  expect(audit.map(({ action }) => action)).toEqual(
    expect.arrayContaining(['repository.gc', 'repository.reindex', 'repository.verify'])
  )
  const { lastGcAt } = await federation.api.get<RepositoryView>('/repo/stats')
  expect(lastGcAt).not.toBeNull()
})

test('a receipt of the repository is had for a workspace, and verifies without a connection', async () => {
  await using federation = await TestFederation.open(['--standbys', '0'])
  await federation.join('alpha')
  const ada = await federation.addUser('ada')
  await ada.save('/note.txt', 'kept')
  const { id, head } = await federation.workspaceOf(ada)
  const file = join(federation.root, 'ada.receipt.json')
  expect((await federation.admin('workspaces', 'show', id, '--receipt', file)).code).toBe(0)
  expect((await federation.command('coordinator', 'stop')).code).toBe(0)
  await federation.program('coordinator').ended()
  const checked = await federation.run('receipts', 'verify', file)
  expect([checked.code, checked.lines[0]], checked.log).toMatchObject([
    0,
    { ok: true, kind: 'receipt', receipt: { workspace: id, sequence: head?.sequence, root: head?.root } }
  ])
  expect(checked.lines[0]).toMatchObject({ recipients: [{ peer: federation.ready.peerId, role: 'repository' }] })
})

test('an instance tells how old its unpublished changes are while its coordinator is away', async () => {
  await using federation = await TestFederation.open(['--standbys', '0'])
  await federation.join('alpha')
  const ada = await federation.addUser('ada')
  await ada.save('/note.txt', 'kept')
  const folder = await federation.filesOf(ada, 'alpha')
  await federation.kill('coordinator')
  await using file = await open(join(folder, 'new.bin'), 'w')
  await file.write(randomBytes(50_000))
  const first = await federation.until('it knows', async () => {
    const status = await federation.status('alpha')
    return status.unsyncedBytes >= 50_000 && status
  })
  expect(first).toMatchObject({ safeToSwitchOff: false, reason: expect.stringContaining('durable elsewhere') })
  await federation.until('it grows', async () => {
    return (await federation.status('alpha')).unsyncedAgeMs > first.unsyncedAgeMs + 500
  })
  // After a restart nobody knows what was synced, as long as the coordinator is away.
  await federation.kill('alpha')
  federation.start('alpha', ['join'])
  const restarted = await federation.until('it runs again', () => federation.status('alpha'))
  expect(restarted).toMatchObject({ safeToSwitchOff: false, workspaces: { home: 1 } })
  expect(restarted.unsyncedAgeMs).toBeGreaterThan(0)
  await federation.startCoordinator()
  await federation.until('all is synced', async () => {
    const { unsyncedAgeMs, unsyncedBytes } = await federation.status('alpha')
    return unsyncedAgeMs === 0 && unsyncedBytes === 0
  })
  expect((await federation.workspaceOf(ada)).files).toBe(2)
})
