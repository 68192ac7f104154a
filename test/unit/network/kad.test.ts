import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import { expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { RECORD_CODEC } from '../../../src/core/envelope.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { createIdentity } from '../../../src/core/identity.ts'
import type { PeerIdText } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { type KadHost, startKad } from '../../../src/network/kad.ts'
import { startHost } from '../../../src/network/libp2p-host.ts'
import { Neighbours } from '../../../src/network/neighbours.ts'
import type { Providers } from '../../../src/network/providers.ts'
import { Reach } from '../../../src/network/reach.ts'
import { KAD_LIMITS, KAD_PROTOCOL } from '../../../src/wire/kad.ts'
import { eventually } from '../../tools/eventually.ts'

interface Member {
  readonly host: KadHost
  readonly neighbours: Neighbours
  readonly providers: Providers
  readonly reach: Reach
}

async function member(options: { readonly listens?: boolean; readonly members?: () => readonly PeerIdText[] } = {}) {
  const { listens = true, members } = options
  const identity = await createIdentity()
  const standing = (peer: PeerIdText) =>
    members === undefined || members().includes(peer) ? ('member' as const) : ('stranger' as const)
  const clock = systemClock()
  const host = await startHost(
    { identity, gate: { standing }, clock, log: silent },
    { listen: listens ? ['/ip4/127.0.0.1/tcp/0'] : [] }
  )
  const neighbours = new Neighbours()
  const reach = new Reach({ host, neighbours, dials: () => true, clock })
  const providers = await startKad({ host, identity, neighbours, reach, clock, log: silent })
  onTestFinished(async () => {
    await providers.close()
    await host.close()
  })
  return { host, neighbours, providers, reach }
}

/** Each hears of the others that listen, as the coordinator tells them. */
function introduce(...members: readonly Member[]): void {
  for (const one of members) {
    for (const { host } of members) {
      if (host === one.host) continue
      one.neighbours.note({ peer: host.peerId, zone: null, addresses: host.addresses() })
    }
  }
}

const someHead = async (): Promise<CID> => CID.createV1(RECORD_CODEC, await sha256.digest(randomBytes(32)))

/** Fields of a Kademlia message, as protobuf has them. */
const field = (number: number, bytes: Uint8Array): Buffer => {
  const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, bytes.length >> 7]
  return Buffer.from([(number << 3) | 2, ...length, ...bytes])
}
const framed = (message: Uint8Array): Buffer => {
  const length: number[] = []
  for (let rest = message.length; ; rest >>>= 7) {
    length.push(rest > 127 ? (rest & 127) | 128 : rest)
    if (rest <= 127) return Buffer.concat([Buffer.from(length), message])
  }
}
const GET_PROVIDERS = Buffer.from([0x08, 3])
const peerInfo = (peer: PeerIdText, address: string): Buffer =>
  Buffer.concat([field(1, peerIdFromString(peer).toMultihash().bytes), field(2, multiaddr(address).bytes)])

/** A member of whom the test says what it answers: null for nothing at all. */
async function liar(answer: () => Buffer | null): Promise<Pick<Member, 'host'>> {
  const clock = systemClock()
  const gate = { standing: () => 'member' as const }
  const options = { listen: ['/ip4/127.0.0.1/tcp/0'] }
  const host = await startHost({ identity: await createIdentity(), gate, clock, log: silent }, options)
  onTestFinished(() => host.close())
  await host.handleStreams(KAD_PROTOCOL, async (stream) => {
    stream.addEventListener('message', () => {
      const message = answer()
      if (message !== null) stream.send(framed(message))
    })
  })
  return { host }
}

const found = (by: Member, cid: CID): Promise<readonly PeerIdText[]> => by.providers.find(cid)

test('a provider that forgets is not told again by itself, and one that does not listen is never named', async () => {
  const [alpha, quiet] = [await member(), await member({ listens: false })]
  introduce(alpha, quiet)
  const head = await someHead()
  await alpha.providers.announce(head)
  await eventually(() => found(quiet, head)).toEqual([alpha.host.peerId])
  await alpha.providers.forget(head)
  expect(await found(quiet, head)).toEqual([])
  await quiet.providers.announce(head)
  expect(await found(alpha, head)).toEqual([])
})

test('neighbours that cannot be reached do not keep the others out', async () => {
  const [alpha, beta] = [await member(), await member()]
  const away = await Promise.all(Array.from({ length: KAD_LIMITS.contactsMax + 8 }, createIdentity))
  for (const { peerId: peer } of away) {
    alpha.neighbours.note({ peer, zone: null, addresses: ['/ip4/127.0.0.1/tcp/1'] })
  }
  // Beta knows of nobody: alpha has to ask it.
  alpha.neighbours.note({ peer: beta.host.peerId, zone: null, addresses: beta.host.addresses() })
  const head = await someHead()
  await beta.providers.announce(head)
  await eventually(() => found(alpha, head)).toEqual([beta.host.peerId])
})

