import { NodeDaemonError } from '../core/errors.ts'
import { parsePeerId } from '../core/identity.ts'
import { isPeerIdText, type PeerIdText } from '../core/ids.ts'
import { parse } from '../core/parse.ts'
import { formatMultiaddr, isLoopbackHost, isUnspecifiedHost, parseMultiaddr } from './addresses.ts'

/** Where a volunteer wants to join. `peer` is pinned: nobody else may answer. */
export type JoinTarget = WebTarget | MultiaddrTarget

export interface WebTarget {
  readonly kind: 'web'
  /** Scheme, host and port. */
  readonly url: URL
  /** The secret of an invite. */
  readonly invite: string | null
  readonly peer: PeerIdText | null
}

export interface MultiaddrTarget {
  readonly kind: 'multiaddr'
  /** With the PeerId at its end. */
  readonly address: string
  readonly peer: PeerIdText
  readonly invite: string | null
}

export const WELL_KNOWN_PATH = '/.well-known/node-daemon'
const TARGET_MAX = 2048
const SECRET = /^[A-Za-z0-9_-]{20,200}$/
const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i
const EXAMPLES =
  'give the coordinator’s web address (https://main.example.org), a multiaddr with its PeerId, or an invite link'

/**
 * Reads what the volunteer typed: a web address, with `https://` understood where no scheme is given (`http://` on the
 * machine itself); a multiaddr that ends in `/p2p/PEERID`; or an invite link of either form.
 *
 * @throws NodeDaemonError `BAD_USAGE`, with what is wrong and what to give instead
 */
export function parseTarget(text: string): JoinTarget {
  const typed = text.trim()
  if (typed === '' || typed.length > TARGET_MAX) throw wrong('this is no address')
  const hash = typed.indexOf('#')
  const place = hash === -1 ? typed : typed.slice(0, hash)
  const link = hash === -1 ? new URLSearchParams() : new URLSearchParams(typed.slice(hash + 1))
  const invite = inviteOf(link)
  if (place.startsWith('/')) return multiaddrTarget(place, invite)
  if (isPeerIdText(place)) throw wrong(`${place} is a PeerId: it does not say where the coordinator is`)
  const peer = link.get('peer')
  if (invite !== null && peer === null) throw wrong('the invite link is incomplete', 'copy the whole link')
  return { kind: 'web', url: webUrl(place), invite, peer: peer === null ? null : pinned(peer) }
}

/**
 * An invite as a link: the web address, where the coordinator has one, or else its multiaddr. What stands behind `#` is
 * never sent to a web server.
 */
export function inviteLink(
  secret: string,
  peer: PeerIdText,
  where: { readonly web: string } | { readonly address: string }
): string {
  if ('web' in where) return `${new URL(WELL_KNOWN_PATH, where.web).href}#invite=${secret}&peer=${peer}`
  const address = parseMultiaddr(where.address)
  if (address === null) throw new NodeDaemonError('BAD_REQUEST', `"${where.address}" is not an address for a link`)
  return `${formatMultiaddr({ ...address, peer })}#invite=${secret}`
}

/**
 * Over plain HTTP anybody on the way can name a key of their own. Without a terminal on which codes can be compared,
 * such a join needs a proof from elsewhere: a code, or the PeerId that invites and multiaddrs bring.
 *
 * @throws NodeDaemonError `CODE_REQUIRED`
 */
export function checkTrust(target: JoinTarget, given: { readonly code: boolean; readonly terminal: boolean }): void {
  if (target.kind === 'multiaddr' || isProven(target) || given.code || given.terminal) return
  throw new NodeDaemonError('CODE_REQUIRED', `${target.url.origin} is not encrypted: anybody could answer there`, {
    advice:
      'use https, or add --code with the code that the admin tells you, or join with an invite link or a multiaddr'
  })
}

/** Does the target itself, or the way to it, prove who answers there? */
export function isProven(target: JoinTarget): boolean {
  if (target.kind === 'multiaddr' || target.peer !== null) return true
  return target.url.protocol === 'https:' || isLoopbackHost(target.url.hostname)
}

function inviteOf(link: URLSearchParams): string | null {
  const secret = link.get('invite')
  if (secret === null || SECRET.test(secret)) return secret
  throw wrong('the secret of the invite link is damaged', 'copy the whole link')
}

function pinned(peer: string): PeerIdText {
  try {
    return parsePeerId(peer)
  } catch {
    throw wrong('the PeerId of the invite link is damaged', 'copy the whole link')
  }
}

function multiaddrTarget(text: string, invite: string | null): MultiaddrTarget {
  const address = parseMultiaddr(text)
  if (address === null)
    throw wrong(`"${parse.line(text, 200)}" is not a multiaddr such as /ip4/192.0.2.1/tcp/9470/p2p/…`)
  if (address.peer === null) {
    throw wrong('the multiaddr names no PeerId', 'copy the whole address from the coordinator, with /p2p/… at its end')
  }
  if (isUnspecifiedHost(address.host)) {
    throw wrong(`${address.host} means every address of a machine, not one to connect to`)
  }
  return { kind: 'multiaddr', address: formatMultiaddr(address), peer: address.peer, invite }
}

function webUrl(text: string): URL {
  const scheme = SCHEME.exec(text)?.[1]?.toLowerCase()
  if (scheme !== undefined && scheme !== 'https' && scheme !== 'http') throw wrong(`"${scheme}://" is not understood`)
  const url = parsedUrl(scheme === undefined ? `https://${text}` : text)
  if (url === null || url.hostname === '' || /\s/.test(text)) throw wrong(`"${parse.line(text, 200)}" is no address`)
  if (url.username !== '' || url.password !== '') throw wrong('an address with a user name or password is not taken')
  if (isUnspecifiedHost(url.hostname)) {
    throw wrong(`${url.hostname} means every address of a machine, not one to connect to`)
  }
  if (scheme === undefined && isLoopbackHost(url.hostname)) return new URL(new URL(`http://${text}`).origin)
  return new URL(url.origin)
}

function parsedUrl(text: string): URL | null {
  return URL.canParse(text) ? new URL(text) : null
}

const wrong = (what: string, advice: string = EXAMPLES): NodeDaemonError =>
  new NodeDaemonError('BAD_USAGE', what, { advice })
