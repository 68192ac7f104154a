import type { Protocol } from '../../src/wire/protocol.ts'
import type { Machine } from './machine.ts'
import type { Network } from './network.ts'
import { broken } from './network-channel.ts'
import type { SimulatedHost } from './network-host.ts'
import { SimulatedLink } from './network-link.ts'

export type Packet =
  | { readonly kind: 'open'; readonly stream: number; readonly protocol: Protocol }
  | { readonly kind: 'opened' | 'refused' | 'end' | 'reset'; readonly stream: number }
  | { readonly kind: 'data'; readonly stream: number; readonly bytes: Uint8Array }
  | { readonly kind: 'close' }

const sizeOf = (packet: Packet): number => 40 + (packet.kind === 'data' ? packet.bytes.length : 0)

/** Two sides, and what is under way between them. */
export class Connection {
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
