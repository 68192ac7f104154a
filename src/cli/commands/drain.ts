import type { DrainView } from '../../console/views.ts'
import { NodeDaemonError } from '../../core/errors.ts'
import { command, onlyNow } from '../command.ts'
import { type Context, localApi } from '../context.ts'
import { drainLine, showPlan } from '../drain-view.ts'
import { followDrain } from '../follow-drain.ts'
import type { Api } from '../local-client.ts'
import { maybe, toggle, value } from '../settings.ts'
import { duration, line } from '../values.ts'

const TEN_MINUTES_MS = 600_000

async function plan({ print }: Context, api: Api, order: object): Promise<0 | 4> {
  for await (const view of api.stream<DrainView>('/drain', { ...order, plan: true })) {
    if (view.state === 'failed') {
      throw new NodeDaemonError('REFUSED_BY_POLICY', view.reason ?? 'the drain cannot finish', {
        advice: 'approve another instance, give more time with --deadline, or use --to-repository'
      })
    }
    showPlan(print, view)
    return 0
  }
  throw new NodeDaemonError('OUT_OF_REACH', 'the daemon gave no plan', { advice: 'see: node-daemon status' })
}

async function cancel({ print }: Context, api: Api): Promise<0> {
  const view = await api.send<DrainView>('POST', '/drain/cancel')
  print.machine(view)
  print.say(`The drain is cancelled; this instance serves on. It was ${drainLine(view)}.`)
  return 0
}

export const drainCommand = command({
  name: 'drain',
  about: 'hand over everything this instance is home of, then exit; users notice nothing',
  settings: {
    deadline: onlyNow(
      value(
        '<time>',
        'give up after this long, with a list of what is not handed over',
        duration,
        TEN_MINUTES_MS,
        '10m'
      )
    ),
    to: onlyNow(maybe('<peer>', 'hand everything to this instance', line(128), 'where there is room')),
    'to-repository': toggle('the main repository is enough; nobody serves the workspaces meanwhile', {
      flagOnly: true
    }),
    keep: onlyNow(maybe('<time>', 'how long the files stay on this disk', duration, 'as join said, 7d')),
    plan: toggle('show who would take what, and stop', { flagOnly: true }),
    cancel: toggle('cancel the drain that runs', { flagOnly: true }),
    detach: toggle('begin it, and do not wait for its end', { flagOnly: true })
  },
  examples: ['node-daemon drain --plan', 'node-daemon drain --deadline 30m'],
  exits: {
    0: 'drained: every head has a verified receipt',
    3: 'no such instance to hand it to, or several are called like this',
    4: 'refused: it cannot finish',
    5: true,
    6: 'out of time or cancelled: the list of what is not proven elsewhere is printed',
    130: 'Ctrl-C: the drain goes on by itself'
  },
  async run(context, values) {
    if (values.plan && values.cancel) {
      throw new NodeDaemonError('BAD_USAGE', '--plan and --cancel do not go together', { advice: 'say one of them' })
    }
    const api = localApi(context, 'instance')
    if (values.cancel) return await cancel(context, api)
    const order = {
      deadlineMs: values.deadline,
      ...(values.to === null ? {} : { to: values.to }),
      ...(values['to-repository'] ? { toRepository: true } : {}),
      ...(values.keep === null ? {} : { keepMs: values.keep })
    }
    if (values.plan) return await plan(context, api, order)
    return await followDrain(context, (signal) => api.stream<DrainView>('/drain', order, signal), {
      stopAfterFirst: values.detach,
      lookAgain: 'node-daemon drain'
    })
  }
})
