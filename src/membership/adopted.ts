import { pairingCode } from '../core/identity.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { ListedMember, MemberList } from '../core/records.ts'
import { type Member, nameKey } from './member.ts'

/** By whom and when members are put back. */
export interface Origin {
  readonly coordinator: PeerIdText
  /** Unix milliseconds. */
  readonly at: number
}

export const BY_RECOVERY = 'recovery'

/** A member of whom only its key, its name and its role are known any more. The name is changed where another holds it. */
export function readmitted(
  members: Iterable<Member>,
  { peer, name, role }: Pick<ListedMember, 'peer' | 'name' | 'role'>,
  { coordinator, at }: Origin
): Member {
  return {
    peerId: peer,
    code: pairingCode(peer, coordinator),
    name: freeName(members, peer, name),
    role,
    state: 'approved',
    contact: '',
    site: '',
    message: '',
    labels: {},
    capacityBytes: 0,
    services: [],
    version: '',
    address: '',
    reason: '',
    askedAt: at,
    decidedAt: at,
    decidedBy: BY_RECOVERY,
    certificate: null
  }
}

/** A peer of which nothing but its key and its name is known, or that asks already: an admin decides. */
export function askedAnew(
  known: ReadonlyMap<PeerIdText, Member>,
  who: Pick<ListedMember, 'peer' | 'name' | 'role'>,
  reason: string,
  origin: Origin
): Member {
  const before = known.get(who.peer) ?? readmitted(known.values(), who, origin)
  return { ...before, state: 'pending', reason, decidedAt: null, decidedBy: null }
}

/**
 * What has to change so that exactly those on the list are members. Who is one already keeps all that is known of it.
 * `stays`: of this one the list says nothing that is newer than what is known here.
 */
export function adopted(
  known: ReadonlyMap<PeerIdText, Member>,
  list: MemberList,
  origin: Origin,
  stays: (member: Member) => boolean
): { readonly came: readonly Member[]; readonly gone: readonly Member[] } {
  const listed = new Map(list.members.map((one) => [one.peer, one]))
  const gone = [...known.values()]
    .filter(({ peerId, state }) => state === 'approved' && !listed.has(peerId))
    .filter((member) => !stays(member))
    .map((member): Member => {
      const reason = 'not on the newest member list that this coordinator had signed'
      return { ...member, state: 'revoked', reason, decidedAt: origin.at, decidedBy: BY_RECOVERY, certificate: null }
    })
  const after = new Map(known)
  for (const member of gone) after.set(member.peerId, member)
  const came: Member[] = []
  for (const one of listed.values()) {
    const before = known.get(one.peer)
    if (before?.state === 'approved' || (before !== undefined && stays(before))) continue
    const member =
      before === undefined
        ? readmitted(after.values(), one, origin)
        : { ...before, name: freeName(after.values(), one.peer, one.name), role: one.role, ...decided(origin) }
    came.push(member)
    after.set(member.peerId, member)
  }
  return { came, gone }
}

const decided = ({ at }: Origin): Pick<Member, 'state' | 'reason' | 'decidedAt' | 'decidedBy'> => ({
  state: 'approved',
  reason: '',
  decidedAt: at,
  decidedBy: BY_RECOVERY
})

function freeName(members: Iterable<Member>, peer: PeerIdText, name: string): string {
  for (const other of members) {
    const holds = other.state === 'approved' || other.state === 'pending'
    if (holds && other.peerId !== peer && nameKey(other.name) === nameKey(name))
      return `${name.slice(0, 54)}-${peer.slice(-8)}`
  }
  return name
}
