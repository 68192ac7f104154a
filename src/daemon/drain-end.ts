import type { DrainReport } from '../wire/control.ts'

export const isOver = ({ state }: DrainReport): boolean =>
  state === 'drained' || state === 'expired' || state === 'cancelled' || state === 'failed'

export const isUnderWay = ({ state }: DrainReport): boolean =>
  state === 'preparing' || state === 'draining' || state === 'stalled'

/** What a volunteer is told last. */
export const lastWord = ({ reason }: DrainReport): string =>
  reason === ''
    ? 'Drained: everything that this instance was home of is proven to be elsewhere.'
    : `Drained: ${reason}.`

/** The report of an instance that was never drained. */
export const NO_DRAIN: DrainReport = {
  state: 'serving',
  workspaces: { done: 0, total: 0 },
  bytes: { done: 0, total: 0 },
  etaMs: 0,
  reason: '',
  certificate: new Uint8Array(0),
  plan: [],
  waiting: [],
  unproven: [],
  exits: false,
  plannedAtMs: null
}

/** How the drain of an instance ends that was never home of anything. */
export const NOTHING_TO_DRAIN: DrainReport = { ...NO_DRAIN, state: 'drained', exits: true }

/** What an instance is told that an admin drained before it was connected again. */
export const STAYS_DRAINED: DrainReport = {
  ...NO_DRAIN,
  state: 'drained',
  reason: 'an admin drained this instance: it takes no workspaces until "node-daemon peers resume"'
}
