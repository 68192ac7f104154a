import type { Duplex } from 'node:stream'
import { aborted } from '../../src/core/clock.ts'
import { NodeDaemonError } from '../../src/core/errors.ts'
import type { PeerIdText } from '../../src/core/ids.ts'
import type { Channel, Gate, Host, Link } from '../../src/network/host.ts'
import type { Protocol } from '../../src/wire/protocol.ts'
import type { Life, Machine } from './machine.ts'
import { SimulatedDht } from './providers.ts'
import type { Chance, World } from './world.ts'

const DIAL_MS = 10_000
const RETRANSMIT_MS = 200

/** How messages travel, as long as nothing is cut. */
export interface Weather {
  readonly latencyMs: number
  readonly jitterMs: number
  /** Of packets: each loss costs a retransmission. */
  readonly loss: number
  readonly bytesPerMs: number
}

type Packet =
  | { readonly kind: 'open'; readonly stream: number; readonly protocol: Protocol }
  | { readonly kind: 'opened' | 'refused' | 'end' | 'reset'; readonly stream: number }
  | { readonly kind: 'data'; readonly stream: number; readonly bytes: Uint8Array }
  | { readonly kind: 'close' }

const sizeOf = (packet: Packet): number => 40 + (packet.kind === 'data' ? packet.bytes.length : 0)

/** Sees each frame that is sent, and returns what is sent instead: the same, but where somebody lies. */
export type OnFrame = (frame: {
  readonly from: Machine
  readonly to: Machine
  readonly protocol: Protocol
  readonly bytes: Uint8Array
}) => Uint8Array

/**
 * All machines and what lies between them. Connections keep order and lose nothing while they stand, as TCP's do: loss is
 * delay, and packets of different connections overtake one another. A cut direction holds packets back; when that lasts,
 * the two sides learn of it at different times, or only one of them does.
 */
export class Network {
  readonly world: World
  readonly weather: Weather
  readonly chance: Chance
  /** Bytes that were delivered, from one machine to another: `a>b`. */
  readonly carried = new Map<string, number>()
  readonly onFrame = new Set<OnFrame>()
  /** How often each machine has tried to reach another one. */
  readonly dials = new Map<Machine, number>()
  readonly dht = new SimulatedDht()
  readonly #hosts = new Map<string, SimulatedHost>()
  readonly #machines = new Map<string, Machine>()
  readonly #cut = new Set<string>()
  readonly #connections = new Set<Connection>()
  #connectionIds = 0

  constructor(world: World, weather: Weather) {
    this.world = world
    this.weather = weather
    this.chance = world.chance('network')
  }

  addMachine(machine: Machine): void {
    this.#machines.set(machine.ip, machine)
  }

  /** Starts a process on the network. With a port it listens. */
  startHost(machine: Machine, life: Life, peerId: PeerIdText, gate: Gate, port: number | null): SimulatedHost {
    const host = new SimulatedHost(this, machine, life, peerId, gate, port)
    this.#hosts.set(machine.ip, host)
    return host
  }

  /** From now on nothing gets from one machine to the other, in this direction. */
  cut(from: Machine, to: Machine): void {
    this.#cut.add(`${from.name}>${to.name}`)
  }

