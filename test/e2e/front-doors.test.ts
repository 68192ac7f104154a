import { expect, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'
import { Traffic } from '../tools/traffic.ts'
import { type Sent, WebUser } from '../tools/web-user.ts'

/** Somebody behind a load balancer: one front door after the other. */
class BalancedUser extends WebUser {
  readonly #doors: ReadonlyMap<string, WebUser>
  #turn = 0
  /** Front doors that are not asked any more. */
  readonly gone = new Set<string>()
  /** Those with a request of this user under way. */
  readonly asked = new Set<string>()
  readonly #urls: readonly string[]

  constructor(name: string, urls: readonly string[], headers: Readonly<Record<string, string>> = {}) {
    super(name, urls[0] ?? '', headers)
    this.#urls = urls
    this.#doors = new Map(urls.map((url) => [url, new WebUser(name, url, headers)]))
  }

  override async send(method: string, path: string, sent: Sent = {}): ReturnType<WebUser['send']> {
    const open = this.#urls.filter((url) => !this.gone.has(url))
    const url = open[this.#turn++ % open.length]
    const door = this.#doors.get(url ?? '')
    if (url === undefined || door === undefined) throw new Error('no front door is left')
    door.cookie = this.cookie
    this.asked.add(url)
    const answer = await door.send(method, path, sent).finally(() => this.asked.delete(url))
    this.cookie = door.cookie
    return answer
  }
}

test('two front doors of their own: one drains, one dies, a door is stopped and another killed, and no user notices', async () => {
  await using federation = await TestFederation.open()
  await Promise.all(['alpha', 'beta', 'gamma'].map((name) => federation.join(name)))
  const urls = await Promise.all(['north', 'south'].map((name) => federation.openDoor(name)))
  expect(await federation.peer('north')).toMatchObject({ role: 'front-door', state: 'serving' })
  const [north = '', south = ''] = urls
  const description = await new WebUser('nobody', north).get('/.well-known/node-daemon')
  expect(JSON.parse(description.text)).toMatchObject({ peerId: federation.ready.peerId })
  const signIn = await new WebUser('nobody', north).get('/.well-known/node-daemon/sign-in')
  expect([signIn.status, signIn.text]).toEqual([200, expect.stringContaining('<form')])
  const named = await Promise.all(
    ['ada', 'bob', 'cy', 'dan'].map(async (name) => {
      const { token } = await federation.api.send<{ token: string }>('POST', '/users', { name })
      return new BalancedUser(name, urls, { authorization: `Bearer ${token}` })
    })
  )
  const guests = ['guest-1', 'guest-2'].map((name) => new BalancedUser(name, urls))
  const users = [...named, ...guests]
  for (const guest of guests) expect((await guest.get('/')).status).toBe(200)
  await Promise.all(users.map((user) => user.save('/mine.txt', `of ${user.name}`)))
  const begun = await federation.workspaces()
  expect(begun, 'one for each, whichever door they came by').toHaveLength(users.length)
  await federation.settled()

  await using traffic = new Traffic(users, 40)
  await federation.until('the traffic is under way', async () => traffic.requests >= 40)
  const drained = await federation.command('alpha', 'drain')
  expect(drained.code, drained.log).toBe(0)
  await federation.until('there is a standby for each', async () =>
    (await federation.workspaces()).every(({ standbys }) => standbys.length > 0)
  )
  await federation.kill('beta')
  const before = traffic.requests
  await federation.until('the traffic goes on', async () => traffic.requests >= before + 80)

  // A door that stands still holds nobody up who comes by another, and routes nothing that is old when it goes on.
  for (const user of users) user.gone.add(north)
  await federation.join('delta')
  const ids = (await federation.workspaces()).map(({ id }) => id)
  federation.program('north').kill('SIGSTOP')
  const moved = await federation.admin('workspaces', 'move', ids[0] ?? '', '--to', 'delta')
  expect(moved.code, moved.log).toBe(0)
  federation.program('north').kill('SIGCONT')
  for (const user of users) user.gone.delete(north)
  const again = traffic.requests
  await federation.until('the traffic goes on', async () => traffic.requests >= again + 40)

  for (const user of users) user.gone.add(south)
  await federation.until('nobody waits there', async () => users.every(({ asked }) => !asked.has(south)))
  await federation.kill('south')
  const last = traffic.requests
  await federation.until('the traffic goes on', async () => traffic.requests >= last + 40)
  await traffic.stop()
  expect(traffic.failures).toEqual([])
  expect(await traffic.lost()).toEqual([])
  expect([...traffic.instances]).toEqual(
    expect.arrayContaining([...begun.map(({ homeName }) => homeName), 'gamma', 'delta'])
  )
  for (const user of users) expect((await user.read('/mine.txt')).toString()).toBe(`of ${user.name}`)
})
