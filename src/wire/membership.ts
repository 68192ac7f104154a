import { type ErrorCode, NodeDaemonError } from '../core/errors.ts'
import type { ServiceName } from '../core/ids.ts'
import { parse } from '../core/parse.ts'
import { type MemberRole, roleOf, roleText } from '../core/records.ts'
import { MembershipReply, MembershipRequest } from './generated/membership.ts'
import { type Protocol, unknownKind, type WireCodec, wireCodec } from './protocol.ts'

export const MEMBERSHIP_PROTOCOL: Protocol = {
  id: '/node-daemon/membership/1.0.0',
  maxFrameBytes: 4 * 1024 * 1024,
  maxStreams: 1,
  open: 'anyone'
}

/** Bounds of what a stranger says about itself, in characters unless the name says otherwise. */
export const JOIN_LIMITS = {
  requestBytesMax: 16 * 1024,
  nameMax: 63,
  contactMax: 200,
  siteMax: 200,
  messageMax: 1000,
  labelsMax: 32,
  labelMax: 63,
  servicesMax: 64,
  waitMsMax: 8000
} as const

/** What a volunteer tells the admin. */
export interface JoinRequest {
  readonly name: string
  readonly contact: string
  readonly site: string
  readonly message: string
  readonly labels: Readonly<Record<string, string>>
  readonly capacityBytes: number
  readonly services: readonly ServiceName[]
  readonly version: string
  /** The secret of an invite; empty without one. */
  readonly invite: string
  /** The address of the terms that the volunteer accepted; empty where there are none. */
  readonly acceptedTerms: string
  readonly role: MemberRole
}

export type ToMembership =
  | { readonly kind: 'describe' }
  | { readonly kind: 'join'; readonly join: JoinRequest }
  | { readonly kind: 'standing'; readonly waitMs: number }
  | { readonly kind: 'resign' }
  /** "This is what you signed for me": for a coordinator that does not know its members any more. */
  | { readonly kind: 'present'; readonly certificate: Uint8Array }

/** What a federation says of itself to anyone. */
export interface Description {
  readonly name: string
  /** An address to read, empty where there are no terms. */
  readonly terms: string
  readonly services: readonly string[]
  readonly version: string
  readonly clockMs: number
  /** See `REVISION`. */
  readonly revision: number
}

export const STANDINGS = ['unknown', 'pending', 'approved', 'denied', 'revoked', 'left'] as const
export type StandingState = (typeof STANDINGS)[number]

export interface Standing {
  readonly state: StandingState
  readonly name: string
  /** Why denied or revoked; empty otherwise. */
  readonly reason: string
  /** Signed; empty unless approved. */
  readonly certificate: Uint8Array
  readonly memberList: Uint8Array
  readonly clockMs: number
}

export type FromMembership =
  | { readonly kind: 'description'; readonly description: Description }
  | { readonly kind: 'standing'; readonly standing: Standing }
  | { readonly kind: 'failure'; readonly code: ErrorCode; readonly message: string }

const LABEL = /^[a-z0-9]([a-z0-9._/-]*[a-z0-9])?$/i

export function checkedLabels(map: ReadonlyMap<string, string>): Record<string, string> {
  if (map.size > JOIN_LIMITS.labelsMax) throw new NodeDaemonError('TOO_LARGE', 'too many labels')
  const checked: Record<string, string> = {}
  for (const [key, value] of map) {
    if (key.length > JOIN_LIMITS.labelMax || !LABEL.test(key)) throw new NodeDaemonError('BAD_REQUEST', 'a bad label')
    checked[key] = parse.line(value, JOIN_LIMITS.labelMax)
  }
  return checked
}

function decodeRequest(frame: Uint8Array): ToMembership {
  if (frame.byteLength > JOIN_LIMITS.requestBytesMax) throw new NodeDaemonError('TOO_LARGE', 'the request is too large')
  const raw = MembershipRequest.decode(frame)
  if (raw.describe !== undefined) return { kind: 'describe' }
  if (raw.resign !== undefined) return { kind: 'resign' }
  if (raw.present !== undefined) return { kind: 'present', certificate: raw.present.certificate }
  if (raw.standing !== undefined) {
    return { kind: 'standing', waitMs: Math.min(raw.standing.waitMs, JOIN_LIMITS.waitMsMax) }
  }
  if (raw.join === undefined) throw unknownKind()
  const { join } = raw
  return {
    kind: 'join',
    join: {
      name: parse.line(join.name, JOIN_LIMITS.nameMax),
      contact: parse.line(join.contact, JOIN_LIMITS.contactMax),
      site: parse.line(join.site, JOIN_LIMITS.siteMax),
      message: parse.line(join.message, JOIN_LIMITS.messageMax),
      labels: checkedLabels(join.labels),
      capacityBytes: join.capacityBytes,
      services: join.services.map(parse.service),
      version: parse.line(join.version, 40),
      invite: join.invite.slice(0, 200),
      acceptedTerms: parse.line(join.acceptedTerms, 500),
      role: roleOf(join.role)
    }
  }
}

export const membershipRequest: WireCodec<ToMembership> = wireCodec((message) => {
  switch (message.kind) {
    case 'describe':
      return MembershipRequest.encode({ describe: {} })
    case 'resign':
      return MembershipRequest.encode({ resign: {} })
    case 'present':
      return MembershipRequest.encode({ present: { certificate: new Uint8Array(message.certificate) } })
    case 'standing':
      return MembershipRequest.encode({ standing: { waitMs: message.waitMs } })
    case 'join':
      return MembershipRequest.encode({
        join: {
          ...message.join,
          labels: new Map(Object.entries(message.join.labels)),
          services: [...message.join.services],
          role: roleText(message.join.role)
        }
      })
  }
}, decodeRequest)

export const membershipReply: WireCodec<FromMembership> = wireCodec(
  (message) => {
    switch (message.kind) {
      case 'description':
        return MembershipReply.encode({
          description: { ...message.description, services: [...message.description.services] }
        })
      case 'standing':
        return MembershipReply.encode({
          standing: {
            ...message.standing,
            certificate: new Uint8Array(message.standing.certificate),
            memberList: new Uint8Array(message.standing.memberList)
          }
        })
      case 'failure':
        return MembershipReply.encode({ failure: { code: message.code, message: message.message } })
    }
  },
  (frame) => {
    const raw = MembershipReply.decode(frame)
    if (raw.failure !== undefined) {
      return {
        kind: 'failure',
        code: parse.errorCode(raw.failure.code),
        message: parse.line(raw.failure.message, 1000)
      }
    }
    if (raw.description !== undefined) {
      const { description } = raw
      return {
        kind: 'description',
        description: {
          ...description,
          name: parse.line(description.name, 100),
          terms: parse.line(description.terms, 500),
          services: description.services.map((service) => parse.line(service, 100))
        }
      }
    }
    if (raw.standing === undefined) throw unknownKind()
    return {
      kind: 'standing',
      standing: {
        ...raw.standing,
        state: parse.word(raw.standing.state, STANDINGS, 'standing'),
        name: parse.line(raw.standing.name, JOIN_LIMITS.nameMax),
        reason: parse.line(raw.standing.reason, 1000)
      }
    }
  }
)
