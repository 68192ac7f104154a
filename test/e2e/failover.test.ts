import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'
import { Traffic } from '../tools/traffic.ts'
import type { WebUser } from '../tools/web-user.ts'

const SERVED_AGAIN_MS = 10_000

/** The users whose home this instance is. */
async function usersOf(federation: TestFederation, users: readonly WebUser[], name: string): Promise<WebUser[]> {
  const workspaces = await federation.workspaces()
  return users.filter((user) => workspaces.some((one) => one.user === `user:${user.name}` && one.homeName === name))
}

test('kill -9 of a home under traffic: its users wait a moment, no request fails, nothing is lost', async () => {
  await using federation = await TestFederation.open()
  await Promise.all(['alpha', 'beta', 'gamma'].map((name) => federation.join(name)))
  const users = await federation.addUsers(12)
  await Promise.all(users.map((user) => user.save('/mine.txt', `of ${user.name}`)))
  await federation.settled()
  const victim = await federation.busiest()
  const affected = await usersOf(federation, users, victim)
  expect(affected.length).toBeGreaterThan(0)

  await using traffic = new Traffic(users, 20)
  await federation.until('the traffic is under way', async () => traffic.requests >= 30)
  const killedAt = performance.now()
  await federation.kill(victim)
  const answers = await Promise.all(affected.map((user) => user.get('/mine.txt')))
  const servedAgainMs = performance.now() - killedAt
  for (const answer of answers) expect([answer.status, answer.by === victim]).toEqual([200, false])
  expect(servedAgainMs).toBeLessThan(SERVED_AGAIN_MS)
  await traffic.stop()
  console.info(`served again ${Math.round(servedAgainMs)} ms after kill -9; ${traffic.requests} requests`)
  expect(traffic.failures).toEqual([])
  expect(await traffic.lost()).toEqual([])
  for (const user of users) expect((await user.read('/mine.txt')).toString()).toBe(`of ${user.name}`)
  expect((await federation.peer(victim)).state).toBe('dead')
})

test('a home that was suspended is fenced when it wakes, and what it had for itself is kept as diverged', async () => {
  await using federation = await TestFederation.open()
  await federation.join('alpha')
  const ada = await federation.addUser('ada')
  await ada.save('/shared.txt', 'first')
  await federation.join('beta')
  await federation.settled()
  const before = await federation.workspaceOf(ada)
  const lateFolder = await federation.filesOf(ada, 'alpha')

  const alpha = federation.program('alpha')
  alpha.kill('SIGSTOP')
  const answer = await ada.put('/shared.txt', 'second')
  expect([answer.status, answer.by]).toEqual([204, 'beta'])
  await writeFile(join(lateFolder, 'late.txt'), 'written while nobody looked')
  await writeFile(join(lateFolder, 'shared.txt'), 'written late')
  alpha.kill('SIGCONT')

  const { diverged } = await federation.until('the late changes are kept', async () => {
    const found = await federation.workspaceOf(ada)
    return found.diverged.length > 0 ? found : null
  })
  expect(diverged).toMatchObject([{ epoch: before.epoch, writer: before.home }])
  const shown = await federation.admin('workspaces', 'show', before.id)
  expect(shown.lines[0]?.diverged).toHaveLength(1)
  const now = await ada.get('/shared.txt')
  expect([now.text, now.by]).toEqual(['second', 'beta'])
  expect((await ada.get('/late.txt')).status).toBe(404)
  await federation.settled()
  await federation.until('the old home has the tree of the new one', async () => {
    return (await readFile(join(lateFolder, 'shared.txt'), 'utf8')) === 'second'
  })
})

test('the coordinator is killed amid traffic: users keep cookie and home, nothing acknowledged is lost', async () => {
  await using federation = await TestFederation.open()
  await Promise.all(['alpha', 'beta'].map((name) => federation.join(name)))
  const users = await federation.addUsers(6)
  const guest = federation.guest()
  await guest.get('/')
  await guest.save('/draft.txt', 'of the guest')
  await Promise.all(users.map((user) => user.save('/mine.txt', `of ${user.name}`)))
  await federation.settled()
  const before = await federation.workspaces()

  await using traffic = new Traffic(users, 20)
  await federation.until('the traffic is under way', async () => traffic.requests >= 30)
  await federation.kill('coordinator')
  const requests = traffic.requests
  await federation.startCoordinator()
  await federation.until('every home is back', async () =>
    (await federation.workspaces()).every(({ state }) => state === 'serving')
  )
  await federation.until('the traffic goes on', async () => traffic.requests >= requests + 40)
  await traffic.stop()
  expect(traffic.saved).toBeGreaterThan(users.length)
  expect(await traffic.lost()).toEqual([])
  expect((await guest.read('/draft.txt')).toString()).toBe('of the guest')
  for (const user of users) expect((await user.read('/mine.txt')).toString()).toBe(`of ${user.name}`)
  expect((await federation.workspaces()).map(({ id, home, epoch }) => [id, home, epoch])).toEqual(
    before.map(({ id, home, epoch }) => [id, home, epoch])
  )
})

test('what an app changes in the folder by itself reaches the repository and the standby', async () => {
  await using federation = await TestFederation.open()
  await federation.join('alpha')
  const ada = await federation.addUser('ada')
  await ada.save('/old.txt', 'old')
  await ada.save('/gone.txt', 'gone')
  await federation.join('beta')
  await federation.settled()
  const home = await federation.filesOf(ada, 'alpha')
  const standby = await federation.filesOf(ada, 'beta')

  await writeFile(join(home, 'result.txt'), 'computed in the background')
  await rename(join(home, 'old.txt'), join(home, 'new.txt'))
  await rm(join(home, 'gone.txt'))
  await federation.until('the standby has it', async () => {
    const names = (await readdir(standby)).sort()
    if (names.join() !== 'new.txt,result.txt') return false
    const texts = await Promise.all(names.map((name) => readFile(join(standby, name), 'utf8')))
    return texts.join() === 'old,computed in the background'
  })
  await federation.settled()
  await federation.kill('alpha')
  const answer = await ada.get('/result.txt')
  expect([answer.text, answer.by]).toEqual(['computed in the background', 'beta'])
  expect((await ada.read('/new.txt')).toString()).toBe('old')
  expect((await ada.get('/old.txt')).status).toBe(404)
  expect((await ada.get('/gone.txt')).status).toBe(404)
})
