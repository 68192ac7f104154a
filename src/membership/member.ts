import { z } from 'zod'
import { NodeDaemonError } from '../core/errors.ts'
import { isPeerIdText, isServiceName, type PeerIdText, type ServiceName } from '../core/ids.ts'
import { parse } from '../core/parse.ts'
import { MEMBER_ROLES, type MemberRole } from '../core/records.ts'
import { checkedLabels, JOIN_LIMITS, type JoinRequest } from '../wire/membership.ts'

/**
 * The life of a membership.
 *
 *   (asks) ─▶ pending ─▶ approved ⇄ revoked
 *     ▲          │           ▲   │
 *     │          ▼           │   ▼
 *     │        denied ───────┘  left
 *     └──────────────────────────┘
 */
export const MEMBER_STATES = ['pending', 'approved', 'denied', 'revoked', 'left'] as const
export type MemberState = (typeof MEMBER_STATES)[number]

/** A peer that asked to join, and what became of it. */
export interface Member {
  readonly peerId: PeerIdText
  /** What its volunteer and the admin compare. */
  readonly code: string
  readonly name: string
  readonly role: MemberRole
  readonly state: MemberState
  readonly contact: string
  readonly site: string
  readonly message: string
  readonly labels: Readonly<Record<string, string>>
  readonly capacityBytes: number
  readonly services: readonly ServiceName[]
  readonly version: string
  /** The address that it asked from last. */
  readonly address: string
  /** Why denied or revoked; empty otherwise. */
  readonly reason: string
  /** Unix milliseconds. */
  readonly askedAt: number
  /** Unix milliseconds; null while pending. */
  readonly decidedAt: number | null
  /** Who decided; null while pending. */
  readonly decidedBy: string | null
  /** Signed; null unless approved. */
  readonly certificate: Uint8Array | null
}

const ADDRESS_MAX = 200
export const REASON_MAX = 500
/** Every Ed25519 PeerId begins so: a name that does could be taken for another's PeerId. */
const LIKE_A_PEER_ID = /^12D3/i
const PRINTABLE_ASCII = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/

/** Names are compared without regard to case. */
export const nameKey = (name: string): string => name.toLowerCase()

/** @throws NodeDaemonError `BAD_REQUEST` for what can be no name of an instance */
export function checkedName(name: string): string {
  if (name.length <= JOIN_LIMITS.nameMax && PRINTABLE_ASCII.test(name) && !LIKE_A_PEER_ID.test(name)) return name
  throw new NodeDaemonError('BAD_REQUEST', `"${parse.line(name, 80)}" cannot be the name of an instance`, {
    advice: `choose another with --name: 1 to ${JOIN_LIMITS.nameMax} letters, digits and signs of ASCII, not beginning like a PeerId`
  })
}

/**
 * Members, and those that wait to be, hold their names.
 *
 * @throws NodeDaemonError `NAME_TAKEN`
 */
export function checkNameIsFree(members: Iterable<Member>, peer: PeerIdText, name: string): void {
  for (const other of members) {
    const holds = other.state === 'approved' || other.state === 'pending'
    if (!holds || other.peerId === peer || nameKey(other.name) !== nameKey(name)) continue
    throw new NodeDaemonError('NAME_TAKEN', `another instance is called "${name}" already`, {
      advice: 'choose another with --name'
    })
  }
}

/** An admin approves the role that they read: a request does not get another one meanwhile. */
export const roleStays = ({ name, role }: Member): NodeDaemonError =>
  new NodeDaemonError('CONFLICT', `${name} asked to join as ${role} before, and cannot ask for another role now`, {
    advice: 'join with a new data folder, which has a key of its own'
  })

interface Asked {
  readonly peerId: PeerIdText
  readonly code: string
  readonly request: JoinRequest
  readonly address: string
  readonly at: number
}

