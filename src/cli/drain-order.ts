import type { DrainView } from '../console/views.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { onlyNow } from './command.ts'
import type { Context } from './context.ts'
import { clean } from './format.ts'
import { maybe, toggle, type ValuesOf, value } from './settings.ts'
import { timeAhead } from './times.ts'
import { duration, line } from './values.ts'

const TEN_MINUTES_MS = 600_000

/** What can be said about a drain, by whoever orders it. */
export const DRAIN_SETTINGS = {
  deadline: onlyNow(
    value('<time>', 'give up after this long, with a list of what is not handed over', duration, TEN_MINUTES_MS, '10m')
  ),
  at: onlyNow(maybe('<time>', 'not now, but then: 22:30, or 2026-01-31T12:00:00Z', line(64), 'now')),
  to: onlyNow(maybe('<peer>', 'hand everything to this instance', line(128), 'where there is room')),
  'to-repository': toggle('the main repository is enough; nobody serves the workspaces meanwhile', {
    flagOnly: true
  }),
  plan: toggle('show who would take what, and stop', { flagOnly: true }),
  cancel: toggle('cancel the drain that runs or is planned', { flagOnly: true }),
  detach: toggle('begin it, and do not wait for its end', { flagOnly: true })
}

type DrainValues = ValuesOf<typeof DRAIN_SETTINGS>

/** @throws NodeDaemonError `BAD_USAGE` what does not go together */
export function checkDrain(values: DrainValues): void {
  if (!values.cancel || !(values.plan || values.at !== null)) return
  const other = values.plan ? '--plan' : '--at'
  throw new NodeDaemonError('BAD_USAGE', `${other} and --cancel do not go together`, { advice: 'say one of them' })
}

/** What the API is asked for. */
export function drainOrder(context: Context, values: DrainValues): object {
  return {
    deadlineMs: values.deadline,
    ...(values.to === null ? {} : { to: values.to }),
    ...(values['to-repository'] ? { toRepository: true } : {}),
    ...(values.at === null ? {} : { at: new Date(timeAhead(values.at, context.clock.wall())).toISOString() })
  }
}

/** Says when a drain begins that was planned for later. */
export function showPlanned({ print }: Context, view: DrainView, cancel: string): void {
  print.machine(view)
  print.say(`The drain begins at ${clean(view.plannedAt)}. Until then it can be cancelled with: ${cancel}`)
}
