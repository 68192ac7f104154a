import { aborted } from '../../src/core/clock.ts'
import { NodeDaemonError } from '../../src/core/errors.ts'
import type { PeerIdText } from '../../src/core/ids.ts'
import type { Channel, Gate, Host, Link } from '../../src/network/host.ts'
import type { Protocol } from '../../src/wire/protocol.ts'
import type { Life, Machine } from './machine.ts'
import type { Network } from './network.ts'
import { woken } from './network-channel.ts'
import type { SimulatedLink } from './network-link.ts'

const DIAL_MS = 10_000

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
