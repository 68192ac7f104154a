import {
  type ComponentLogger,
  type Connection,
  type PeerId,
  type Stream,
  start,
  stop,
  type Topology
} from '@libp2p/interface'
import { type KadDHT, type KadDHTComponents, kadDHT } from '@libp2p/kad-dht'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import type { Clock, TimerHandle } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { KAD_LIMITS, KAD_PROTOCOL } from '../wire/kad.ts'
import type { Host } from './host.ts'
import { KadRecords } from './kad-records.ts'
import { Libp2pLink } from './libp2p-link.ts'
import type { Neighbours } from './neighbours.ts'
import type { Providers } from './providers.ts'
import type { Reach } from './reach.ts'

type Handler = (stream: Stream, connection: Connection) => Promise<void>

/** What the DHT needs of a host beyond what other rooms see. */
export interface KadHost extends Host {
  /** Streams of members, as libp2p has them. */
  handleStreams(protocol: typeof KAD_PROTOCOL, handler: Handler): Promise<void>
  readonly logger: ComponentLogger
  readonly events: KadDHTComponents['events']
}

export interface KadDeps {
  readonly host: Host
  readonly identity: Identity
  readonly neighbours: Neighbours
  readonly reach: Reach
  readonly clock: Clock
  readonly log: Logger
}

/**
 * The private DHT. A host that listens answers others and can be named; one that does not only asks. Whom it asks and
 * where they are comes from `neighbours` alone: what others say about addresses is not believed, and nobody else is
 * dialled for it.
 */
export async function startKad(deps: KadDeps): Promise<Providers> {
  const { host } = deps
  if (!speaksKad(host)) throw new NodeDaemonError('UNEXPECTED', 'this host does not speak Kademlia')
  const contacts = new Contacts({ ...deps, host })
  const dht = kadDHT({
    protocol: KAD_PROTOCOL.id,
    clientMode: host.addresses().length === 0,
    peerInfoMapper: ({ id }) => ({ id, multiaddrs: contacts.addresses(id) }),
    allowQueryWithZeroPeers: true,
    alpha: 3,
    reprovide: { validity: KAD_LIMITS.validityMs, threshold: KAD_LIMITS.validityMs / 2, maxQueueSize: 1024 },
    maxInboundStreams: KAD_PROTOCOL.maxStreams,
    maxOutboundStreams: KAD_PROTOCOL.maxStreams
  })(contacts.components())
  await start(dht)
  contacts.open()
  return new KadProviders(deps, dht, contacts)
}

const speaksKad = (host: Host): host is KadHost => 'handleStreams' in host

/** What the DHT uses of a part of libp2p; what else such a part can do, it never asks for. */
const reduced = <Part extends keyof KadDHTComponents>(
  part: Partial<KadDHTComponents[Part]>
): NonNullable<KadDHTComponents[Part]> => part as NonNullable<KadDHTComponents[Part]>

/** The parts of libp2p that the DHT works with, each reduced to members. */
class Contacts {
  readonly #deps: KadDeps & { readonly host: KadHost }
  readonly #introduced = new Set<PeerIdText>()
  /** Neighbours that could not be reached. */
  readonly #failed = new Set<PeerIdText>()
  #introducing: Promise<void> | null = null
  #again: TimerHandle | null = null
  #topology: Topology | null = null
  #ignore: () => void = () => undefined
  #closed = false

  constructor(deps: KadDeps & { readonly host: KadHost }) {
    this.#deps = deps
  }

  /** Makes neighbours known to the DHT, those of now and those that come. */
  open(): void {
    const { neighbours } = this.#deps
    this.#ignore = neighbours.onChange((peer) => this.#changed(peer))
    this.#introduceSome()
    this.#lookAgain()
  }

  close(): void {
    this.#closed = true
    this.#again?.cancel()
    this.#ignore()
  }

