import { expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { createIdentity } from '../../../src/core/identity.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { NO_DRAIN } from '../../../src/daemon/drain-end.ts'
import { ControlClient, type ControlHandlers } from '../../../src/membership/control-client.ts'
import { type ControlEvents, ControlServer, type Session } from '../../../src/membership/control-server.ts'
import { startHost } from '../../../src/network/libp2p-host.ts'
import type { Welcome } from '../../../src/wire/control.ts'
import { neighbourBytes } from '../../../src/wire/neighbours.ts'
import { REVISION } from '../../../src/wire/revision.ts'

const LEASE_MS = 10_000

/** A coordinator's and an instance's end of a control stream, over a real connection. */
async function connected(
  events: Partial<ControlEvents>,
  { revision = REVISION, ...handlers }: Partial<ControlHandlers> & { readonly revision?: number } = {}
) {
  const clock = systemClock()
  const gate = { standing: () => 'member' as const }
  const [mine, theirs] = [await createIdentity(), await createIdentity()]
  const coordinator = await startHost(
    { identity: mine, gate, clock, log: silent },
    { listen: ['/ip4/127.0.0.1/tcp/0'] }
  )
  const instance = await startHost({ identity: theirs, gate, clock, log: silent }, { listen: [] })
  const ended = new AbortController()
  onTestFinished(async () => {
    ended.abort()
    await Promise.all([coordinator.close(), instance.close()])
  })
  const ignore = (): void => undefined
  const welcome: Welcome = {
    federation: 'Main',
    name: 'alpha',
    leaseMs: LEASE_MS,
    heartbeatMs: 50,
    acknowledge: 'replicated',
    clockMs: 1,
    certificate: new Uint8Array(0),
    memberList: new Uint8Array(0),
    services: [],
    revision: REVISION
  }
  const server = new ControlServer(
    {
      clock,
      standstill: { endedAt: Number.NEGATIVE_INFINITY },
      log: silent,
      welcome: () => welcome,
      events: {
        opened: ignore,
        closed: ignore,
        heartbeat: ignore,
        stopping: ignore,
        drain: ignore,
        drainCancel: ignore,
        ...events
      }
    },
    { leaseMs: LEASE_MS, silentMs: 2000 }
  )
  await server.register(coordinator)
  const up = Promise.withResolvers<void>()
  const client = new ControlClient({
    host: instance,
    coordinator: coordinator.peerId,
    addresses: () => coordinator.addresses(),
    handlers: {
      hello: async () => ({
        version: '0.1.0',
        services: [],
        versions: {},
        labels: {},
        capacityBytes: 1,
        clockMs: 1,
        workspaces: [],
        ownershipNumber: 0,
        memberListNumber: 0,
        addresses: [],
        revision,
        awaitsDrain: false,
        route: null
      }),
      heartbeat: async (sequence) => ({
        sequence,
        diskTotalBytes: 1,
        diskFreeBytes: 1,
        memoryBytes: 1,
        loadPermille: 1,
        ownershipNumber: 0,
        usage: [],
        pendingWork: 0,
        busy: [],
        arrived: [],
        uploadLimit: null
      }),
      connected: async () => up.resolve(),
      disconnected: ignore,
      lease: ignore,
      order: async () => new Uint8Array(0),
      services: ignore,
      members: ignore,
      neighbours: ignore,
      ingress: ignore,
      drain: ignore,
      ...handlers
    },
    clock,
    random: systemRandom(),
    log: silent
  })
  client.run(ended.signal).catch(ignore)
  await up.promise
  return { client, end: () => ended.abort() }
}

test('what an instance says last is heard, though its connection ends right after it', async () => {
  const closed = Promise.withResolvers<string | null>()
  const heard: string[] = []
  const { client, end } = await connected({
    stopping: (_, intent) => void heard.push(intent),
    closed: ({ intent }) => closed.resolve(intent)
  })
  await client.say({ kind: 'stopping', intent: 'restart' }, 5000)
  end()
  expect(heard).toEqual(['restart'])
  expect(await closed.promise).toBe('restart')
})

test('a last word without a connection, and one whose connection ends, keep nobody waiting', async () => {
  const { client, end } = await connected({ stopping: () => end() })
  await client.say({ kind: 'stopping', intent: 'restart' }, 60_000)
  await client.say({ kind: 'stopping', intent: 'restart' }, 60_000)
  expect(client.connected).toBe(false)
})

const NEWS = { whole: true, zone: null, neighbours: neighbourBytes([]) }

test('an instance that does not know of neighbours and services is not sent them, and stays connected', async () => {
  const heard: string[] = []
  const drain = Promise.withResolvers<void>()
  const opened = (session: Session): void => {
    session.tellNeighbours(NEWS)
    session.tellDrain(NO_DRAIN)
  }
  await connected(
    { opened },
    {
      revision: 0,
      neighbours: () => void heard.push('neighbours'),
      disconnected: () => void heard.push('disconnected'),
      drain: () => drain.resolve()
    }
  )
  await drain.promise
  expect(heard).toEqual([])
})

test('it hears of other services by a new welcome; one that knows of them is told', async () => {
  const sessions: Session[] = []
  const again = Promise.withResolvers<void>()
  const opened = (session: Session): void => {
    if (sessions.push(session) === 1) session.tellServices([])
    else again.resolve()
  }
  await connected({ opened }, { revision: 0 })
  await again.promise
  const told = Promise.withResolvers<void>()
  await connected({ opened: (session) => session.tellServices([]) }, { services: () => told.resolve() })
  await told.promise
  expect(sessions).toHaveLength(2)
})
