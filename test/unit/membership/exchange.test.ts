import { afterEach, expect, test } from 'vitest'
import { type Clock, systemClock } from '../../../src/core/clock.ts'
import { open, seal } from '../../../src/core/envelope.ts'
import { createIdentity, type Identity } from '../../../src/core/identity.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { certificateRecord, memberListRecord } from '../../../src/core/records.ts'
import { type Coordinator, MembershipClient } from '../../../src/membership/membership-client.ts'
import { MEMBERSHIP_STREAM_MS, serveMembership } from '../../../src/membership/membership-server.ts'
import type { MemberRegistry } from '../../../src/membership/registry.ts'
import type { Host } from '../../../src/network/host.ts'
import { startHost } from '../../../src/network/libp2p-host.ts'
import { MEMBERSHIP_PROTOCOL, membershipReply, membershipRequest } from '../../../src/wire/membership.ts'
import { manualClock } from '../../tools/clock.ts'
import { bench, request } from './support.ts'

const PATIENT = { timeout: 10_000 }

const hosts: Host[] = []
afterEach(async () => {
  await Promise.all(hosts.splice(0).map((host) => host.close()))
})

async function startedHost(identity: Identity, listen: readonly string[], registry?: MemberRegistry): Promise<Host> {
  const gate = registry ?? { standing: () => 'stranger' as const }
  const host = await startHost({ identity, gate, clock: systemClock(), log: silent }, { listen })
  hosts.push(host)
  return host
}

interface Federation {
  readonly registry: MemberRegistry
  readonly host: Host
  readonly at: Coordinator
  readonly identity: Identity
}

async function federation(options: { terms?: string; clock?: Clock } = {}): Promise<Federation> {
  const clock = options.clock ?? systemClock()
  const { registry, identity } = await bench({ clock })
  // The bench signs with its own key: the coordinator is that key.
  const host = await startedHost(identity, ['/ip4/127.0.0.1/tcp/0'], registry)
  const describe = (): { name: string; terms: string; services: string[]; version: string } => ({
    name: 'Main',
    terms: options.terms ?? '',
    services: ['files'],
    version: '0.1.0'
  })
  const present = async (): Promise<void> => undefined
  await serveMembership(host, { registry, describe, present, clock, log: silent })
  return { registry, host, identity, at: { peer: host.peerId, addresses: host.addresses() } }
}

async function instance(clock: Clock = systemClock()): Promise<{ client: MembershipClient; host: Host }> {
  const host = await startedHost(await createIdentity(), [])
  return { host, client: new MembershipClient({ host, clock, random: systemRandom(), log: silent }) }
}

test('an instance reads the description, asks, waits, is approved, and resigns', async () => {
  const { registry, at } = await federation()
  const { client, host } = await instance()
  expect(await client.describe(at)).toMatchObject({ name: 'Main', services: ['files'], terms: '' })
  expect(await client.join(at, request())).toMatchObject({ state: 'pending', certificate: null })
  const deciding = client.pollStanding(at)
  await expect.poll(() => registry.get(host.peerId)?.state, PATIENT).toBe('pending')
  await registry.approve(host.peerId, { by: 'ada' })
  const standing = await deciding
  expect(standing.state).toBe('approved')
  expect(standing.certificate?.value).toMatchObject({ peer: host.peerId, federation: at.peer, name: 'alpha' })
  expect(standing.memberList?.value.members.map(({ peer }) => peer)).toEqual([host.peerId])
  await client.resign(at)
  expect(registry.standing(host.peerId)).toBe('stranger')
  expect(await client.standing(at, 0)).toMatchObject({ state: 'left', certificate: null })
})

test('nobody keeps a connection after its answer', async () => {
  const { host, at } = await federation()
  const { client, host: own } = await instance()
  await client.describe(at)
  expect(own.links(at.peer)).toEqual([])
  await expect.poll(() => host.links(own.peerId).length, PATIENT).toBe(0)
})