  addresses(id: PeerId): Multiaddr[] {
    const { host, neighbours } = this.#deps
    const peer = textOf(id)
    const addresses = peer === host.peerId ? host.addresses() : (neighbours.get(peer)?.addresses ?? [])
    return addresses.map((address) => multiaddr(address))
  }

  components(): KadDHTComponents {
    const { host, identity } = this.#deps
    const own = peerIdFromString(host.peerId)
    return {
      peerId: own,
      privateKey: identity.privateKey,
      logger: host.logger,
      events: host.events,
      datastore: reduced<'datastore'>(new KadRecords()),
      addressManager: reduced<'addressManager'>({
        getAddresses: () => this.addresses(own)
      }),
      connectionManager: reduced<'connectionManager'>({
        isDialable: async () => true,
        openStream: (id, _, options) => this.#stream(id as PeerId, options?.signal)
      }),
      ping: reduced<'ping'>({ ping: (id, options) => this.#ping(id as PeerId, options?.signal) }),
      registrar: this.#registrar(),
      peerStore: this.#peerStore()
    }
  }

  #registrar(): KadDHTComponents['registrar'] {
    return reduced<'registrar'>({
      handle: (_, handler) =>
        this.#deps.host.handleStreams(KAD_PROTOCOL, async (stream, connection) => {
          const answering = handler(stream, connection)
          bounded(stream)
          await answering
        }),
      unhandle: async () => undefined,
      register: async (_, topology) => {
        this.#topology = topology
        return KAD_PROTOCOL.id
      },
      unregister: () => {
        this.#topology = null
      }
    })
  }

  /** Nothing that others say is written into it. */
  #peerStore(): KadDHTComponents['peerStore'] {
    const peerOf = async (id: PeerId) => ({
      id,
      addresses: this.addresses(id).map((one) => ({ multiaddr: one, isCertified: false })),
      protocols: [KAD_PROTOCOL.id],
      metadata: new Map(),
      tags: new Map()
    })
    return reduced<'peerStore'>({
      get: peerOf,
      merge: peerOf,
      getInfo: async (id) => ({ id, multiaddrs: this.addresses(id) }),
      all: async () => []
    })
  }

  async #stream(id: PeerId, signal: AbortSignal | undefined): Promise<Stream> {
    const stream = await (await this.#link(textOf(id))).openStream(KAD_PROTOCOL, signal)
    bounded(stream)
    return stream
  }

  async #link(peer: PeerIdText): Promise<Libp2pLink> {
    const { neighbours, reach } = this.#deps
    const link = neighbours.get(peer) === null ? null : await reach.link(peer)
    if (link instanceof Libp2pLink) return link
    throw new NodeDaemonError('OUT_OF_REACH', `${peer} is no neighbour`)
  }

  /** Does it speak this protocol? */
  async #ping(id: PeerId, signal: AbortSignal | undefined): Promise<number> {
    const stream = await this.#stream(id, signal)
    await stream.close()
    return 0
  }

  #changed(peer: PeerIdText): void {
    this.#failed.delete(peer)
    if (this.#deps.neighbours.get(peer) === null) this.#introduced.delete(peer)
    this.#introduceSoon()
  }

  /** Who could not be reached may be by now, and whom the DHT gave up may answer again. */
  #lookAgain(): void {
    this.#again = this.#deps.clock.after(KAD_LIMITS.againMs, () => {
      this.#failed.clear()
      this.#introduced.clear()
      this.#introduceSome()
      this.#lookAgain()
    })
  }

  /** Several that change or fail at once are looked at together. */
  #introduceSoon(): void {
    this.#introducing ??= Promise.resolve().then(() => {
      this.#introducing = null
      this.#introduceSome()
    })
  }

  /** As many as there is room for, beginning with those after this host's own name: others begin elsewhere. */
  #introduceSome(): void {
    const { host, neighbours } = this.#deps
    const room = KAD_LIMITS.contactsMax - this.#introduced.size
    if (this.#closed || room <= 0) return
    const isNew = (peer: PeerIdText): boolean => !this.#introduced.has(peer) && !this.#failed.has(peer)
    const names = neighbours
      .all()
      .map(({ peer }) => peer)
      .filter(isNew)
      .sort()
    const first = names.findIndex((peer) => peer > host.peerId)
    const inTurn = first < 0 ? names : [...names.slice(first), ...names.slice(0, first)]
    for (const peer of inTurn.slice(0, room)) this.#introduce(peer)
  }

  /** No identify is spoken here: the DHT hears of each neighbour as if that had told its protocols. */
  #introduce(peer: PeerIdText): void {
    this.#introduced.add(peer)
    this.#link(peer)
      .then((link) => this.#topology?.onConnect?.(peerIdFromString(peer), link.connection))
      .catch((error: unknown) => {
        this.#deps.log.debug({ peer, error: messageOf(error) }, 'a neighbour was not made known to the DHT')
        if (!this.#introduced.delete(peer)) return
        // It is tried again once something new is heard of it, or a while later.
        this.#failed.add(peer)
        this.#introduceSoon()
      })
  }
}

