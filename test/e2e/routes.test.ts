import { expect, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'
import { freeAddress } from '../tools/free-address.ts'
import { Browser } from '../tools/page-visitor.ts'
import { Traffic } from '../tools/traffic.ts'
import type { WebUser } from '../tools/web-user.ts'

const LEASE_MS = 4_000

/** Has the workspace of a user served by this instance. */
async function moveTo(federation: TestFederation, user: WebUser, name: string): Promise<void> {
  const { id, homeName } = await federation.workspaceOf(user)
  if (homeName === name) return
  const moved = await federation.admin('workspaces', 'move', id, '--to', name)
  expect(moved.code, moved.log).toBe(0)
}

test('three routes: users work on each, a workspace moves, a home that users reached past the front door is killed', async () => {
  await using federation = await TestFederation.open(['--lease', `${LEASE_MS}ms`])
  const [direct, redirect] = [await freeAddress(), await freeAddress()]
  await Promise.all([
    federation.join('alpha'),
    federation.join('beta', ['--public-url', `http://${direct}`, '--ingress', direct]),
    federation.join('gamma', ['--public-url', `http://${redirect}`, '--ingress', redirect, '--route', 'redirect'])
  ])
  for (const [name, route] of [
    ['beta', 'direct'],
    ['gamma', 'redirect']
  ] as const) {
    await federation.until(
      `${name} is reached by ${route}`,
      async () => (await federation.peer(name)).route?.inUse === route
    )
  }
  expect((await federation.peer('alpha')).route).toBeNull()
  const [ada, ben, eve] = (await federation.addUsers(3)) as [WebUser, WebUser, WebUser]
  const homes = [
    [ada, 'alpha'],
    [ben, 'beta'],
    [eve, 'gamma']
  ] as const
  for (const [user, name] of homes) {
    await user.save('/mine.txt', `of ${user.name}`)
    await moveTo(federation, user, name)
    expect(await user.get('/mine.txt')).toMatchObject({ status: 200, text: `of ${user.name}`, by: name })
  }

  // A browser is sent to gamma, and works there.
  const browser = new Browser(federation.ready.http, eve.headers.authorization ?? '')
  const page = await browser.visit('/mine.txt')
  expect(page).toMatchObject({ status: 200, text: 'of user-3', by: 'gamma', url: `http://${redirect}/mine.txt` })
  expect((await browser.save('/there.txt', 'saved at the instance')).status).toBe(201)
  expect((await eve.get('/there.txt')).text).toBe('saved at the instance')

  // Nothing but tickets counts there.
  const workspace = (await federation.workspaceOf(eve)).id
  const spoofed = {
    'x-workspace-id': workspace,
    'x-node-daemon-epoch': '9',
    'x-node-daemon-service': 'files',
    'x-remote-user': 'user:user-3'
  }
  for (const address of [direct, redirect]) {
    const read = await fetch(`http://${address}/mine.txt`, { headers: spoofed, redirect: 'manual' })
    const written = await fetch(`http://${address}/mine.txt`, { method: 'PUT', headers: spoofed, body: 'mine now' })
    expect([read.status, written.status]).toEqual([421, 421])
  }

  // The workspace moves while everybody works.
  await using traffic = new Traffic([ada, ben, eve], 20)
  await federation.until('the traffic is under way', async () => traffic.requests >= 10)
  await moveTo(federation, eve, 'beta')
  expect((await browser.save('/late.txt', 'not here')).status).toBe(421)
  expect(await browser.visit('/there.txt')).toMatchObject({ text: 'saved at the instance', by: 'beta' })
  await moveTo(federation, eve, 'gamma')
  expect(await browser.visit('/there.txt')).toMatchObject({ by: 'gamma', url: `http://${redirect}/there.txt` })
  await traffic.stop()
  expect(traffic.failures).toEqual([])
  expect(await traffic.lost()).toEqual([])
  await federation.settled()

  // Others take over only once gamma can serve nobody any more.
  expect((await browser.save('/last.txt', 'right before')).status).toBe(201)
  await federation.settled()
  const killedAt = performance.now()
  await federation.kill('gamma')
  const after = await eve.get('/last.txt')
  const tookMs = performance.now() - killedAt
  expect(after).toMatchObject({ status: 200, text: 'right before' })
  expect(after.by).not.toBe('gamma')
  expect(tookMs).toBeGreaterThan(LEASE_MS - 1_000)
  expect(tookMs).toBeLessThan(LEASE_MS + 10_000)
  console.info(
    `a home that redirects: served again ${Math.round(tookMs)} ms after kill -9, with a lease of ${LEASE_MS} ms`
  )
})
