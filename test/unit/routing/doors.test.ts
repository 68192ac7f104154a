import { createServer } from 'node:http'
import type { Duplex } from 'node:stream'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { createIdentity, type Identity } from '../../../src/core/identity.ts'
import type { GroupName, OwnerId, PeerIdText, ServiceName, UserId, WorkspaceId } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import type { Channel, Gate, Link } from '../../../src/network/host.ts'
import { startHost, type WebHost } from '../../../src/network/libp2p-host.ts'
import { DoorClient } from '../../../src/routing/doors/door-client.ts'
import { DoorSession } from '../../../src/routing/doors/door-session.ts'
import { DoorSessions } from '../../../src/routing/doors/door-sessions.ts'
import { Doors } from '../../../src/routing/doors/doors.ts'
import { openRelay, serveRelay } from '../../../src/routing/doors/relay.ts'
import { RemoteDoor } from '../../../src/routing/doors/remote-door.ts'
import { RemoteRoutes } from '../../../src/routing/doors/remote-routes.ts'
import { Flights } from '../../../src/routing/flights.ts'
import type { DoorPlace, DoorRules } from '../../../src/wire/front-door.ts'
import { RELAY_PROTOCOL } from '../../../src/wire/front-door.ts'

const clock = systemClock()
const PATIENT = { timeout: 10_000 }
const FILES = 'files' as ServiceName
const ADA = 'user:ada' as UserId
const ALPHA = (await createIdentity()).peerId
const RULES: DoorRules = {
  federation: 'Main',
  anonymous: true,
  holdMs: 1000,
  secure: false,
  userHeader: '',
  cookieKeys: { current: new Uint8Array(32).fill(1), previous: [] },
  facts: '{}',
  rates: { requestsPerS: 200, guestsPerHour: null }
}

const workspace = (number: number): WorkspaceId => `f${number.toString(16).padStart(31, '0')}` as WorkspaceId
const owner = (number: number): OwnerId => `user:u${number}` as OwnerId
const servingAt = (number: number, epoch = 1): DoorPlace => ({
  workspace: workspace(number),
  service: FILES,
  owner: owner(number),
  state: 'serving',
  epoch,
  home: ALPHA,
  homeName: 'alpha',
  limitBytes: null
})
const held = (place: DoorPlace): DoorPlace => ({ ...place, state: 'moving', epoch: 0, home: null, homeName: '' })

const cleanUps: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function host(
  listen: boolean,
  identity?: Identity,
  standing: Gate['standing'] = () => 'member'
): Promise<WebHost> {
  const started = await startHost(
    { identity: identity ?? (await createIdentity()), gate: { standing }, clock, log: silent },
    { listen: listen ? ['/ip4/127.0.0.1/tcp/0'] : [] }
  )
  cleanUps.push(() => started.close())
  return started
}

/** A coordinator, as far as front doors see it. */
async function coordinator(count = 3) {
  const places = new Map(Array.from({ length: count }, (_, index) => [workspace(index), servingAt(index)]))
  const tokens = new Map([['secret', ADA]])
  const blocked = new Set<UserId>()
  const used = new Set<WorkspaceId>()
  const doors = new Set<PeerIdText>()
  const server = await host(true)
  let asked = 0
  const sessions = new DoorSessions({
    clock,
    log: silent,
    standstill: { endedAt: Number.NEGATIVE_INFINITY },
    isDoor: (peer) => doors.has(peer),
    welcome: () => ({ name: 'door', certificate: new Uint8Array(1), memberList: new Uint8Array(1) }),
    rules: () => RULES,
    services: () => [{ name: FILES, host: '', prefix: '', scope: 'user', writers: '' }],
    instances: () => [{ peer: ALPHA, name: 'alpha', services: [FILES] }],
    blocked: () => [...blocked],
    groups: () => [{ name: 'lab' as GroupName, createdAt: 0, members: new Map([['ada', 'write']]) }],
    onUse: (id) => void used.add(id),
    onChange: () => undefined,
    workspaces: () => [...places.keys()],
    knows: (id) => places.has(id),
    place: (id) => places.get(id) ?? null,
    async answer(question) {
      asked += 1
      if (question.kind === 'create') {
        const place = { ...servingAt(places.size), owner: question.owner }
        places.set(place.workspace, place)
        return { kind: 'place', place }
      }
      return { kind: 'user', user: question.kind === 'token' ? (tokens.get(question.token) ?? null) : null }
    }
  })
  await sessions.register(server)
  cleanUps.push(() => sessions.close())
  return {
    server,
    sessions,
    places,
    tokens,
    blocked,
    used,
    doors,
    all: new Doors(() => sessions.doors()),
    asked: () => asked,
    remove(id: WorkspaceId) {
      places.delete(id)
      sessions.touched(id)
    },
    set(place: DoorPlace) {
      places.set(place.workspace, place)
      sessions.touched(place.workspace)
    }
  }
}

type Bench = Awaited<ReturnType<typeof coordinator>>