test.each(['deny', 'revoke'] as const)('a waiting or asking instance hears of %s and why', async (act) => {
  const { registry, at } = await federation()
  const { client, host } = await instance()
  await client.join(at, request())
  if (act === 'revoke') await registry.approve(host.peerId, { by: 'ada' })
  const polling = act === 'deny' ? client.pollStanding(at) : null
  await registry[act](host.peerId, 'not this time', 'ada')
  const expected = { state: act === 'deny' ? 'denied' : 'revoked', reason: 'not this time', certificate: null }
  expect(await (polling ?? client.pollStanding(at))).toMatchObject(expected)
})

test('the terms have to be accepted by a newcomer, in their present form, and not by a member', async () => {
  const { registry, at } = await federation({ terms: 'https://main.example.org/terms/2' })
  const { client, host } = await instance()
  const refused = {
    code: 'TERMS_NOT_ACCEPTED',
    message: expect.stringContaining('terms/2'),
    advice: expect.any(String)
  }
  await expect(client.join(at, request())).rejects.toMatchObject(refused)
  const older = request({ acceptedTerms: 'https://main.example.org/terms/1' })
  await expect(client.join(at, older)).rejects.toMatchObject(refused)
  expect(registry.members()).toEqual([])
  const accepted = request({ acceptedTerms: 'https://main.example.org/terms/2' })
  expect(await client.join(at, accepted)).toMatchObject({ state: 'pending' })
  await registry.approve(host.peerId, { by: 'ada' })
  expect(await client.join(at, request())).toMatchObject({ state: 'approved' })
})

test('a refusal arrives with its code and with what to do', async () => {
  const { at } = await federation()
  const [one, two] = [await instance(), await instance()]
  await one.client.join(at, request())
  await expect(two.client.join(at, request())).rejects.toMatchObject({
    code: 'NAME_TAKEN',
    advice: expect.stringContaining('--name')
  })
  const invite = two.client.join(at, request({ name: 'beta', invite: 'x'.repeat(43) }))
  await expect(invite).rejects.toMatchObject({ code: 'FORBIDDEN', advice: expect.stringContaining('invite') })
  await expect(two.client.resign(at)).rejects.toMatchObject({ code: 'NOT_A_MEMBER' })
})

test('waiting goes on over any number of answers that there is no decision yet', async () => {
  const [theirs, ours] = [manualClock(), manualClock()]
  const { registry, at } = await federation({ clock: theirs })
  const { client, host } = await instance(ours)
  await client.join(at, request())
  const polling = client.pollStanding(at)
  for (let answers = 0; answers < 3; answers++) {
    await expect.poll(() => theirs.waiting, PATIENT).toBe(2)
    theirs.advance(6000)
    await expect.poll(() => theirs.waiting === 0 && ours.waiting === 1, PATIENT).toBe(true)
    ours.advance(4000)
  }
  await expect.poll(() => theirs.waiting, PATIENT).toBe(2)
  await registry.approve(host.peerId, { by: 'ada' })
  expect((await polling).state).toBe('approved')
})

test('waiting goes on while the coordinator is away, and ends with the decision that it comes back with', async () => {
  const { registry, host, identity, at } = await federation()
  const clock = manualClock()
  const { client, host: own } = await instance(clock)
  await client.join(at, request())
  const listen = at.addresses.map((address) => address.split('/p2p/')[0] ?? '')
  await host.close()
  hosts.splice(hosts.indexOf(host), 1)
  const polling = client.pollStanding(at)
  for (let attempt = 0; attempt < 6; attempt++) {
    await expect.poll(() => clock.waiting, PATIENT).toBe(1)
    clock.advance(40_000)
  }
  await registry.approve(own.peerId, { by: 'ada' })
  const again = await startedHost(identity, listen, registry)
  const describe = (): { name: string; terms: string; services: string[]; version: string } => ({
    name: '',
    terms: '',
    services: [],
    version: ''
  })
  const present = async (): Promise<void> => undefined
  await serveMembership(again, { registry, describe, present, clock: systemClock(), log: silent })
  await expect.poll(() => clock.waiting, PATIENT).toBe(1)
  clock.advance(40_000)
  expect((await polling).state).toBe('approved')
})

test('waiting ends at once with the signal', async () => {
  const { at } = await federation()
  const { client } = await instance()
  await client.join(at, request())
  const controller = new AbortController()
  const polling = client.pollStanding(at, controller.signal)
  controller.abort()
  await expect(polling).rejects.toMatchObject({ code: 'ABORTED' })
})

