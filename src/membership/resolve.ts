import { NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import { parse } from '../core/parse.ts'
import { type Member, nameKey } from './member.ts'

const NAMED_MAX = 5

/**
 * The one peer that a text means: its PeerId, its name, or the start of its PeerId. Of several with one name, the one
 * that is a member or waits to be one.
 *
 * @throws NodeDaemonError `NOT_FOUND`, `AMBIGUOUS`
 */
export function resolveMember(members: Iterable<Member>, text: string): PeerIdText {
  const all = [...members]
  const exact = all.find(({ peerId }) => peerId === text)
  if (exact !== undefined) return exact.peerId
  const named = all.filter(({ name }) => nameKey(name) === nameKey(text))
  const live = named.filter(({ state }) => state === 'approved' || state === 'pending')
  const started = text === '' ? [] : all.filter(({ peerId }) => peerId.startsWith(text))
  const found = [live, named, started].find((candidates) => candidates.length > 0) ?? []
  const [only, ...others] = found
  if (only === undefined) {
    throw new NodeDaemonError('NOT_FOUND', `there is no peer "${parse.line(text, 80)}"`, {
      advice: '"node-daemon peers ls" lists those that there are'
    })
  }
  if (others.length === 0) return only.peerId
  const list = found.slice(0, NAMED_MAX).map(({ peerId, name, state }) => `${name} (${state}) ${peerId}`)
  throw new NodeDaemonError('AMBIGUOUS', `"${parse.line(text, 80)}" may mean ${list.join(', or ')}`, {
    advice: 'give the whole PeerId'
  })
}
