import type { PeerIdText } from '../../src/core/ids.ts'
import type { Gate } from '../../src/network/host.ts'
import type { Protocol } from '../../src/wire/protocol.ts'
import type { Life, Machine } from './machine.ts'
import { Connection } from './network-connection.ts'
import { SimulatedHost } from './network-host.ts'
import { SimulatedDht } from './providers.ts'
import type { Chance, World } from './world.ts'

const RETRANSMIT_MS = 200

/** How messages travel, as long as nothing is cut. */
export interface Weather {
  readonly latencyMs: number
  readonly jitterMs: number
  /** Of packets: each loss costs a retransmission. */
  readonly loss: number
  readonly bytesPerMs: number
}

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