/** A front door that is connected with it. */
async function door(at: Bench) {
  const own = await host(false)
  at.doors.add(own.peerId)
  const stop = new AbortController()
  const remote: RemoteDoor = new RemoteDoor({
    client: () => client,
    onMembers: () => undefined,
    onRules: () => undefined,
    clock,
    log: silent
  })
  const client: DoorClient = new DoorClient({
    host: own,
    coordinator: at.server.peerId,
    addresses: () => at.server.addresses(),
    own: () => [],
    version: '0.1.0',
    handlers: {
      connected: async () => remote.routes.begin(),
      disconnected: () => undefined,
      told: (news) => remote.told(news),
      activity: () => remote.activity(),
      leased: (askedAt, leaseMs) => remote.routes.leased(askedAt + leaseMs)
    },
    clock,
    random: systemRandom(),
    log: silent
  })
  const running = client.run(stop.signal).catch(() => undefined)
  cleanUps.push(async () => {
    stop.abort()
    await running
  })
  const { routes } = remote
  const stateOf = (number: number): string => routes.find(FILES, owner(number))?.state ?? 'none'
  return {
    remote,
    routes,
    peer: own.peerId,
    stop,
    stateOf,
    ready: () => expect.poll(() => routes.routes, PATIENT).toBe(true)
  }
}

test('a front door routes once it knows all workspaces, and hears of every change', async () => {
  const at = await coordinator(2500)
  const one = await door(at)
  expect(one.routes.find(FILES, owner(1)), 'nobody is taken for a newcomer before').toMatchObject({ state: 'waiting' })
  await one.ready()
  expect(one.routes.size).toBe(2500)
  expect(one.routes.find(FILES, owner(2499))).toMatchObject({ state: 'serving', homeName: 'alpha', epoch: 1 })
  expect(one.routes.find(FILES, 'user:new' as OwnerId)).toBeNull()
  expect(one.remote.groups.rightsOf('lab' as GroupName, ADA)).toBe('write')
  expect(one.routes.anyInstance(FILES, null)).toEqual({ home: ALPHA, homeName: 'alpha' })
  const changed = one.routes.changed(workspace(7), new AbortController().signal)
  at.set(servingAt(7, 2))
  await changed
  expect(one.routes.find(FILES, owner(7))).toMatchObject({ epoch: 2 })
  at.remove(workspace(8))
  await expect.poll(() => one.routes.find(FILES, owner(8)), PATIENT).toBeNull()
  await at.all.idle(workspace(8), new AbortController().signal)
  expect(await one.routes.create(FILES, 'user:new' as OwnerId)).toMatchObject({ state: 'serving' })
  expect(one.routes.find(FILES, 'user:new' as OwnerId)).toMatchObject({ state: 'serving' })
})

test('a move waits for the requests in flight at every door, and a new one is held meanwhile', async () => {
  const at = await coordinator()
  const [one, two] = [await door(at), await door(at)]
  await Promise.all([one.ready(), two.ready()])
  const leave = two.routes.enter(workspace(1), () => leave())
  await expect.poll(() => at.all.isBusy(workspace(1)), PATIENT).toBe(true)
  at.set(held(servingAt(1)))
  let isQuiet = false
  const quiet = at.all.idle(workspace(1), new AbortController().signal).then(() => {
    isQuiet = true
  })
  await expect.poll(() => [one.stateOf(1), two.stateOf(1)], PATIENT).toEqual(['waiting', 'waiting'])
  await at.all.idle(workspace(0), new AbortController().signal)
  expect([isQuiet, one.stateOf(0)]).toEqual([false, 'serving'])
  leave()
  await quiet
  expect(at.used).toEqual(new Set([workspace(1)]))
  await expect.poll(() => at.all.isBusy(workspace(1)), PATIENT).toBe(false)
})

test('a workspace begun in place of one that went away unseen is there after a reconnect', () => {
  const create = (): Promise<DoorPlace> => Promise.reject(new Error('nobody asks for one'))
  const routes = new RemoteRoutes({ flights: new Flights(clock), create, clock, log: silent })
  routes.leased(clock.now() + 60_000)
  routes.begin()
  routes.tellPlaces({ places: [servingAt(1)], gone: [], whole: true })
  routes.begin()
  const anew = { ...servingAt(2), owner: owner(1) }
  routes.tellPlaces({ places: [anew], gone: [], whole: true })
  expect(routes.find(FILES, owner(1))).toMatchObject({ workspace: anew.workspace, state: 'serving' })
  routes.tellPlaces({ places: [{ ...servingAt(3), owner: owner(1) }], gone: [anew.workspace], whole: false })
  expect([routes.find(FILES, owner(1)), routes.size]).toMatchObject([{ workspace: workspace(3) }, 1])
})

test('requests that take too long are broken off at the door where they are', async () => {
  const at = await coordinator()
  const one = await door(at)
  await one.ready()
  const leave: () => void = one.routes.enter(workspace(1), () => leave())
  at.set(held(servingAt(1)))
  const quiet = at.all.idle(workspace(1), new AbortController().signal)
  at.all.breakOff(workspace(1), 'all')
  await quiet
})

