import { expect, onTestFinished, test } from 'vitest'
import type { PeerIdText } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { Standstill } from '../../../src/core/standstill.ts'
import { type ControlEvents, ControlServer } from '../../../src/membership/control-server.ts'
import type { Channel, Host, Link } from '../../../src/network/host.ts'
import { type FromInstance, fromInstance } from '../../../src/wire/control.ts'
import { manualClock } from '../../tools/clock.ts'
import { settled } from '../handover/fleet.ts'

const SILENT_MS = 2000

/** One instance's control stream, and a coordinator whose clock is the test's. */
async function connected() {
  const clock = manualClock()
  const standstill = new Standstill(clock)
  onTestFinished(() => standstill[Symbol.dispose]())
  const closed: string[] = []
  const nothing = (): void => undefined
  const events: ControlEvents = {
    opened: nothing,
    closed: ({ peer }) => void closed.push(peer),
    heartbeat: nothing,
    stopping: nothing,
    drain: nothing,
    drainCancel: nothing
  }
  const welcome = {
    federation: 'Main',
    name: 'alpha',
    leaseMs: 10_000,
    heartbeatMs: 500,
    acknowledge: 'replicated' as const,
    clockMs: 1,
    certificate: new Uint8Array(0),
    memberList: new Uint8Array(0),
    services: [],
    revision: 1
  }
  const server = new ControlServer(
    { clock, standstill, log: silent, welcome: () => welcome, events },
    { leaseMs: 10_000, silentMs: SILENT_MS }
  )
  const peer = 'alpha' as PeerIdText
  // What was sent and is not read yet.
  const sent: FromInstance[] = []
  let wake = nothing
  const broken = Promise.withResolvers<never>()
  const channel: Channel = {
    peer,
    send: async () => undefined,
    async receive() {
      while (sent.length === 0) {
        await Promise.race([broken.promise, new Promise<void>((resolve) => (wake = resolve))])
      }
      return fromInstance.encode(sent.shift() as FromInstance)
    },
    close: async () => undefined,
    abort: (reason) => broken.reject(reason),
    closed: Promise.resolve()
  }
  const say = (message: FromInstance): void => {
    sent.push(message)
    wake()
  }
  const host = {
    async handle(_: unknown, serve: (channel: Channel, link: Link) => Promise<void>) {
      serve(channel, { peer } as Link).catch(nothing)
    }
  }
  say({
    kind: 'hello',
    hello: {
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
      revision: 1,
      awaitsDrain: false,
      route: null
    }
  })
  await server.register(host as unknown as Host)
  await settled()
  let sequence = 0
  const beat = (): void =>
    say({
      kind: 'heartbeat',
      heartbeat: {
        sequence: ++sequence,
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
      }
    })
  const beatFor = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 500) {
      beat()
      await settled()
      clock.advance(500)
    }
  }
  return { clock, closed, beat, beatFor }
}

test('an instance that is not heard any more is lost', async () => {
  const { clock, closed, beatFor } = await connected()
  await beatFor(20_000)
  expect(closed).toEqual([])
  clock.advance(2 * SILENT_MS)
  await settled()
  expect(closed).toEqual(['alpha'])
})

test('a coordinator that stood still itself takes nobody for silent before it has read what came meanwhile', async () => {
  for (const ms of [1200, 2200, 6000, 60_000]) {
    const { clock, closed, beat, beatFor } = await connected()
    await beatFor(5000)
    beat()
    clock.standStill(ms)
    await settled()
    await beatFor(20_000)
    expect(closed).toEqual([])
    clock.advance(2 * SILENT_MS)
    await settled()
    expect(closed).toEqual(['alpha'])
  }
})

test('one that says nothing once the coordinator goes on is lost then', async () => {
  const { clock, closed, beatFor } = await connected()
  await beatFor(5000)
  clock.standStill(6000)
  clock.advance(SILENT_MS - 1)
  await settled()
  expect(closed).toEqual([])
  clock.advance(SILENT_MS)
  await settled()
  expect(closed).toEqual(['alpha'])
})
