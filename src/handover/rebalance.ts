import { NodeDaemonError } from '../core/errors.ts'

/** Why a rebalance began: an instance joined, little is left on a disk, or an admin asked for it. */
export type RebalanceTrigger = 'joined' | 'disk' | 'asked'

interface Progress {
  readonly trigger: RebalanceTrigger
  /** Moves that are done, and that failed. */
  readonly moved: number
  readonly failed: number
}

/**
 * How the spreading of workspaces over the instances goes on.
 *
 *   idle ─▶ moving ⇄ waiting
 *    ▲         │         │
 *    └─────────┴─────────┘  nothing is left to move, or it was stopped
 */
export type Rebalance =
  | { readonly state: 'idle'; readonly last: (Progress & { readonly end: string }) | null }
  | ({ readonly state: 'moving' } & Progress)
  /** Something that comes first is under way, or all that is to be moved is in use. */
  | ({ readonly state: 'waiting'; readonly reason: string } & Progress)

export const AT_REST: Rebalance = { state: 'idle', last: null }

type UnderWay = Exclude<Rebalance, { readonly state: 'idle' }>

function underWay(from: Rebalance, to: string): UnderWay {
  if (from.state !== 'idle') return from
  throw new NodeDaemonError('ILLEGAL_TRANSITION', `a rebalance that is idle cannot be ${to}`)
}

const progressOf = ({ trigger, moved, failed }: UnderWay): Progress => ({ trigger, moved, failed })

/** idle → moving. */
export function beginRebalance(from: Rebalance, trigger: RebalanceTrigger): UnderWay {
  if (from.state !== 'idle') throw new NodeDaemonError('ILLEGAL_TRANSITION', 'a rebalance is under way already')
  return { state: 'moving', trigger, moved: 0, failed: 0 }
}

/** moving, waiting → waiting. */
export function holdRebalance(from: Rebalance, reason: string): UnderWay {
  return { state: 'waiting', reason, ...progressOf(underWay(from, 'waiting')) }
}

/** moving, waiting → moving. */
export function goOn(from: Rebalance): UnderWay {
  return { state: 'moving', ...progressOf(underWay(from, 'moving')) }
}

/** moving → moving, with one more move that is done, or failed. */
export function counted(from: Rebalance, succeeded: boolean): UnderWay {
  const before = underWay(from, 'moving')
  return {
    state: 'moving',
    trigger: before.trigger,
    moved: before.moved + Number(succeeded),
    failed: before.failed + Number(!succeeded)
  }
}

/** moving, waiting → idle. `end`: why it ended, for people. */
export function endRebalance(from: Rebalance, end: string): Rebalance {
  return { state: 'idle', last: { ...progressOf(underWay(from, 'ended')), end } }
}
