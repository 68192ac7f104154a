import { expect, onTestFinished, test } from 'vitest'
import { type Block, blockOf, RAW_CODEC } from '../../../src/core/blocks.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { createIdentity, type Identity } from '../../../src/core/identity.ts'
import type { PeerIdText } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { Trusted } from '../../../src/daemon/trusted.ts'
import { Vicinity } from '../../../src/daemon/vicinity.ts'
import type { Host } from '../../../src/network/host.ts'
import { startKad } from '../../../src/network/kad.ts'
import { startHost } from '../../../src/network/libp2p-host.ts'
import type { Providers } from '../../../src/network/providers.ts'
import { serveBlocks } from '../../../src/sync/blocks-server.ts'
import { RateLimit } from '../../../src/sync/rate-limit.ts'
import { eventually } from '../../tools/eventually.ts'
import { noProviders } from '../../tools/nobody.ts'
import { ownershipOf } from '../handover/home.ts'
import { headOf, hostOf } from '../sync/members.ts'
import { COORDINATOR } from '../sync/support.ts'

const clock = systemClock()
const PIN = { peer: COORDINATOR.peerId }
const BLOCKS: readonly Block[] = ['one', 'two', 'three'].map((text) => blockOf(RAW_CODEC, Buffer.from(text)))

const NOBODY = { peers: () => [], doors: () => [] }

interface Instance {
  readonly identity: Identity
  readonly host: Host
  readonly trusted: Trusted
  readonly vicinity: Vicinity
}

/** An instance as it is once it is approved, without a coordinator. */
async function instance(listens: boolean): Promise<Instance> {
  const identity = await createIdentity()
  const trusted = new Trusted()
  trusted.pinned(COORDINATOR.peerId)
  const listen = listens ? ['/ip4/127.0.0.1/tcp/0'] : []
  const host = await startHost({ identity, gate: trusted, clock, log: silent }, { listen })
  const vicinity = await Vicinity.open(
    {
      host,
      trusted,
      pin: PIN,
      openProviders: (neighbours, reach) => startKad({ host, identity, neighbours, reach, clock, log: silent }),
      download: new RateLimit(clock),
      clock,
      log: silent
    },
    NOBODY
  )
  onTestFinished(async () => {
    await vicinity.close()
    await host.close()
  })
  await serveBlocks(host, {
    source: { read: async (_, cid) => BLOCKS.find((block) => block.cid.equals(cid))?.bytes ?? null },
    intake: null,
    access: () => ({ read: true, send: false }),
    giving: null,
    log: silent
  })
  return { identity, host, trusted, vicinity }
}

/** What this one gets of the blocks as a standby of a workspace at this home. */
async function fetched(by: Instance, home: PeerIdText, standbys: readonly PeerIdText[] = []): Promise<number> {
  const { value } = await ownershipOf({ home, standbys: [...standbys, by.host.peerId] })
  const { head } = await headOf(by.identity, { a: 'a' })
  const near = by.vicinity.near(head, value, new AbortController().signal)
  const blocks = await near.want(BLOCKS.map(({ cid }) => cid))
  await near.close()
  return blocks.length
}

const news = (...listening: readonly Instance[]) => ({
  whole: true,
  zone: null,
  neighbours: listening.map(({ host }) => ({ peer: host.peerId, zone: null, addresses: host.addresses() }))
})

test('members of the newest list serve each other; who is on it no more is cut off and refused', async () => {
  const [alpha, beta] = [await instance(true), await instance(false)]
  beta.vicinity.told(news(alpha))
  expect(await fetched(beta, alpha.host.peerId)).toBe(0)
  const both = [alpha.host.peerId, beta.host.peerId]
  for (const one of [alpha, beta]) one.vicinity.listed(both)
  expect(await fetched(beta, alpha.host.peerId)).toBe(3)
  const [link] = alpha.host.links(beta.host.peerId)
  alpha.vicinity.listed([alpha.host.peerId])
  await link?.closed
  expect(alpha.host.links(beta.host.peerId)).toEqual([])
  await beta.host.dial(alpha.host.addresses(), alpha.host.peerId).then(
    (again) => again.closed,
    () => undefined
  )
  expect(alpha.host.links(beta.host.peerId)).toEqual([])
})

test('a stranger never comes to speak with an instance that listens', async () => {
  const [alpha, stranger] = [await instance(true), await instance(false)]
  stranger.trusted.listed([alpha.host.peerId])
  alpha.trusted.listed([alpha.host.peerId])
  stranger.vicinity.told(news(alpha))
  expect(await fetched(stranger, alpha.host.peerId)).toBe(0)
  expect(alpha.host.links(stranger.host.peerId)).toEqual([])
})

test('a standby that the DHT names as holding the head is asked, also where the home is out of reach', async () => {
  const [alpha, beta, gamma] = [await instance(true), await instance(true), await instance(false)]
  const all = [alpha, beta, gamma]
  for (const one of all) {
    one.vicinity.listed(all.map(({ host }) => host.peerId))
    one.vicinity.told(news(...[alpha, beta].filter((other) => other !== one)))
  }
  const away = (await createIdentity()).peerId
  const { head } = await headOf(alpha.identity, { a: 'a' })
  const { value } = await ownershipOf({ home: away, standbys: all.map(({ host }) => host.peerId) })
  const wanted = async (): Promise<number> => {
    const near = gamma.vicinity.near(head, value, new AbortController().signal)
    const blocks = await near.want(BLOCKS.map(({ cid }) => cid))
    await near.close()
    return blocks.length
  }
  expect(await wanted()).toBe(0)
  beta.vicinity.holds(head)
  await eventually(wanted).toBe(3)
  expect(gamma.host.links(beta.host.peerId)).not.toEqual([])
})

test('closing ends an announcement that is under way', async () => {
  const identity = await createIdentity()
  const host = await hostOf(identity, true)
  const [announcing, closed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const openProviders = async (): Promise<Providers> => ({
    ...noProviders,
    announce() {
      announcing.resolve()
      return closed.promise
    },
    close: async () => closed.resolve()
  })
  const deps = { host, trusted: new Trusted(), pin: PIN, openProviders, download: new RateLimit(clock), clock }
  const vicinity = await Vicinity.open({ ...deps, log: silent }, NOBODY)
  vicinity.holds((await headOf(identity, { a: 'a' })).head)
  await announcing.promise
  await vicinity.close()
})
