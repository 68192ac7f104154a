import type { MemberChange } from '../membership/registry.ts'
import type { UserSessions } from '../membership/user-sessions.ts'
import type { CookieKeyRing } from './cookie-keys.ts'

/** Was this a front door until now? It has the keys of users' cookies. */
export const isFormerDoor = ({ member, before }: MemberChange): boolean =>
  before?.state === 'approved' && before.role === 'front-door' && member.state !== 'approved'

/**
 * The keys that a former front door has count no more: a new one signs from now on. Named users sign in again. Guests
 * have nothing but their cookie: those of before are renewed for a day.
 */
export async function endTrust(
  keys: Pick<CookieKeyRing, 'replace'>,
  sessions: Pick<UserSessions, 'endAll'>
): Promise<void> {
  await keys.replace()
  await sessions.endAll()
}
