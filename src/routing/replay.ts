import { isRead, type RawHeaders } from '../wire/http.ts'

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

/** A request that killed its home this often is not sent to one more. */
const MAX_SENT = 3
const FIRST_PAUSE_MS = 50
const MAX_PAUSE_MS = 1_000

export interface LostRequest {
  readonly method: string
  readonly raw: RawHeaders
  readonly body: BodyState
  /** How often an instance may have executed it, this time included. */
  readonly timesSent: number
}

/**
 * What becomes of a request whose home was lost: sent again at once, or once its workspace has another place, or answered
 * as lost. Nothing is executed twice that must not be.
 *
 * @param loss `sent`: the instance may have executed it; `reused`: it went into a stream that had been idle
 */
export function afterLoss(
  { method, raw, body, timesSent }: LostRequest,
  loss: { readonly sent: boolean; readonly reused: boolean }
): 'again' | 'wait' | 'answer' {
  const mayGoOn = loss.sent ? timesSent < MAX_SENT && mayRepeat(method, raw, body) : maySendElsewhere(body)
  if (!mayGoOn) return 'answer'
  return loss.sent && loss.reused && timesSent === 1 ? 'again' : 'wait'
}

/** How long a lost request waits for another place before it is tried at the same one, after so many such waits. */
export const pauseMs = (before: number): number => Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** before)
