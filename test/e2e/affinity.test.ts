import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'

test('each user stays on one instance over many requests, and sees only their own files', async () => {
  await using federation = await TestFederation.open()
  await Promise.all([federation.join('alpha'), federation.join('beta')])
  // Each goes to one of two by chance: that none goes to one of them does not happen.
  const users = await federation.addUsers(20)
  await Promise.all(users.map((user) => user.save('/mine.txt', `of ${user.name}`)))

  const homes = new Map<string, string>()
  await Promise.all(
    users.map(async (user) => {
      for (let request = 0; request < 10; request += 1) {
        const answer = await user.get('/mine.txt')
        expect([answer.status, answer.text]).toEqual([200, `of ${user.name}`])
        expect(homes.get(user.name) ?? answer.by).toBe(answer.by)
        homes.set(user.name, answer.by)
      }
    })
  )
  expect(new Set(homes.values()), 'the load is shared').toEqual(new Set(['alpha', 'beta']))
  for (const user of users) expect((await federation.workspaceOf(user)).homeName).toBe(homes.get(user.name))
})

test("what another user's workspace is called opens nothing, whatever header says it", async () => {
  await using federation = await TestFederation.open()
  await federation.join('alpha')
  const [ada, bob] = await Promise.all([federation.addUser('ada'), federation.addUser('bob')])
  await ada.save('/secret.txt', 'of ada')
  await bob.save('/own.txt', 'of bob')
  const { id, epoch } = await federation.workspaceOf(ada)
  const forged = {
    'x-workspace-id': id,
    'x-workspace-dir': await federation.filesOf(ada, 'alpha'),
    'x-remote-user': 'user:ada',
    'x-node-daemon-epoch': String(epoch),
    'x-node-daemon-service': 'files',
    'x-forwarded-user': 'ada'
  }
  for (const path of ['/secret.txt', `/../${id}/secret.txt`, `/%2e%2e/${id}/secret.txt`, `/..%2f${id}%2fsecret.txt`]) {
    const answer = await bob.get(path, { headers: forged })
    expect(answer.status, path).toBeGreaterThanOrEqual(400)
    expect(answer.text, path).not.toContain('of ada')
  }
  expect((await bob.put('/secret.txt', 'of bob', forged)).status).toBe(201)
  expect((await ada.read('/secret.txt')).toString()).toBe('of ada')
  expect((await bob.get('/own.txt', { headers: forged })).text).toBe('of bob')
})

test('a guest keeps a workspace by the cookie; a change without one is refused with an explanation', async () => {
  await using federation = await TestFederation.open()
  await federation.join('alpha')
  const guest = federation.guest()
  const robot = federation.guest()

  const refused = await robot.put('/file.txt', 'x')
  expect(refused.status).toBe(401)
  expect(refused.headers.get('www-authenticate')).toMatch(/^Basic realm=/)
  expect(refused.text).toContain('token')
  expect(refused.headers.getSetCookie()).toEqual([])

  const first = await guest.get('/')
  expect([first.status, first.by]).toEqual([200, 'alpha'])
  expect(first.headers.getSetCookie()[0]).toMatch(/^nd_session=.+; .*HttpOnly/i)
  expect(await federation.workspaces(), 'a look leaves nothing behind').toEqual([])
  expect(await readdir(join(federation.folder('alpha'), 'workspaces'))).toEqual([])

  await guest.save('/draft.txt', 'of the guest')
  expect((await guest.read('/draft.txt')).toString()).toBe('of the guest')
  expect(await federation.workspaces()).toHaveLength(1)

  const other = federation.guest()
  await other.get('/')
  expect(other.cookie).not.toBe(guest.cookie)
  expect((await other.get('/draft.txt')).status).toBe(404)
  expect((await robot.get('/draft.txt')).status).toBe(404)

  const forged = federation.guest()
  forged.cookie = `${guest.cookie?.slice(0, -2)}AA`
  expect((await forged.get('/draft.txt')).status).toBe(404)
  const crossSite = await guest.put('/draft.txt', 'stolen', { origin: 'https://evil.example.org' })
  expect(crossSite.status).toBe(403)
  expect((await guest.read('/draft.txt')).toString()).toBe('of the guest')
})

test('a token that is not known, and guests where there are none, get 401; a blocked user gets 403 at once', async () => {
  await using federation = await TestFederation.open(['--anonymous', 'no'])
  await federation.join('alpha')
  const ada = await federation.addUser('ada')
  await ada.save('/a.txt', 'a')

  const unknown = await federation.guest().get('/', { headers: { authorization: 'Bearer nobody' } })
  expect([unknown.status, unknown.headers.get('www-authenticate')]).toEqual([
    401,
    expect.stringMatching(/^Basic realm=/)
  ])
  const guest = await federation.guest().get('/')
  expect([guest.status, guest.headers.getSetCookie()]).toEqual([401, []])
  expect(guest.text).toContain('token')

  expect((await federation.admin('users', 'block', 'ada')).code).toBe(0)
  expect((await ada.get('/a.txt')).status).toBe(403)
  expect((await federation.admin('users', 'block', 'ada', '--off')).code).toBe(0)
  expect((await ada.read('/a.txt')).toString()).toBe('a')
})
