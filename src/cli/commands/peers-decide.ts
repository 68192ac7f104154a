import type { DrainView, PeerDetailView, PeerView } from '../../console/views.ts'
import { sleep } from '../../core/clock.ts'
import { NodeDaemonError } from '../../core/errors.ts'
import { API_SETTINGS, command, onlyNow, YES } from '../command.ts'
import { adminApi, type Context, sure } from '../context.ts'
import { checkDrain, DRAIN_SETTINGS, drainOrder, showPlanned } from '../drain-order.ts'
import { isFinal, showPlan } from '../drain-view.ts'
import { followDrain } from '../follow-drain.ts'
import { clean, count, labels } from '../format.ts'
import type { Api } from '../local-client.ts'
import { maybe, value } from '../settings.ts'
import { labelChange, line, pairs } from '../values.ts'

const EXITS = { 3: 'no such peer, or several are called like this', 4: true, 5: true } as const
const LOOK_EVERY_MS = 500

const pathOf = (peer: string, act = ''): string => `/peers/${encodeURIComponent(peer)}${act}`
const found = (api: Api, peer: string): Promise<PeerDetailView> => api.get<PeerDetailView>(pathOf(peer))

/** The code that the admin stands behind: given, or shown here and compared by eye. */
async function comparedCode(context: Context, peer: PeerView, code: string | null): Promise<string> {
  if (code !== null) return code
  if (!context.terminal.inIsTty) {
    throw new NodeDaemonError(
      'CODE_REQUIRED',
      `the code of ${peer.name} must be compared, and nobody can be asked here`,
      {
        advice: 'ask the volunteer for the code on their screen and say it with --code CODE'
      }
    )
  }
  context.print.say(
    `${clean(peer.name)}  ${clean(peer.contact)}  ${clean(peer.site)}  ${clean(peer.message)}`.trimEnd()
  )
  await sure(context, `Does the volunteer's screen show the code ${clean(peer.code)}?`, false)
  return peer.code
}

export const approve = command({
  name: 'approve',
  takes: ['<peer>'],
  about: 'let an instance in, once its code is the same on both screens',
  settings: {
    ...API_SETTINGS,
    code: onlyNow(maybe('<code>', "the code on the volunteer's screen: checked instead of asking", line(100))),
    name: onlyNow(maybe('<name>', 'call it so from now on', line(63), 'the name it asked for'))
  },
  examples: ['node-daemon peers approve alpha', 'node-daemon peers approve alpha --code tiger-lamp-river-stone-92'],
  exits: { ...EXITS, 130: 'the code was not confirmed' },
  async run(context, values, [peer = '']) {
    const api = adminApi(context, values)
    const view = await found(api, peer)
    const code = await comparedCode(context, view, values.code)
    const order = { code, ...(values.name === null ? {} : { name: values.name }) }
    const approved = await api.send<PeerView>('POST', pathOf(view.peerId, '/approve'), order)
    context.print.machine(approved)
    context.print.say(`${clean(approved.name)} is approved and starts to serve.`)
    return 0
  }
})

const REASON = { reason: onlyNow(value('<text>', 'why: the volunteer sees it', line(500), '', 'none')) }

export const deny = command({
  name: 'deny',
  takes: ['<peer>'],
  about: 'do not let an instance in; it can be approved later',
  settings: { ...API_SETTINGS, ...REASON },
  examples: ['node-daemon peers deny alpha --reason "we do not know you yet: write to admin@example.org"'],
  exits: EXITS,
  async run(context, values, [peer = '']) {
    const api = adminApi(context, values)
    const view = await found(api, peer)
    const denied = await api.send<PeerView>('POST', pathOf(view.peerId, '/deny'), { reason: values.reason })
    context.print.machine(denied)
    context.print.say(`${clean(view.name)} is denied.`)
    return 0
  }
})

