import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'

test('an admin drains an instance over a kill of the coordinator, and the other one at a time', async () => {
  await using federation = await TestFederation.open(['--standbys', '0'])
  await federation.join('alpha')
  const users = await federation.addUsers(2)
  const [ada] = users
  for (const user of users) await user.save('/mine.txt', `of ${user.name}`)
  await ada?.save('/large.bin', randomBytes(2_500_000))
  await federation.join('beta', ['--download-limit', '1MB/s'])

  const begun = await federation.admin('peers', 'drain', 'alpha', '--detach')
  expect(begun.code, begun.log).toBe(0)
  await federation.until('one of them is handed over', async () =>
    (await federation.workspaces()).some(({ homeName }) => homeName === 'beta')
  )
  await federation.kill('coordinator')
  await federation.startCoordinator()
  await federation.until('alpha is drained', async () => (await federation.peer('alpha')).state === 'drained')
  // Drained by an admin, it stays, and shows what it is.
  await federation.until('alpha knows', async () => (await federation.status('alpha')).state === 'drained')
  const folder = join(federation.folder('alpha'), 'certificates')
  const [certificate = ''] = await readdir(folder)
  const verdict = await federation.run('receipts', 'verify', join(folder, certificate))
  expect(verdict.lines[0]).toMatchObject({ ok: true, heads: 2 })
  for (const user of users) expect((await user.get('/mine.txt')).by).toBe('beta')

  expect((await federation.admin('peers', 'resume', 'alpha')).code).toBe(0)
  expect((await federation.peer('alpha')).state).toBe('serving')
  const soon = new Date(Date.now() + 8000).toISOString()
  const planned = await federation.command('beta', 'drain', '--at', soon)
  expect([planned.code, planned.lines[0]?.plannedAt]).toEqual([0, soon])
  expect((await federation.status('beta')).drain?.plannedAt).toBe(soon)
  expect(await federation.program('beta').ended()).toEqual({ code: 0, signal: null })
  for (const user of users) expect((await user.read('/mine.txt')).toString()).toBe(`of ${user.name}`)
})