const textOf = (id: PeerId): PeerIdText => id.toString() as PeerIdText

/** Ends a stream on which more comes than one exchange can need. */
function bounded(stream: Stream): void {
  let bytes = 0
  stream.addEventListener('message', ({ data }) => {
    bytes += data.byteLength
    if (bytes > KAD_PROTOCOL.maxFrameBytes) {
      stream.abort(new NodeDaemonError('TOO_LARGE', `more than ${KAD_PROTOCOL.maxFrameBytes} bytes in one exchange`))
    }
  })
}

class KadProviders implements Providers {
  readonly #deps: KadDeps
  readonly #dht: KadDHT
  readonly #contacts: Contacts
  readonly #stopped = new AbortController()
  #lookups = 0

  constructor(deps: KadDeps, dht: KadDHT, contacts: Contacts) {
    this.#deps = deps
    this.#dht = dht
    this.#contacts = contacts
  }

  async announce(cid: CID): Promise<void> {
    if (this.#deps.host.addresses().length === 0) return
    try {
      for await (const _ of this.#dht.provide(cid, { signal: this.#limit(KAD_LIMITS.announceMs) }));
    } catch (error) {
      this.#failed('a snapshot was not announced', error)
    }
  }

  async forget(cid: CID): Promise<void> {
    await this.#dht.cancelReprovide(cid).catch((error: unknown) => this.#failed('a snapshot was not forgotten', error))
  }

  async find(cid: CID, signal?: AbortSignal): Promise<readonly PeerIdText[]> {
    if (this.#lookups >= KAD_LIMITS.lookupsMax) return []
    this.#lookups++
    const found = new Set<PeerIdText>()
    try {
      for await (const event of this.#dht.findProviders(cid, { signal: this.#limit(KAD_LIMITS.lookupMs, signal) })) {
        if (event.name !== 'PROVIDER') continue
        for (const { id } of event.providers) if (this.#isNamed(textOf(id))) found.add(textOf(id))
        if (found.size >= KAD_LIMITS.providersMax) break
      }
    } catch (error) {
      this.#failed('a lookup ended early', error)
    } finally {
      this.#lookups--
    }
    return [...found].slice(0, KAD_LIMITS.providersMax)
  }

  async close(): Promise<void> {
    this.#stopped.abort()
    this.#contacts.close()
    await stop(this.#dht)
  }

  #isNamed(peer: PeerIdText): boolean {
    return peer !== this.#deps.host.peerId && this.#deps.neighbours.get(peer) !== null
  }

  #limit(ms: number, outer?: AbortSignal): AbortSignal {
    const limits = [this.#stopped.signal, AbortSignal.timeout(ms)]
    return AbortSignal.any(outer === undefined ? limits : [...limits, outer])
  }

  #failed(what: string, error: unknown): void {
    this.#deps.log.debug({ error: messageOf(error) }, what)
  }
}
