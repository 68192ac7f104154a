import type { RawHeaders } from './headers.ts'

/** Methods that change nothing. */
const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PROPFIND'])

export const isRead = (method: string): boolean => READS.has(method)

/** What the front door has of a request's body. */
export type BodyState = 'none' | 'kept' | 'unread' | 'passed-on'

/** Does the outcome of the request depend on what was there before? Then running it twice differs from once. */
export function hasPrecondition(raw: RawHeaders): boolean {
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index]?.toLowerCase() ?? ''
    if (name === 'if' || name.startsWith('if-') || name === 'content-range') return true
  }
  return false
}

/** May a request be sent again that an instance has perhaps executed? Its body must still be whole. */
export function mayRepeat(method: string, raw: RawHeaders, body: BodyState): boolean {
  if (body === 'passed-on') return false
  if (isRead(method)) return true
  return method === 'PUT' && body !== 'unread' && !hasPrecondition(raw)
}

/** May a request be sent elsewhere that was certainly not executed? */
export const maySendElsewhere = (body: BodyState): boolean => body !== 'passed-on'