/** (asks), left → pending; pending → pending with the newest texts, in the queue since it asked first. */
export function asked(before: Member | null, { peerId, code, request, address, at }: Asked): Member {
  if (before !== null && before.state !== 'pending' && before.state !== 'left') throw illegal(before, 'pending')
  return {
    peerId,
    code,
    name: checkedName(request.name),
    role: request.role,
    state: 'pending',
    contact: request.contact,
    site: request.site,
    message: request.message,
    labels: request.labels,
    capacityBytes: request.capacityBytes,
    services: request.services,
    version: request.version,
    address: address.slice(0, ADDRESS_MAX),
    reason: '',
    askedAt: before?.state === 'pending' ? before.askedAt : at,
    decidedAt: null,
    decidedBy: null,
    certificate: null
  }
}

interface Decided {
  readonly by: string
  readonly at: number
}

/** pending, denied, revoked → approved; approved → approved under another name. */
export function approved(before: Member, name: string, { by, at }: Decided): Member {
  if (before.state === 'left') throw illegal(before, 'approved', 'it left by itself: it may join again')
  return { ...before, name, state: 'approved', reason: '', decidedAt: at, decidedBy: by }
}

/** pending, denied → denied. */
export function denied(before: Member, reason: string, { by, at }: Decided): Member {
  if (before.state === 'approved') throw illegal(before, 'denied', 'revoke it instead')
  if (before.state !== 'pending' && before.state !== 'denied') throw illegal(before, 'denied')
  return { ...before, state: 'denied', reason, decidedAt: at, decidedBy: by }
}

/** approved, revoked → revoked. */
export function revoked(before: Member, reason: string, { by, at }: Decided): Member {
  if (before.state === 'pending') throw illegal(before, 'revoked', 'deny it instead')
  if (before.state !== 'approved' && before.state !== 'revoked') throw illegal(before, 'revoked')
  return { ...before, state: 'revoked', reason, decidedAt: at, decidedBy: by }
}

/** approved → left, by itself. */
export function left(before: Member, at: number): Member {
  if (before.state !== 'approved') throw illegal(before, 'left')
  return { ...before, state: 'left', reason: '', decidedAt: at, decidedBy: before.peerId }
}

/** The labels with the changes; null takes a label away. */
export function labelled(
  labels: Readonly<Record<string, string>>,
  changes: Readonly<Record<string, string | null>>
): Record<string, string> {
  const merged = new Map(Object.entries(labels))
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) merged.delete(key)
    else merged.set(key, value)
  }
  return checkedLabels(merged)
}

function illegal(member: Member, to: MemberState, advice?: string): NodeDaemonError {
  return new NodeDaemonError(
    'ILLEGAL_TRANSITION',
    `${member.name} is ${member.state} and cannot become ${to}`,
    advice === undefined ? {} : { advice }
  )
}

/** How a member is kept. */
export const memberSchema = z.object({
  peerId: z.custom<PeerIdText>((value) => typeof value === 'string' && isPeerIdText(value)),
  code: z.string(),
  name: z.string(),
  role: z.enum(MEMBER_ROLES).default('instance'),
  state: z.enum(MEMBER_STATES),
  contact: z.string(),
  site: z.string(),
  message: z.string(),
  labels: z.record(z.string(), z.string()),
  capacityBytes: z.number(),
  services: z.array(z.custom<ServiceName>((value) => typeof value === 'string' && isServiceName(value))),
  version: z.string(),
  address: z.string(),
  reason: z.string(),
  askedAt: z.number(),
  decidedAt: z.number().nullable(),
  decidedBy: z.string().nullable(),
  certificate: z.base64().nullable()
})

export const memberKey = (peer: PeerIdText): string => `member/${peer}`

export const memberDocument = (member: Member): z.infer<typeof memberSchema> => ({
  ...member,
  services: [...member.services],
  certificate: member.certificate === null ? null : Buffer.from(member.certificate).toString('base64')
})

export const memberOf = (document: z.infer<typeof memberSchema>): Member => ({
  ...document,
  certificate: document.certificate === null ? null : new Uint8Array(Buffer.from(document.certificate, 'base64'))
})
