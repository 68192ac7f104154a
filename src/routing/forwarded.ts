import { isIP } from 'node:net'

/** What one proxy says about the request that it passed on. */
export interface Hop {
  /** The address that it got the request from; null where it hides that or says none. */
  readonly from: string | null
  readonly scheme: string | null
  readonly host: string | null
}

/**
 * The hops of a Forwarded header (RFC 7239), those of the nearest proxy last. Null where it is malformed: then nothing in
 * it says who wrote what.
 */
export function parseForwarded(header: string): Hop[] | null {
  const hops: Hop[] = []
  let hop = new Map<string, string>()
  PAIR.lastIndex = 0
  for (;;) {
    const [whole, name, token, quoted, end] = PAIR.exec(header) ?? []
    if (whole === undefined) return null
    if (name !== undefined) {
      const known = name.toLowerCase()
      if (hop.has(known)) return null
      hop.set(known, token ?? (quoted ?? '').replaceAll(/\\(.)/g, '$1'))
    }
    if (end === ';') continue
    if (hop.size > 0) hops.push(hopOf(hop))
    if (end === '') return hops
    hop = new Map()
  }
}

/** A pair `name=token` or `name="text"`, or nothing, up to `;`, `,` or the end. */
const PAIR =
  /(?:[ \t]*([!#$%&'*+.^_`|~\w-]+)=(?:([!#$%&'*+.^_`|~\w:[\]-]+)|"((?:[\t\x20\x21\x23-\x5b\x5d-\xff]|\\[\t\x20-\xff])*)"))?[ \t]*([;,]|$)/y

const hopOf = (pairs: ReadonlyMap<string, string>): Hop => ({
  from: addressOf(pairs.get('for') ?? ''),
  scheme: pairs.get('proto')?.toLowerCase() ?? null,
  host: pairs.get('host') ?? null
})

/** The hops of an X-Forwarded-For header, those of the nearest proxy last. */
export function parseForwardedFor(header: string): Hop[] {
  return header.split(',').map((text) => ({ from: addressOf(text.trim()), scheme: null, host: null }))
}

/** An address as proxies write it, without its port and brackets. Null where it is none. */
export function addressOf(text: string): string | null {
  const [, bracketed] = /^\[([0-9a-f:.]{2,45})\](?::\d{1,5})?$/i.exec(text) ?? []
  if (bracketed !== undefined) return isIP(bracketed) === 6 ? plainAddress(bracketed) : null
  const [, withPort] = /^([\d.]{7,15}):\d{1,5}$/.exec(text) ?? []
  const bare = withPort ?? text
  return /^[0-9a-f:.]{2,45}$/i.test(bare) && isIP(bare) !== 0 ? plainAddress(bare) : null
}

/** One spelling for each address; one of IPv4 that came in through an IPv6 socket is one of IPv4. */
export function plainAddress(address: string): string {
  const lower = address.toLowerCase()
  return lower.startsWith('::ffff:') && isIP(lower.slice(7)) === 4 ? lower.slice(7) : lower
}
