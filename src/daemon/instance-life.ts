import type { InstanceStatusView } from '../console/views.ts'
import { NodeDaemonError } from '../core/errors.ts'

export type LifeState = InstanceStatusView['state']

const ARROWS: Readonly<Record<LifeState, readonly LifeState[]>> = {
  joining: ['pending', 'approved', 'denied', 'revoked', 'stopped', 'unreachable'],
  pending: ['approved', 'denied', 'revoked', 'stopped', 'unreachable'],
  approved: ['serving', 'unreachable', 'denied', 'revoked', 'stopped'],
  serving: ['draining', 'unreachable', 'denied', 'revoked', 'stopped', 'drained'],
  unreachable: ['joining', 'pending', 'approved', 'serving', 'draining', 'denied', 'revoked', 'stopped'],
  draining: ['serving', 'drained', 'unreachable', 'denied', 'revoked', 'stopped'],
  drained: ['serving', 'stopped', 'unreachable', 'denied', 'revoked'],
  stopped: [],
  denied: ['stopped'],
  revoked: ['stopped']
}

/**
 * The life of an instance's daemon.
 *
 *   joining ─▶ pending ─▶ approved ─▶ serving ⇄ draining ─▶ drained ─▶ stopped
 *      └────────┴───────────┴───────────┴── unreachable, denied, revoked
 */
export function next(from: LifeState, to: LifeState): LifeState {
  if (from === to || ARROWS[from].includes(to)) return to
  throw new NodeDaemonError('ILLEGAL_TRANSITION', `an instance that is ${from} cannot become ${to}`)
}
