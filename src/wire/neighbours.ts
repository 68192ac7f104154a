import { varint } from 'multiformats'
import { NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import { parse } from '../core/parse.ts'
import { Neighbours as RawNeighbours } from './generated/control.ts'

/** A member that listens, and where, as the coordinator heard it. A hint: only the key that answers proves who is there. */
export interface Neighbour {
  readonly peer: PeerIdText
  /** Its label `zone`; null where it has none. */
  readonly zone: string | null
  /** None: it does not listen any more. */
  readonly addresses: readonly string[]
}

/** What an instance is told of the members that listen. */
export interface NeighbourNews {
  /** These are all; otherwise these are those that changed. */
  readonly whole: boolean
  /** The instance's own label `zone`, as the coordinator has it. */
  readonly zone: string | null
  readonly neighbours: readonly Neighbour[]
}

/** The same, with `neighbourBytes` of the neighbours. */
export interface NeighbourBytes extends Pick<NeighbourNews, 'whole' | 'zone'> {
  readonly neighbours: Uint8Array
}

export const NEIGHBOUR_LIMITS = { neighboursMax: 1000, addressesMax: 8, addressMax: 300, zoneMax: 63 } as const

export const encodeNeighbours = ({ whole, zone, neighbours }: NeighbourNews): RawNeighbours => ({
  whole,
  zone: zone ?? '',
  neighbours: neighbours.map((one) => ({ ...one, zone: one.zone ?? '', addresses: [...one.addresses] }))
})

/** Neighbours as they stand in a message. */
export const neighbourBytes = (neighbours: readonly Neighbour[]): Uint8Array =>
  RawNeighbours.encode(encodeNeighbours({ whole: false, zone: null, neighbours }))

/** The number of `neighbours` in the schema of what an instance is told. */
const NEIGHBOURS_FIELD = 8

/** A `neighbours` in parts, one after another: what many are told of is encoded once. */
export function neighboursParts({ whole, zone, neighbours }: NeighbourBytes): Uint8Array[] {
  const own = RawNeighbours.encode(encodeNeighbours({ whole, zone, neighbours: [] }))
  const length = own.length + neighbours.length
  const head = new Uint8Array(1 + varint.encodingLength(length))
  head[0] = (NEIGHBOURS_FIELD << 3) | 2
  return [varint.encodeTo(length, head, 1), own, neighbours]
}

export const decodeNeighbours = ({ whole, zone, neighbours }: RawNeighbours): NeighbourNews => ({
  whole,
  zone: decodeZone(zone),
  neighbours: neighbours.map((one) => ({
    peer: parse.peer(one.peer),
    zone: decodeZone(one.zone),
    addresses: one.addresses.map(checkedAddress)
  }))
})

const decodeZone = (zone: string): string | null => (zone === '' ? null : parse.line(zone, NEIGHBOUR_LIMITS.zoneMax))

/** A multiaddr as far as it can be told here: text of bounded length. @throws NodeDaemonError `BAD_REQUEST` */
export function checkedAddress(address: string): string {
  if (address.length <= NEIGHBOUR_LIMITS.addressMax && /^\/[\x21-\x7e]+$/.test(address)) return address
  throw new NodeDaemonError('BAD_REQUEST', 'a message has a bad address')
}
