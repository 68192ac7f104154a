import type { RebalanceView } from '../../console/views.ts'
import { sleep } from '../../core/clock.ts'
import { NodeDaemonError } from '../../core/errors.ts'
import { API_SETTINGS, command } from '../command.ts'
import { adminApi, type Context } from '../context.ts'
import { bytes, clean, count } from '../format.ts'
import type { Api } from '../local-client.ts'
import type { Printer } from '../printer.ts'
import type { ExitCode } from '../report-error.ts'
import { toggle } from '../settings.ts'

const LOOK_EVERY_MS = 1000

function showPlan(print: Printer, { plan }: RebalanceView): void {
  print.table(
    [
      { title: 'WORKSPACE', of: (move) => move.workspace.slice(0, 12), fixed: true },
      { title: 'ROLE', of: (move) => move.role, fixed: true },
      { title: 'FROM', of: (move) => move.fromName },
      { title: 'TO', of: (move) => move.toName },
      { title: 'TO COPY', of: (move) => bytes(move.bytes), right: true },
      { title: 'WHY', of: (move) => (move.reason === 'disk' ? 'little is left on the disk' : 'to even the load') }
    ],
    plan,
    'Nothing is to be moved: the load is even, and no disk is nearly full.'
  )
  if (plan.length > 0) {
    print.say(`${count(plan.length, 'move', 'moves')}, each when its workspace is idle. Nothing was changed.`)
  }
}

function progressLine({ state, moved, failed, reason }: RebalanceView): string {
  const done = `${count(moved, 'workspace', 'workspaces')} moved${failed === 0 ? '' : `, ${failed} failed`}`
  return state === 'waiting' ? `${done}; waiting: ${clean(reason ?? '')}` : done
}

/** Looks on until it has ended. Ctrl-C ends the looking on only. */
async function follow(context: Context, api: Api, first: RebalanceView): Promise<ExitCode> {
  const { print, clock, terminal } = context
  const detached = new AbortController()
  const stopListening = terminal.onSignal(() => detached.abort())
  try {
    let before = ''
    for (let view = first; ; view = await api.get<RebalanceView>('/rebalance')) {
      const line = progressLine(view)
      if (line !== before || view.state === 'idle') print.machine(view)
      if (view.state === 'idle') return ended(print, view)
      if (line !== before) print.say(`${line} …`)
      before = line
      await sleep(clock, LOOK_EVERY_MS, detached.signal)
    }
  } catch (error) {
    if (!detached.signal.aborted) throw error
    print.note('It goes on by itself; look again with: node-daemon rebalance   or end it with: --stop')
    return 130
  } finally {
    stopListening()
  }
}

function ended(print: Printer, view: RebalanceView): 0 {
  const line = `${progressLine(view)}: ${clean(view.reason ?? '')}`
  if (view.failed > 0) {
    throw new NodeDaemonError('INCOMPLETE', line, { advice: 'see why in the log of the coordinator, and run it again' })
  }
  print.say(`${line.charAt(0).toUpperCase()}${line.slice(1)}.`)
  return 0
}

export const rebalanceCommand = command({
  name: 'rebalance',
  about: 'spread idle workspaces over the instances that there are now, slowly',
  settings: {
    ...API_SETTINGS,
    plan: toggle('show what would move, and stop', { flagOnly: true }),
    stop: toggle('end the one that is under way', { flagOnly: true }),
    detach: toggle('begin it, and do not wait for its end', { flagOnly: true })
  },
  examples: ['node-daemon rebalance --plan', 'node-daemon rebalance', 'node-daemon rebalance --stop'],
  exits: {
    0: 'nothing is left to move, or it was stopped',
    4: true,
    5: true,
    6: 'some workspaces were not moved',
    130: 'Ctrl-C: it goes on by itself'
  },
  async run(context, values) {
    const { print } = context
    const api = adminApi(context, values)
    if (values.stop) {
      const stopped = await api.send<RebalanceView>('POST', '/rebalance/stop')
      print.machine(stopped)
      print.say('No more moves are begun; what is under way comes to its end.')
      return 0
    }
    const view = await api.send<RebalanceView>('POST', '/rebalance', values.plan ? { plan: true } : {})
    if (values.plan) {
      print.machine(view)
      showPlan(print, view)
      return 0
    }
    if (!values.detach) return follow(context, api, view)
    print.machine(view)
    print.say('It has begun; look again with: node-daemon rebalance')
    return 0
  }
})
