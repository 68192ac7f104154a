import { NodeDaemonError } from '../core/errors.ts'
import { isUserId, type UserId } from '../core/ids.ts'
import { parse } from '../core/parse.ts'

export const ROUTE_KINDS = ['tunnel', 'direct', 'redirect'] as const
/**
 * How users' requests reach an instance. `tunnel`: on streams of its own connection. `direct`: the front door connects to its
 * address. `redirect`: browsers and programs are sent there with their reads.
 */
export type RouteKind = (typeof ROUTE_KINDS)[number]

/** What an instance offers besides the tunnel. */
export interface RouteOffer {
  readonly kind: RouteKind
  /** Where its ingress answers: scheme, host and port. */
  readonly url: string
}

/** What the coordinator tells an instance about requests that do not come through the tunnel. */
export interface IngressNews {
  /** The route that is in use. */
  readonly route: RouteKind
  /** 16 hexadecimal digits. The times of tickets count from when it arrives. */
  readonly key: string
  /** 32 bytes: tickets are signed with it. */
  readonly secret: Uint8Array
  /** The address to which users are sent back; empty where there is none. */
  readonly frontDoor: string
  /** Earlier keys count no more, and no session that began with one. */
  readonly alone: boolean
  /** Nothing that this user was let in to before counts any more, and that is all that is said; null: of no user. */
  readonly user: UserId | null
}

export const INGRESS_LIMITS = { urlMax: 300, secretBytes: 32 } as const

const KEY_ID = /^[0-9a-f]{16}$/

/** Scheme, host and port of a web address that has nothing else; null where it is no such address. */
export function originOf(text: string): string | null {
  const url = text.length > INGRESS_LIMITS.urlMax ? null : URL.parse(text)
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.hostname === '') return null
  const isBare =
    url.pathname === '/' && url.search === '' && url.hash === '' && url.username === '' && url.password === ''
  return isBare && !text.endsWith('?') && !text.endsWith('#') ? url.origin : null
}

/** @throws NodeDaemonError `BAD_REQUEST` */
export function decodeOffer(kind: string, url: string): RouteOffer | null {
  if (kind === '') return null
  const origin = originOf(url)
  if (origin === null) throw new NodeDaemonError('BAD_REQUEST', 'the address of an ingress is none')
  return { kind: parse.word(kind, ROUTE_KINDS, 'route'), url: origin }
}

interface RawIngress {
  readonly route: string
  readonly key: string
  readonly secret: Uint8Array
  readonly frontDoor: string
  readonly alone: boolean
  readonly user: string
}

export function decodeIngress(raw: RawIngress): IngressNews {
  const { secretBytes } = INGRESS_LIMITS
  if (!KEY_ID.test(raw.key) || raw.secret.length !== secretBytes) {
    throw new NodeDaemonError('BAD_REQUEST', 'a ticket key is none')
  }
  const frontDoor = raw.frontDoor === '' ? '' : originOf(raw.frontDoor)
  if (frontDoor === null) throw new NodeDaemonError('BAD_REQUEST', 'the address of the front door is none')
  if (raw.user !== '' && !isUserId(raw.user)) throw new NodeDaemonError('BAD_REQUEST', 'a user is none')
  const user = raw.user === '' ? null : raw.user
  return { ...raw, user, route: parse.word(raw.route, ROUTE_KINDS, 'route'), frontDoor }
}

export const encodeIngress = ({ secret, user, ...news }: IngressNews) => ({
  ...news,
  secret: secret as Uint8Array<ArrayBuffer>,
  user: user ?? ''
})
