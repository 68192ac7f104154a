import { expect, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'
import { Traffic } from '../tools/traffic.ts'

test('workspaces move to and fro under 20 requests a second: none fails, and the pause is told', async () => {
  await using federation = await TestFederation.open()
  await Promise.all(['alpha', 'beta'].map((name) => federation.join(name)))
  const users = await federation.addUsers(6)
  await Promise.all(users.map((user) => user.save('/mine.txt', `of ${user.name}`)))
  await federation.settled()

  await using traffic = new Traffic(users, 20)
  const pauses: number[] = []
  for (const round of ['there', 'back']) {
    for (const user of users) {
      const before = await federation.workspaceOf(user)
      const to = before.homeName === 'alpha' ? 'beta' : 'alpha'
      const moved = await federation.admin('workspaces', 'move', before.id, '--to', to)
      expect(moved.code, `${round}: ${moved.log}`).toBe(0)
      expect(moved.lines[0]).toMatchObject({ id: before.id, epoch: before.epoch + 1 })
      pauses.push(Number(moved.lines[0]?.pauseMs))
      const answer = await user.get('/mine.txt')
      expect([answer.status, answer.text, answer.by]).toEqual([200, `of ${user.name}`, to])
    }
  }
  await traffic.stop()
  expect(traffic.failures).toEqual([])
  expect(await traffic.lost()).toEqual([])
  expect(traffic.requests).toBeGreaterThan(50)
  expect(traffic.instances).toEqual(new Set(['alpha', 'beta']))
  for (const pause of pauses) expect(pause).toBeLessThan(5000)
  console.info(
    `12 moves: requests waited ${Math.max(...pauses)} ms at most; ${traffic.requests} requests, the longest took ${Math.round(traffic.longestMs)} ms`
  )
})

test('a move to an instance that does not serve, or that is the home already, is refused', async () => {
  await using federation = await TestFederation.open()
  await federation.join('alpha')
  const ada = await federation.addUser('ada')
  await ada.save('/mine.txt', 'of ada')
  const { id, epoch } = await federation.workspaceOf(ada)
  await federation.ask('beta')
  expect((await federation.admin('workspaces', 'move', id, '--to', 'beta')).code).toBe(4)
  expect((await federation.admin('workspaces', 'move', id, '--to', 'nobody')).code).toBe(3)
  expect((await federation.admin('workspaces', 'move', '0123456789', '--to', 'alpha')).code).toBe(3)
  const same = await federation.admin('workspaces', 'move', id, '--to', 'alpha')
  expect(same.code).toBe(4)
  expect(same.log).toContain('error ILLEGAL_TRANSITION')
  expect((await federation.workspaceOf(ada)).epoch).toBe(epoch)
  expect((await ada.read('/mine.txt')).toString()).toBe('of ada')
})
