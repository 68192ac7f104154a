import type { DrainReport } from '../wire/control.ts'

export const isOver = ({ state }: DrainReport): boolean =>
  state === 'drained' || state === 'expired' || state === 'cancelled' || state === 'failed'

/** What a volunteer is told last. */
export const lastWord = ({ reason }: DrainReport): string =>
  reason === ''
    ? 'Drained: everything that this instance was home of is proven to be elsewhere.'
    : `Drained: ${reason}.`

/** How the drain of an instance ends that was never home of anything. */
export const NOTHING_TO_DRAIN: DrainReport = {
  state: 'drained',
  workspaces: { done: 0, total: 0 },
  bytes: { done: 0, total: 0 },
  etaMs: 0,
  reason: '',
  certificate: new Uint8Array(0),
  plan: [],
  unproven: []
}
