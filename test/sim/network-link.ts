import type { Duplex } from 'node:stream'
import { aborted } from '../../src/core/clock.ts'
import { NodeDaemonError } from '../../src/core/errors.ts'
import type { PeerIdText } from '../../src/core/ids.ts'
import type { Channel, Link } from '../../src/network/host.ts'
import type { Protocol } from '../../src/wire/protocol.ts'
import type { Life, Machine } from './machine.ts'
import { broken, SimulatedChannel, woken } from './network-channel.ts'
import type { Connection, Packet } from './network-connection.ts'
import type { SimulatedHost } from './network-host.ts'

/** One side of a connection. */
export class SimulatedLink implements Link {
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