test('another key at the address ends the waiting', async () => {
  const { at } = await federation()
  const { client } = await instance()
  const other = (await createIdentity()).peerId
  await expect(client.pollStanding({ ...at, peer: other })).rejects.toMatchObject({ code: 'WRONG_COORDINATOR' })
})

test('a certificate or member list of another signer, or for another peer, is not believed', async () => {
  const honest = await federation()
  const [own, neighbour] = [await instance(), await instance()]
  for (const [name, one] of Object.entries({ own, neighbour })) {
    await honest.registry.join(one.host.peerId, request({ name }), '')
    await honest.registry.approve(one.host.peerId, { by: 'ada' })
  }
  const mine = honest.registry.standingOf(own.host.peerId)
  const theirs = honest.registry.standingOf(neighbour.host.peerId)
  const liar = await startedHost(await createIdentity(), ['/ip4/127.0.0.1/tcp/0'])
  await liar.handle(MEMBERSHIP_PROTOCOL, async (channel) => {
    await channel.send(membershipReply.encode({ kind: 'standing', standing: mine }))
  })
  const bad = { code: 'BAD_SIGNATURE' }
  const atLiar = { peer: liar.peerId, addresses: liar.addresses() }
  await expect(own.client.standing(atLiar, 0)).rejects.toMatchObject(bad)
  const eve = await createIdentity()
  const { value: certificate } = await open(certificateRecord, mine.certificate)
  const { value: memberList } = await open(memberListRecord, mine.memberList)
  const forged = {
    certificate: (await seal(certificateRecord, certificate, eve)).bytes,
    memberList: (await seal(memberListRecord, memberList, eve)).bytes
  }
  const mixed = await startedHost(honest.identity, ['/ip4/127.0.0.1/tcp/0'])
  const parts = [
    { certificate: theirs.certificate },
    { certificate: forged.certificate },
    { memberList: forged.memberList },
    { memberList: new Uint8Array() }
  ]
  let standing = mine
  await mixed.handle(MEMBERSHIP_PROTOCOL, async (channel) => {
    await channel.send(membershipReply.encode({ kind: 'standing', standing }))
  })
  const atMixed = { peer: mixed.peerId, addresses: mixed.addresses() }
  expect(await own.client.standing(atMixed, 0)).toMatchObject({ state: 'approved' })
  for (const part of parts) {
    standing = { ...mine, ...part }
    await expect(own.client.standing(atMixed, 0)).rejects.toMatchObject(bad)
  }
})

test('garbage and silence end the stream, and the coordinator answers the next one', async () => {
  const clock = manualClock()
  const { host, at } = await federation({ clock })
  const { client, host: own } = await instance()
  const link = await own.dial(at.addresses, at.peer)
  const garbage = await link.open(MEMBERSHIP_PROTOCOL)
  await garbage.send(Uint8Array.of(255, 255, 255, 255))
  await expect(garbage.receive()).rejects.toMatchObject({ code: 'CLOSED' })
  const silence = await link.open(MEMBERSHIP_PROTOCOL)
  await expect.poll(() => clock.waiting, PATIENT).toBe(1)
  clock.advance(MEMBERSHIP_STREAM_MS)
  await expect(silence.receive()).rejects.toMatchObject({ code: 'CLOSED' })
  await link.close()
  await expect.poll(() => host.links(own.peerId).length, PATIENT).toBe(0)
  expect(await client.describe(at)).toMatchObject({ name: 'Main' })
})

test('a question for news is kept until there is news, and no longer than eight seconds', async () => {
  const clock = manualClock()
  const { registry, at } = await federation({ clock })
  const { client, host } = await instance()
  await client.join(at, request())
  const link = await host.dial(at.addresses, at.peer)
  const channel = await link.open(MEMBERSHIP_PROTOCOL)
  await channel.send(membershipRequest.encode({ kind: 'standing', waitMs: 1_000_000 }))
  await expect.poll(() => clock.waiting, PATIENT).toBe(2)
  clock.advance(8000)
  const frame = await channel.receive()
  expect(membershipReply.decode(frame ?? new Uint8Array())).toMatchObject({ standing: { state: 'pending' } })
  expect(registry.standing(host.peerId)).toBe('stranger')
  await link.close()
})