test('a door that is lost is waited for no longer than its lease, and routes nothing after it', async () => {
  const at = await coordinator()
  const one = await door(at)
  await one.ready()
  one.routes.enter(workspace(1), () => undefined)
  at.server.cut(one.peer, 'the line broke')
  at.doors.delete(one.peer)
  await expect.poll(() => at.sessions.isOpen(one.peer), PATIENT).toBe(false)
  expect(one.stateOf(0), 'for a moment it goes on').toBe('serving')
  at.set(held(servingAt(1)))
  await at.all.idle(workspace(1), new AbortController().signal)
  expect([one.stateOf(0), one.stateOf(1)]).toEqual(['waiting', 'waiting'])
  at.doors.add(one.peer)
  await one.ready()
  expect([one.stateOf(0), one.stateOf(1)]).toEqual(['serving', 'waiting'])
})

test('what a front door says of workspaces that are not there is not kept, and beats come no more often than they may', () => {
  const used: WorkspaceId[] = []
  const session = new DoorSession(
    {
      clock: { now: () => 0, wall: () => 0, after: () => ({ cancel: () => undefined }) },
      log: silent,
      standstill: { endedAt: Number.NEGATIVE_INFINITY },
      workspaces: () => [],
      knows: (id) => id === workspace(1),
      place: () => null,
      onUse: (id) => void used.push(id),
      answer: () => Promise.reject(new Error('nobody asks'))
    },
    { send: async () => undefined, abort: () => undefined } as unknown as Channel,
    { peer: ALPHA } as Link
  )
  const activity = [1, 2].map((number) => ({
    workspace: workspace(number),
    inFlight: true,
    long: false,
    sockets: false,
    quietMs: 0
  }))
  session.heard({ kind: 'beat', sequence: 0, activity })
  expect([used, session.isBusy(workspace(1)), session.isBusy(workspace(2))]).toEqual([[workspace(1)], true, false])
  expect(() => {
    for (let sequence = 1; sequence < 100; sequence++) session.heard({ kind: 'beat', sequence, activity: [] })
  }).toThrow('too often')
})

test('only a member with the role of a front door is told anything', async () => {
  const at = await coordinator()
  const stranger = await door(at)
  at.doors.delete(stranger.peer)
  at.server.cut(stranger.peer, 'anew')
  await expect.poll(() => at.sessions.isOpen(stranger.peer), PATIENT).toBe(false)
  const other = await door(at)
  await other.ready()
  expect(at.sessions.isOpen(stranger.peer)).toBe(false)
})

test('a user is looked up once, and again after a change of users; who is blocked is known at once', async () => {
  const at = await coordinator()
  const one = await door(at)
  await one.ready()
  const { users } = one.remote
  expect(await Promise.all([users.byToken('secret'), users.byToken('secret')])).toEqual([{ user: ADA }, { user: ADA }])
  expect(await users.byToken('secret')).toEqual({ user: ADA })
  expect([at.asked(), await users.byToken('guess')]).toEqual([1, null])
  at.tokens.delete('secret')
  at.blocked.add(ADA)
  at.sessions.usersChanged('users')
  await expect.poll(() => users.isBlocked(ADA), PATIENT).toBe(true)
  expect(await users.byToken('secret')).toBeNull()
  const asked = at.asked()
  at.sessions.usersChanged('sessions')
  await expect.poll(async () => [await users.byToken('secret'), at.asked() > asked], PATIENT).toEqual([null, true])
  expect(users.isBlocked(ADA)).toBe(true)
})

test('a question that is under way while the connection breaks is asked again', async () => {
  const at = await coordinator()
  const one = await door(at)
  await one.ready()
  at.server.cut(one.peer, 'the line broke')
  expect(await one.remote.users.byToken('secret')).toEqual({ user: ADA })
})

test('bytes are relayed to whom is named, to the coordinator itself too, and to nobody who is out of reach', async () => {
  const server = await host(true)
  const own = createServer((_request, response) => response.end('the coordinator'))
  const beyond = createServer((request, response) => void request.pipe(response))
  const connect = async (target: PeerIdText): Promise<Duplex> => {
    if (target !== ALPHA) throw new Error('out of reach')
    const { Duplex: Stream } = await import('node:stream')
    const [near, far] = Stream.duplexPair()
    beyond.emit('connection', far)
    return near
  }
  const accept = (stream: Duplex): void => void own.emit('connection', stream)
  await server.handleBytes(
    RELAY_PROTOCOL,
    (stream) => void serveRelay(stream, { self: server.peerId, accept, connect })
  )
  const link = await (await host(false)).dial(server.addresses(), server.peerId)
  const answer = async (stream: Duplex): Promise<string> => {
    stream.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello')
    let text = ''
    for await (const chunk of stream) text += String(chunk)
    return text
  }
  expect(await answer(await openRelay(link, ALPHA))).toContain('hello')
  expect(await answer(await openRelay(link, server.peerId))).toContain('the coordinator')
  const { peerId } = await createIdentity()
  await expect(openRelay(link, peerId)).rejects.toMatchObject({ code: 'OUT_OF_REACH' })
})
