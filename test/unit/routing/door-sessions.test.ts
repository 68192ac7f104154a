import { expect, test } from 'vitest'
import type { PeerIdText, ServiceName } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import type { Channel, Host, Link } from '../../../src/network/host.ts'
import { DoorSessions } from '../../../src/routing/doors/door-sessions.ts'
import { type DoorInstance, fromDoor, toDoor } from '../../../src/wire/front-door.ts'
import { manualClock } from '../../tools/clock.ts'

const PEER = '12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq' as PeerIdText
const ALPHA = { peer: PEER, name: 'alpha', services: ['files' as ServiceName] }

test('instances are told anew where they offer something else, and not whenever their load is another', async () => {
  const clock = manualClock()
  let instances: (DoorInstance & { readonly loadPermille: number })[] = [{ ...ALPHA, loadPermille: 0 }]
  const nothing = new Uint8Array(0)
  const sessions = new DoorSessions({
    clock,
    log: silent,
    standstill: { endedAt: Number.POSITIVE_INFINITY },
    isDoor: () => true,
    welcome: () => ({ name: 'north', certificate: nothing, memberList: nothing }),
    rules: () => ({
      federation: 'Main',
      anonymous: true,
      holdMs: 1000,
      secure: false,
      userHeader: '',
      cookieKeys: { current: new Uint8Array(32), previous: [] },
      facts: '{}',
      rates: { requestsPerS: null, guestsPerHour: null }
    }),
    services: () => [],
    instances: () => instances,
    blocked: () => [],
    groups: () => [],
    onUse: () => undefined,
    onChange: () => undefined,
    workspaces: () => [],
    knows: () => false,
    place: () => null,
    answer: () => Promise.reject(new Error('nobody asks'))
  })
  let serve: (channel: Channel, link: Link) => Promise<void> = () => Promise.resolve()
  const handle: Host['handle'] = async (_protocol, handler) => {
    serve = async (channel, link) => handler(channel, link)
  }
  await sessions.register({ handle } as Host)

  const told: (readonly DoorInstance[])[] = []
  const hello = fromDoor.encode({ kind: 'hello', version: '0.1.0', addresses: [], revision: 2 })
  const { promise: end, resolve: hangUp } = Promise.withResolvers<null>()
  const frames: Promise<Uint8Array | null>[] = [Promise.resolve(hello), end]
  const channel: Pick<Channel, 'receive' | 'send' | 'abort'> = {
    receive: () => frames.shift() ?? Promise.resolve(null),
    async send(frame) {
      const message = toDoor.decode(frame)
      if (message.kind === 'instances') told.push(message.instances)
    },
    abort: () => undefined
  }
  const serving = serve(channel as Channel, { peer: PEER } as Link)
  const pass = async (): Promise<number> => {
    clock.advance(500)
    await new Promise((resolve) => setImmediate(resolve))
    return told.length
  }
  await pass()
  const before = await pass()
  expect(told.at(-1)).toEqual([ALPHA])
  for (const loadPermille of [1, 2, 3]) {
    instances = [{ ...ALPHA, loadPermille }]
    expect(await pass()).toBe(before)
  }
  instances = [{ ...ALPHA, services: [], loadPermille: 3 }]
  expect(await pass()).toBe(before + 1)
  expect(told.at(-1)).toEqual([{ ...ALPHA, services: [] }])
  hangUp(null)
  await serving
  sessions.close()
})
