import type { AuditEntry } from '../membership/audit.ts'

type Details = AuditEntry['details']

const many = (count: unknown, one: string, more: string): string => (count === 1 ? `1 ${one}` : `${count} ${more}`)
const seconds = (ms: unknown): string => `${Math.round(Number(ms) / 1000)} s`

function takenOver({ workspaces, held }: Details): string {
  if (workspaces === 0) return 'it was home of nothing'
  const what = many(workspaces, 'workspace', 'workspaces')
  return held === undefined ? `others take over its ${what}` : `its ${what} wait: ${held}`
}

const came = ({ after, awayMs }: Details): string => {
  const away = awayMs === undefined ? '' : `, after ${seconds(awayMs)}`
  return after === 'restart' ? `is back as it said${away}` : `is back${away}; it had been given up`
}

const WORDS: Readonly<Record<string, (whom: string, details: Details) => string>> = {
  'peer.approve': (whom) => `${whom} is a member now`,
  'peer.deny': (whom) => `${whom} was refused`,
  'peer.revoke': (whom) => `${whom} was shut out`,
  'peer.left': (whom) => `${whom} gave up its membership`,
  'peer.stopping.restart': (whom) => `${whom} stops, to be back soon: its workspaces wait for it`,
  'peer.stopping.flush': (whom) => `${whom} saved everything and stops`,
  'peer.stopping.leave': (whom) => `${whom} has handed over everything and leaves`,
  'peer.back': (whom, details) => `${whom} ${came(details)}`,
  'peer.restart-overdue': (whom, details) => `${whom} did not come back in time: ${takenOver(details)}`,
  'peer.dead': (whom, details) => `${whom} went silent without a word: ${takenOver(details)}`,
  'peer.taken-over': (whom, details) => `${whom} does not come back: ${takenOver(details)}`,
  'workspace.rm': (_, { service, owner, why }) =>
    `the workspace of ${String(owner)} in ${String(service)} is removed: ${String(why)}`,
  'brake.engaged': (_, { missing, known }) =>
    `${missing} of ${known} instances vanished at once: nothing is promoted until they are back, or an admin confirms`,
  'brake.released': () => 'enough instances are back: what is still missing is given up',
  'failover.confirm': (_, { causes }) => `promotions go on, whatever held them (${String(causes)})`,
  'rebalance.begin': (_, { trigger }) => `idle workspaces are spread over the instances (${trigger})`,
  'rebalance.end': (_, { moved, failed, end }) =>
    `${many(moved, 'move', 'moves')} done, ${failed} failed; ended, since ${end}`
}

/** What an entry tells, for people; empty where its action says it all. `whom`: the name of the target. */
export const auditWords = ({ action, details }: Pick<AuditEntry, 'action' | 'details'>, whom: string): string =>
  Object.hasOwn(WORDS, action) ? (WORDS[action]?.(whom, details) ?? '') : ''
