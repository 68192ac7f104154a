import type { IncomingMessage } from 'node:http'
import { withoutSession } from '../../wire/cookies.ts'
import { connectionNames, type RawHeaders } from '../../wire/http.ts'
import { isOurs } from '../headers.ts'

/** They belong to the request as it came. */
const STAY: ReadonlySet<string> = new Set(['content-length', 'expect'])
const FORWARDED: ReadonlySet<string> = new Set(['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host'])

/**
 * Gives a request the header lines of a front door, in place of whatever its sender said under names of ours.
 *
 * @param options `forwarded`: what the sender says of where the request comes from stays, since the sender is a front door
 */
export function dress(
  request: Pick<IncomingMessage, 'headers' | 'rawHeaders'>,
  lines: RawHeaders,
  options: { readonly forwarded: boolean }
): void {
  const { headers, rawHeaders } = request
  const named = connectionNames(headers.connection)
  const goes = (name: string): boolean =>
    named?.has(name) === true
      ? name !== 'upgrade'
      : isOurs(name) && !STAY.has(name) && !(options.forwarded && FORWARDED.has(name))
  const kept: string[] = []
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    const value = rawHeaders[index + 1] ?? ''
    const lower = name.toLowerCase()
    if (lower === 'cookie') {
      const rest = withoutSession(value)
      if (rest !== null) kept.push(name, rest)
    } else if (!goes(lower)) kept.push(name, value)
  }
  for (const name of Object.keys(headers)) if (goes(name)) delete headers[name]
  if (headers.cookie !== undefined) {
    const rest = withoutSession(headers.cookie)
    if (rest === null) delete headers.cookie
    else headers.cookie = rest
  }
  for (let index = 0; index + 1 < lines.length; index += 2) {
    const name = lines[index] ?? ''
    const value = lines[index + 1] ?? ''
    kept.push(name, value)
    headers[name] = value
  }
  request.rawHeaders = kept
}

/** Does a client say more than once which host it means? */
export function hasOneHost(rawHeaders: RawHeaders): boolean {
  let hosts = 0
  for (let index = 0; index < rawHeaders.length; index += 2) if (rawHeaders[index]?.toLowerCase() === 'host') hosts += 1
  return hosts === 1
}

const BOUND_PREFIXES: readonly string[] = ['x-node-daemon-', 'x-workspace-', 'x-remote-']

/** Parts the lines for an instance: those that say whose the request is, and all others. */
export function partLines(lines: RawHeaders): { readonly bound: string[]; readonly others: string[] } {
  const bound: string[] = []
  const others: string[] = []
  for (let index = 0; index + 1 < lines.length; index += 2) {
    const name = lines[index] ?? ''
    const isBound = name === 'x-forwarded-prefix' || BOUND_PREFIXES.some((prefix) => name.startsWith(prefix))
    const to = isBound ? bound : others
    to.push(name, lines[index + 1] ?? '')
  }
  return { bound, others }
}
