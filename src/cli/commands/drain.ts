import type { DrainView } from '../../console/views.ts'
import { NodeDaemonError } from '../../core/errors.ts'
import { command, onlyNow } from '../command.ts'
import { type Context, localApi } from '../context.ts'
import { checkDrain, DRAIN_SETTINGS, drainOrder, showPlanned } from '../drain-order.ts'
import { drainLine, showPlan } from '../drain-view.ts'
import { followDrain } from '../follow-drain.ts'
import type { Api } from '../local-client.ts'
import { maybe } from '../settings.ts'
import { duration } from '../values.ts'

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

async function planLater(context: Context, api: Api, order: object): Promise<0> {
  for await (const view of api.stream<DrainView>('/drain', order)) {
    showPlanned(context, view, 'node-daemon drain --cancel')
    return 0
  }
  throw new NodeDaemonError('OUT_OF_REACH', 'the daemon did not plan it', { advice: 'see: node-daemon status' })
}

async function cancel({ print }: Context, api: Api): Promise<0> {
  const view = await api.send<DrainView>('POST', '/drain/cancel')
  print.machine(view)
  const was = view.state === 'cancelled' ? ` It was ${drainLine(view)}.` : ''
  print.say(`The drain is cancelled; this instance serves on.${was}`)
  return 0
}

export const drainCommand = command({
  name: 'drain',
  about: 'hand over everything this instance is home of, then exit; users notice nothing',
  settings: {
    ...DRAIN_SETTINGS,
    keep: onlyNow(maybe('<time>', 'how long the files stay on this disk', duration, 'as join said, 7d'))
  },
  examples: ['node-daemon drain --plan', 'node-daemon drain --deadline 30m', 'node-daemon drain --at 22:30'],
  exits: {
    0: 'drained: every head has a verified receipt',
    3: 'no such instance to hand it to, or several are called like this',
    4: 'refused: it cannot finish',
    5: true,
    6: 'out of time or cancelled: the list of what is not proven elsewhere is printed',
    130: 'Ctrl-C: the drain goes on by itself'
  },
  async run(context, values) {
    checkDrain(values)
    const api = localApi(context, 'instance')
    if (values.cancel) return await cancel(context, api)
    const order = {
      ...drainOrder(context, values),
      ...(values.keep === null ? {} : { keepMs: values.keep })
    }
    if (values.plan) return await plan(context, api, order)
    if (values.at !== null) return await planLater(context, api, order)
    return await followDrain(context, (signal) => api.stream<DrainView>('/drain', order, signal), {
      stopAfterFirst: values.detach,
      lookAgain: 'node-daemon drain'
    })
  }
})