test('a stranger learns nothing and tells nothing', async () => {
  const members = new Set<PeerIdText>()
  const alpha = await member({ members: () => [...members] })
  const [beta, stranger] = [await member(), await member()]
  members.add(beta.host.peerId)
  introduce(alpha, beta)
  introduce(alpha, stranger)
  alpha.neighbours.remove(stranger.host.peerId)
  beta.neighbours.note({ peer: stranger.host.peerId, zone: null, addresses: stranger.host.addresses() })
  const [head, theirs] = [await someHead(), await someHead()]
  await alpha.providers.announce(head)
  await eventually(() => found(beta, head)).toEqual([alpha.host.peerId])
  await stranger.providers.announce(theirs)
  expect(await found(stranger, head)).toEqual([])
  expect(await found(alpha, theirs)).toEqual([])
})

test('a member that lies can name members that are known, and have nobody else named or dialled', async () => {
  let dialled = 0
  const trap = createServer((socket) => {
    dialled++
    socket.destroy()
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void trap.close())
  await once(trap, 'listening')
  const address = `/ip4/127.0.0.1/tcp/${(trap.address() as AddressInfo).port}`
  const [asking, known] = [await member(), await member({ listens: false })]
  const stranger = (await createIdentity()).peerId
  const named = [stranger, known.host.peerId].map((peer) => peerInfo(peer, address))
  const fields = named.flatMap((info) => [field(8, info), field(9, info)])
  const liars = await liar(() => Buffer.concat([GET_PROVIDERS, ...fields]))
  asking.neighbours.note({ peer: liars.host.peerId, zone: null, addresses: liars.host.addresses() })
  asking.neighbours.note({ peer: known.host.peerId, zone: null, addresses: ['/ip4/127.0.0.1/tcp/1'] })
  const head = await someHead()
  await eventually(() => found(asking, head)).toEqual([known.host.peerId])
  expect(dialled).toBe(0)
})

test.each<[string, () => Buffer | null]>([
  ['says nothing', () => null],
  ['says too much', () => Buffer.concat([GET_PROVIDERS, Buffer.alloc(4_000_000)])],
  ['says what cannot be read', () => Buffer.from('0a ff ff ff ff', 'utf8')]
])('a member that %s does not hold a lookup up', async (_, answer) => {
  const [asking, alpha] = [await member(), await member()]
  introduce(asking, alpha)
  const head = await someHead()
  await alpha.providers.announce(head)
  await eventually(() => found(asking, head)).toEqual([alpha.host.peerId])
  let asked = 0
  const bad = await liar(() => {
    asked++
    return answer()
  })
  asking.neighbours.note({ peer: bad.host.peerId, zone: null, addresses: bad.host.addresses() })
  await eventually(async () => {
    const begun = performance.now()
    expect(await found(asking, head)).toEqual([alpha.host.peerId])
    expect(performance.now() - begun).toBeLessThan(4 * KAD_LIMITS.lookupMs)
    return asked
  }).toBeGreaterThan(0)
})

test('of four members, each that listens is found by the others as a provider of what it announced', async () => {
  const coordinator = await member()
  const [alpha, beta, quiet] = [await member(), await member(), await member({ listens: false })]
  introduce(coordinator, alpha, beta, quiet)
  const head = await someHead()
  await eventually(async () => {
    await alpha.providers.announce(head)
    return found(quiet, head)
  }).toEqual([alpha.host.peerId])
  await beta.providers.announce(head)
  await eventually(async () => [...(await found(quiet, head))].sort()).toEqual(
    [alpha.host.peerId, beta.host.peerId].sort()
  )
  expect(await found(beta, head)).toEqual([alpha.host.peerId])
  expect(await found(alpha, await someHead())).toEqual([])
})

test('a neighbour that could not be reached is asked once it can be', async () => {
  const [alpha, beta] = [await member(), await member()]
  const head = await someHead()
  await beta.providers.announce(head)
  let isReached = false
  const link = alpha.reach.link.bind(alpha.reach)
  alpha.reach.link = async (peer) => {
    if (isReached) return link(peer)
    throw new NodeDaemonError('OUT_OF_REACH', 'not yet')
  }
  alpha.neighbours.note({ peer: beta.host.peerId, zone: null, addresses: beta.host.addresses() })
  expect(await found(alpha, head)).toEqual([])
  isReached = true
  await eventually(() => found(alpha, head)).toEqual([beta.host.peerId])
})
