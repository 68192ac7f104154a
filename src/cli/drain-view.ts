import type { DrainView } from '../console/views.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { bytes, clean, count, duration } from './format.ts'
import type { Printer } from './printer.ts'

type Progress = Pick<DrainView, 'state' | 'workspaces' | 'bytes' | 'etaMs' | 'reason'>

const FINAL = new Set<DrainView['state']>(['drained', 'expired', 'cancelled', 'failed', 'left'])
const UNPROVEN_SHOWN = 20

export const isFinal = (view: Pick<DrainView, 'state'>): boolean => FINAL.has(view.state)

/** How far a drain is, from 0 to 1: by bytes, and by workspaces where there are no bytes to move. */
export function drainShare(view: Progress): number {
  if (view.bytes.total > 0) return view.bytes.done / view.bytes.total
  if (view.workspaces.total > 0) return view.workspaces.done / view.workspaces.total
  return view.state === 'drained' ? 1 : 0
}

export function drainLine(view: Progress): string {
  const moved = `${view.workspaces.done} of ${count(view.workspaces.total, 'workspace', 'workspaces')}`
  const size = `${bytes(view.bytes.done)} of ${bytes(view.bytes.total)}`
  const rest = view.etaMs === null ? '' : `, about ${duration(view.etaMs)} left`
  const why = view.reason === null || view.reason === '' ? '' : ` (${clean(view.reason)})`
  return `${view.state}: ${moved}, ${size}${rest}${why}`
}

/** What is going on, and what is planned; null where neither is. */
export function drainFact(view: DrainView | null): string | null {
  if (view === null) return null
  const planned =
    view.plannedAt === null
      ? []
      : [
          `planned for ${clean(view.plannedAt)}${view.state === 'serving' && view.reason ? ` (${clean(view.reason)})` : ''}`
        ]
  return [...(view.state === 'serving' ? [] : [drainLine(view)]), ...planned].join('; ') || null
}

/** Shows a change of a drain. */
export function showDrain(print: Printer, view: DrainView): void {
  print.machine(view)
  if (!isFinal(view)) print.progress(drainShare(view), drainLine(view), view.state)
}

/** Who would take what. */
export function showPlan(print: Printer, view: DrainView): void {
  print.machine(view)
  print.table(
    [
      { title: 'WORKSPACE', of: (move) => move.workspace.slice(0, 12), fixed: true },
      { title: 'TO', of: (move) => (move.to === null ? 'the main repository' : move.toName) },
      { title: 'SIZE', of: (move) => bytes(move.bytes), right: true },
      { title: 'DONE AFTER', of: (move) => duration(move.etaMs), right: true },
      { title: '', of: (move) => (move.busy ? 'in use: waited for, and moved last' : '') }
    ],
    view.plan,
    'This instance is home of no workspace: it can go at once.'
  )
  print.say(
    `${count(view.workspaces.total, 'workspace', 'workspaces')}, ${bytes(view.bytes.total)}, about ${duration(view.etaMs)} in all. Nothing was changed.`
  )
}

/**
 * Shows how a drain ended.
 *
 * @throws REFUSED_BY_POLICY it could not finish, and nothing was changed
 * @throws INCOMPLETE it ended early; what is not proven elsewhere was printed
 */
export function showDrainEnd(print: Printer, view: DrainView): void {
  const why = view.reason === null || view.reason === '' ? '' : ` ${clean(view.reason)}`
  const left = count(view.unproven.length, 'workspace is', 'workspaces are')
  switch (view.state) {
    case 'drained':
    case 'left':
      print.say(print.styled('green', `Done: ${why.trim() || 'every head stands elsewhere, with a receipt'}.`))
      if (typeof view.certificate === 'string') print.say(`The proof: ${clean(view.certificate)}`)
      return
    case 'failed':
      throw new NodeDaemonError('REFUSED_BY_POLICY', `the drain cannot finish:${why || ' no reason was given'}`, {
        advice: 'approve another instance, give more time with --deadline, or use --to-repository'
      })
    default: {
      const ended = view.state === 'expired' && view.exits
      for (const workspace of view.unproven.slice(0, UNPROVEN_SHOWN))
        print.note(`not proven elsewhere: ${clean(workspace)}`)
      throw new NodeDaemonError(
        'INCOMPLETE',
        `the drain was ${view.state === 'expired' ? 'not done in time' : view.state}: ${left} not yet proven elsewhere.${why}`,
        {
          advice:
            view.unproven.length > UNPROVEN_SHOWN
              ? 'see all of them with --json; then run it again'
              : ended
                ? 'the instance has ended; start it again with: node-daemon join'
                : 'run it again, with more time by --deadline'
        }
      )
    }
  }
}