export const revoke = command({
  name: 'revoke',
  takes: ['<peer>'],
  about: 'shut an instance out at once; others take over what it was home of',
  settings: { ...API_SETTINGS, ...REASON, ...YES },
  examples: ['node-daemon peers revoke alpha --reason "key was stolen" --yes'],
  exits: { ...EXITS, 130: true },
  async run(context, values, [peer = '']) {
    const api = adminApi(context, values)
    const view = await found(api, peer)
    const home = count(view.workspaces, 'workspace', 'workspaces')
    await sure(context, `Shut out ${clean(view.name)} (${clean(view.peerId)}), home of ${home}?`, values.yes)
    const revoked = await api.send<PeerView>('POST', pathOf(view.peerId, '/revoke'), { reason: values.reason })
    context.print.machine(revoked)
    context.print.say(`${clean(view.name)} is revoked.`)
    return 0
  }
})

export const label = command({
  name: 'label',
  takes: ['<peer>', '<change...>'],
  about: 'set labels with key=value, take them away with key-',
  settings: API_SETTINGS,
  examples: ['node-daemon peers label alpha site=freiburg gpu-'],
  exits: EXITS,
  async run(context, values, [peer = '', ...changes]) {
    const body = { labels: pairs(changes.map(labelChange)) }
    const view = await adminApi(context, values).send<PeerView>('POST', pathOf(peer, '/label'), body)
    context.print.machine(view)
    context.print.say(`${clean(view.name)}: ${clean(labels(view.labels)) || 'no labels'}`)
    return 0
  }
})

/** Looks at a peer's drain until it has ended. */
async function* drainOf(
  context: Context,
  api: Api,
  peer: string,
  first: DrainView,
  signal: AbortSignal
): AsyncGenerator<DrainView> {
  let before = JSON.stringify(first)
  yield first
  for (let view: DrainView | null = first; view !== null && !isFinal(view); ) {
    await sleep(context.clock, LOOK_EVERY_MS, signal)
    view = await api.get<DrainView | null>(pathOf(peer, '/drain'))
    const now = JSON.stringify(view)
    if (view !== null && now !== before) yield view
    before = now
  }
}

async function cancelDrain({ print }: Context, api: Api, peer: string, peerId: string): Promise<0> {
  print.machine(await api.send<DrainView>('POST', pathOf(peerId, '/drain/cancel')))
  print.say(`The drain of ${clean(peer)} is cancelled; it serves on.`)
  return 0
}

export const drain = command({
  name: 'drain',
  takes: ['<peer>'],
  about:
    'have an instance hand over everything it is home of; it stays connected, and takes nothing until it is resumed',
  settings: { ...API_SETTINGS, ...DRAIN_SETTINGS },
  examples: [
    'node-daemon peers drain alpha --plan',
    'node-daemon peers drain alpha --deadline 30m',
    'node-daemon peers drain alpha --at 22:30'
  ],
  exits: {
    0: 'drained: every head has a verified receipt',
    ...EXITS,
    6: 'out of time or cancelled: the list of what is not proven elsewhere is printed',
    130: 'Ctrl-C: the drain goes on by itself'
  },
  async run(context, values, [peer = '']) {
    checkDrain(values)
    const api = adminApi(context, values)
    const { peerId } = await found(api, peer)
    if (values.cancel) return await cancelDrain(context, api, peer, peerId)
    const order = { ...drainOrder(context, values), ...(values.plan ? { plan: true } : {}) }
    const first = await api.send<DrainView>('POST', pathOf(peerId, '/drain'), order, { patient: true })
    if (values.plan && first.state !== 'failed') {
      showPlan(context.print, first)
      return 0
    }
    if (values.at !== null) {
      showPlanned(context, first, `node-daemon peers drain ${peer} --cancel`)
      return 0
    }
    return await followDrain(context, (signal) => drainOf(context, api, peerId, first, signal), {
      stopAfterFirst: values.detach,
      lookAgain: `node-daemon peers show ${peer}`
    })
  }
})

export const resume = command({
  name: 'resume',
  takes: ['<peer>'],
  about: 'cancel the drain of an instance, or have a drained one serve again',
  settings: API_SETTINGS,
  examples: ['node-daemon peers resume alpha'],
  exits: EXITS,
  async run(context, values, [peer = '']) {
    const view = await adminApi(context, values).send<PeerView>('POST', pathOf(peer, '/resume'))
    context.print.machine(view)
    context.print.say(`${clean(view.name)} serves on.`)
    return 0
  }
})