  heal(): void {
    this.#cut.clear()
    for (const connection of [...this.#connections]) connection.flush()
  }

  healBetween(one: Machine, other: Machine): void {
    this.#cut.delete(`${one.name}>${other.name}`)
    this.#cut.delete(`${other.name}>${one.name}`)
    for (const connection of [...this.#connections]) connection.flush()
  }

  passes(from: Machine, to: Machine): boolean {
    return !this.#cut.has(`${from.name}>${to.name}`)
  }

  hostAt(ip: string): { readonly machine: Machine | undefined; readonly host: SimulatedHost | undefined } {
    return { machine: this.#machines.get(ip), host: this.#hosts.get(ip) }
  }

  /** From leaving one side until it arrives at the other, without what goes before it. */
  travelMs(bytes: number): number {
    const { latencyMs, jitterMs, loss, bytesPerMs } = this.weather
    let ms = latencyMs + this.chance.fraction() * jitterMs + bytes / bytesPerMs
    for (let wait = RETRANSMIT_MS; this.chance.happens(loss); wait *= 2) ms += wait
    return ms
  }

  /** What is sent in the place of a frame. */
  frame(from: Machine, to: Machine, protocol: Protocol, bytes: Uint8Array): Uint8Array {
    let sent = bytes
    for (const see of this.onFrame) sent = see({ from, to, protocol, bytes: sent })
    return sent
  }

  connect(from: SimulatedHost, to: SimulatedHost): Connection {
    const connection = new Connection(this, ++this.#connectionIds, from, to)
    this.#connections.add(connection)
    return connection
  }

  forget(connection: Connection): void {
    this.#connections.delete(connection)
  }

  /** The process has ended and the kernel closes what it had open. `quietly`: there is no kernel any more that could. */
  processEnded(machine: Machine, quietly: boolean): void {
    for (const connection of [...this.#connections]) connection.lost(machine, quietly)
  }
}

/** Two sides, and what is under way between them. */
class Connection {
  readonly id: number
  readonly network: Network
  readonly dialer: SimulatedLink
  readonly listener: SimulatedLink
  /** By the machine that sends. */
  readonly #arrivedAt = new Map<Machine, number>()
  readonly #stuck = new Map<Machine, Packet[]>()

  constructor(network: Network, id: number, from: SimulatedHost, to: SimulatedHost) {
    this.id = id
    this.network = network
    this.dialer = new SimulatedLink(this, from, to, 'outbound')
    this.listener = new SimulatedLink(this, to, from, 'inbound')
  }

  other(link: SimulatedLink): SimulatedLink {
    return link === this.dialer ? this.listener : this.dialer
  }

  send(from: SimulatedLink, packet: Packet): void {
    const to = this.other(from)
    const held = this.#stuck.get(from.machine)
    if (held !== undefined) {
      held.push(packet)
      return
    }
    if (!this.network.passes(from.machine, to.machine) || to.machine.isOff) return this.#hold(from, packet)
    this.#carry(from, to, packet)
  }

  #carry(from: SimulatedLink, to: SimulatedLink, packet: Packet): void {
    const { world } = this.network
    const key = `${from.machine.name}>${to.machine.name}`
    const bytes = sizeOf(packet)
    this.network.carried.set(key, (this.network.carried.get(key) ?? 0) + bytes)
    const before = this.#arrivedAt.get(from.machine) ?? 0
    const at = Math.max(before, world.now + this.network.travelMs(bytes))
    this.#arrivedAt.set(from.machine, at)
    to.machine.after(to.life, at - world.now, () => {
      world.note(key, `${packet.kind} ${bytes}`)
      to.arrive(packet)
    })
  }

  /** Nothing gets through now. Where that lasts, the sender gives the connection up, and the other side hears of it later. */
  #hold(from: SimulatedLink, packet: Packet): void {
    const { world, chance } = this.network
    const held = [packet]
    this.#stuck.set(from.machine, held)
    world.after(chance.between(2_000, 20_000), () => {
      if (this.#stuck.get(from.machine) !== held) return
      this.#breakAfter(from, 0)
      this.#breakAfter(this.other(from), chance.between(0, 15_000))
    })
  }

  /** What was held back goes on, where nothing keeps it any more. */
  flush(): void {
    for (const from of [this.dialer, this.listener]) {
      const to = this.other(from)
      const held = this.#stuck.get(from.machine)
      if (held === undefined || to.machine.isOff || !this.network.passes(from.machine, to.machine)) continue
      this.#stuck.delete(from.machine)
      for (const packet of held) this.#carry(from, to, packet)
    }
  }

  lost(machine: Machine, quietly: boolean): void {
    const mine = [this.dialer, this.listener].find((link) => link.machine === machine)
    if (mine === undefined) return
    const { chance } = this.network
    const other = this.other(mine)
    mine.isOpen = false
    if (quietly || !this.network.passes(machine, other.machine))
      return this.#breakAfter(other, chance.between(1_000, 20_000))
    // What was sent before arrives before it.
    const { now } = this.network.world
    const at = Math.max(this.#arrivedAt.get(machine) ?? 0, now + this.network.travelMs(40))
    other.machine.after(other.life, at - now, () => other.ended(null))
  }

  #breakAfter(link: SimulatedLink, ms: number): void {
    link.machine.after(link.life, ms, () => link.ended(broken()))
  }

  bothEnded(): void {
    if (!this.dialer.isOpen && !this.listener.isOpen) this.network.forget(this)
  }
}

const broken = (): NodeDaemonError => new NodeDaemonError('CLOSED', 'the connection broke')

/** One side of a connection. */
class SimulatedLink implements Link {
  readonly id: string
  readonly peer: PeerIdText
  readonly direction: 'inbound' | 'outbound'
  readonly remoteAddress: string
  readonly closed: Promise<void>
  readonly machine: Machine
  readonly life: Life
  readonly host: SimulatedHost
  isOpen = true
  readonly #connection: Connection
  readonly #streams = new Map<number, SimulatedChannel>()
  readonly #opening = new Map<number, { readonly resolve: (ok: boolean) => void }>()
  #nextStream: number
  #tellClosed: () => void = () => undefined

  constructor(connection: Connection, host: SimulatedHost, other: SimulatedHost, direction: 'inbound' | 'outbound') {
    this.#connection = connection
    this.id = `${connection.id}${direction === 'outbound' ? 'd' : 'l'}`
    this.host = host
    this.machine = host.machine
    this.life = host.life
    this.peer = other.peerId
    this.direction = direction
    this.remoteAddress = `/ip4/${other.machine.ip}/tcp/${other.port ?? 50_000 + connection.id}`
    this.#nextStream = direction === 'outbound' ? 1 : 2
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve
    })
  }

  async open(protocol: Protocol, signal?: AbortSignal): Promise<Channel> {
    if (signal?.aborted) throw aborted(signal)
    if (!this.isOpen) throw this.#unreachable(protocol)
    const stream = this.#nextStream
    this.#nextStream += 2
    const channel = new SimulatedChannel(this, stream, protocol)
    this.#streams.set(stream, channel)
    let opened = false
    await woken(signal, (wake) => {
      const resolve = (ok: boolean): void => {
        opened = ok
        wake()
      }
      this.#opening.set(stream, { resolve })
      this.send({ kind: 'open', stream, protocol })
    })
    if (signal?.aborted) throw aborted(signal)
    if (opened) return channel
    this.#streams.delete(stream)
    throw this.#unreachable(protocol)
  }

  #unreachable({ id }: Protocol): NodeDaemonError {
    return new NodeDaemonError('OUT_OF_REACH', `cannot speak ${id} with ${this.peer}`)
  }

  openBytes(): Promise<Duplex> {
    throw new Error('HTTP travels as values in a simulation')
  }

  async close(): Promise<void> {
    if (!this.isOpen) return
    this.send({ kind: 'close' })
    this.ended(null)
  }

  abort(reason: Error): void {
    if (!this.isOpen) return
    this.send({ kind: 'close' })
    this.ended(reason)
  }

  send(packet: Packet): void {
    if (this.isOpen && !this.life.over) this.#connection.send(this, packet)
  }

  sendFrame(stream: number, protocol: Protocol, bytes: Uint8Array): void {
    const to = this.#connection.other(this).machine
    this.send({ kind: 'data', stream, bytes: this.#connection.network.frame(this.machine, to, protocol, bytes) })
  }

  /** The connection is over, as this side sees it. */
  ended(error: Error | null): void {
    if (!this.isOpen) return
    this.isOpen = false
    for (const opening of this.#opening.values()) opening.resolve(false)
    for (const channel of [...this.#streams.values()]) channel.over(error)
    this.#streams.clear()
    this.host.forget(this)
    this.#tellClosed()
    this.#connection.bothEnded()
  }

  arrive(packet: Packet): void {
    if (!this.isOpen) return
    if (packet.kind === 'close') return this.ended(null)
    if (packet.kind === 'open') return this.#accept(packet.stream, packet.protocol)
    if (packet.kind === 'opened' || packet.kind === 'refused') {
      this.#opening.get(packet.stream)?.resolve(packet.kind === 'opened')
      this.#opening.delete(packet.stream)
      return
    }
    const channel = this.#streams.get(packet.stream)
    if (packet.kind === 'data') channel?.take(packet.bytes)
    else if (packet.kind === 'end') channel?.otherEnded()
    else channel?.over(broken())
  }

  #accept(stream: number, protocol: Protocol): void {
    const handler = this.host.handlerOf(protocol)
    if (handler === undefined) return this.send({ kind: 'refused', stream })
    this.send({ kind: 'opened', stream })
    const used = [...this.#streams.values()].filter((one) => one.protocol.id === protocol.id && one.isInbound).length
    const isAllowed = protocol.open === 'anyone' || this.host.gate.standing(this.peer) === 'member'
    if (!isAllowed || used >= protocol.maxStreams) return this.send({ kind: 'reset', stream })
    const channel = new SimulatedChannel(this, stream, protocol, true)
    this.#streams.set(stream, channel)
    handler(channel, this).then(
      () => channel.close(),
      (error: unknown) => channel.abort(error instanceof Error ? error : new Error(String(error)))
    )
  }

  forgetStream(stream: number): void {
    this.#streams.delete(stream)
  }
}

/** One side of a stream. */
class SimulatedChannel implements Channel {
  readonly peer: PeerIdText
  readonly closed: Promise<void>
  readonly protocol: Protocol
  readonly isInbound: boolean
  readonly #link: SimulatedLink
  readonly #stream: number
  readonly #inbox: Uint8Array[] = []
  #hasOtherEnded = false
  #hasEnded = false
  #error: Error | null = null
  #isOver = false
  #wake: () => void = () => undefined
  #tellClosed: () => void = () => undefined

  constructor(link: SimulatedLink, stream: number, protocol: Protocol, isInbound = false) {
    this.#link = link
    this.#stream = stream
    this.protocol = protocol
    this.isInbound = isInbound
    this.peer = link.peer
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve
    })
  }

  async send(...parts: readonly Uint8Array[]): Promise<void> {
    const bytes = Buffer.concat(parts)
    if (bytes.length > this.protocol.maxFrameBytes) {
      throw new NodeDaemonError(
        'TOO_LARGE',
        `a frame of ${bytes.length} bytes is over the limit of ${this.protocol.id}`
      )
    }
    if (this.#isOver || this.#hasEnded) throw broken()
    this.#link.sendFrame(this.#stream, this.protocol, bytes)
  }

  async receive(signal?: AbortSignal): Promise<Uint8Array | null> {
    for (;;) {
      if (signal?.aborted) throw aborted(signal)
      const next = this.#inbox.shift()
      if (next !== undefined) return next
      if (this.#error !== null) throw this.#error instanceof NodeDaemonError ? this.#error : broken()
      if (this.#hasOtherEnded || this.#isOver) return null
      await woken(signal, (wake) => {
        this.#wake = wake
      })
    }
  }

  async close(): Promise<void> {
    if (this.#hasEnded || this.#isOver) return
    this.#hasEnded = true
    this.#link.send({ kind: 'end', stream: this.#stream })
    this.#endedBoth()
  }

  abort(reason: Error): void {
    if (this.#isOver) return
    this.#link.send({ kind: 'reset', stream: this.#stream })
    this.over(reason)
  }

  take(bytes: Uint8Array): void {
    this.#inbox.push(bytes)
    this.#wake()
  }

  otherEnded(): void {
    this.#hasOtherEnded = true
    this.#wake()
    this.#endedBoth()
  }

  #endedBoth(): void {
    if (this.#hasEnded && this.#hasOtherEnded) this.over(null)
  }

  over(error: Error | null): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#error = error
    this.#link.forgetStream(this.#stream)
    this.#tellClosed()
    this.#wake()
  }
}

/** Resolves when it is woken, or by the signal. */
async function woken(signal: AbortSignal | undefined, wait: (wake: () => void) => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const onAbort = (): void => resolve()
  signal?.addEventListener('abort', onAbort, { once: true })
  wait(resolve)
  try {
    await promise
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}

type Handler = (channel: Channel, link: Link) => Promise<void>

/** A process on the network. */
export class SimulatedHost implements Host {
  readonly peerId: PeerIdText
  readonly machine: Machine
  readonly life: Life
  readonly gate: Gate
  readonly port: number | null
  readonly #network: Network
  readonly #handlers = new Map<string, Handler>()
  readonly #links = new Set<SimulatedLink>()
  #isOpen = true

  constructor(network: Network, machine: Machine, life: Life, peerId: PeerIdText, gate: Gate, port: number | null) {
    this.#network = network
    this.machine = machine
    this.life = life
    this.peerId = peerId
    this.gate = gate
    this.port = port
  }

  addresses(): readonly string[] {
    return this.port === null ? [] : [`/ip4/${this.machine.ip}/tcp/${this.port}/p2p/${this.peerId}`]
  }

  async handle(protocol: Protocol, handler: Handler): Promise<void> {
    this.#handlers.set(protocol.id, handler)
  }

  async handleBytes(): Promise<void> {
    throw new Error('HTTP travels as values in a simulation')
  }

  handlerOf(protocol: Protocol): Handler | undefined {
    return this.#isOpen ? this.#handlers.get(protocol.id) : undefined
  }

  async dial(addresses: readonly string[], peer: PeerIdText, signal?: AbortSignal): Promise<Link> {
    for (const address of addresses) {
      if (signal?.aborted) throw aborted(signal)
      const link = await this.#dialOne(address, peer, signal)
      if (signal?.aborted) throw aborted(signal)
      if (link !== null) return link
    }
    throw new NodeDaemonError('OUT_OF_REACH', `${peer} is out of reach`)
  }

  /** Null where nobody answers who can be talked with. */
  async #dialOne(address: string, peer: PeerIdText, signal: AbortSignal | undefined): Promise<Link | null> {
    this.#network.dials.set(this.machine, (this.#network.dials.get(this.machine) ?? 0) + 1)
    const [, ip = ''] = /^\/ip4\/([0-9.]+)\//.exec(address) ?? []
    const roundTrip = this.#network.travelMs(40) + this.#network.travelMs(40)
    await this.#wait(2 * roundTrip, signal)
    const { machine, host } = this.#network.hostAt(ip)
    if (machine === undefined) return null
    const isReached = this.#network.passes(this.machine, machine) && this.#network.passes(machine, this.machine)
    if (!isReached || machine.isOff || machine.isPaused) {
      await this.#wait(DIAL_MS, signal)
      return null
    }
    if (host === undefined || host.life.over || !host.#isOpen || host.port === null) return null
    if (host.peerId !== peer) {
      throw new NodeDaemonError('WRONG_COORDINATOR', `${address} answers with another key than ${peer}`)
    }
    if (host.gate.standing(this.peerId) === 'refused') return null
    const connection = this.#network.connect(this, host)
    this.#links.add(connection.dialer)
    host.#links.add(connection.listener)
    return connection.dialer
  }

  #wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return woken(signal, (wake) => void this.machine.after(this.life, ms, wake))
  }

  links(peer: PeerIdText): readonly Link[] {
    return [...this.#links].filter((link) => link.peer === peer && link.isOpen)
  }

  cut(peer: PeerIdText, reason: string): void {
    for (const link of this.links(peer)) link.abort(new Error(reason))
  }

  forget(link: SimulatedLink): void {
    this.#links.delete(link)
  }

  async close(): Promise<void> {
    this.#isOpen = false
    for (const link of [...this.#links]) await link.close()
  }
}
