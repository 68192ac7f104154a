import type { CoordinatorOptions, RecoverOptions, RunningCoordinator } from '../../daemon/options.ts'
import { RATES } from '../../routing/rates.ts'
import { RETENTION } from '../../store/repository.ts'
import { command } from '../command.ts'
import { type Context, folderOf } from '../context.ts'
import { declaredService } from '../declared-service.ts'
import { clean } from '../format.ts'
import { list, maybe, type ValuesOf, value } from '../settings.ts'
import { SIGN_IN_SETTINGS, signInOptions } from '../sign-in.ts'
import { facts } from '../table.ts'
import { TLS_SETTINGS, tlsFiles } from '../tls-files.ts'
import {
  cidr,
  duration,
  hostPort,
  line,
  multiaddr,
  oneOf,
  orNone,
  perHour,
  perSecond,
  retention,
  size,
  webUrl,
  whole,
  yesNo
} from '../values.ts'

const SETTINGS = {
  name: maybe('<name>', "the federation's name", line(100), 'the host name'),
  listen: list(
    '<multiaddr>',
    'where members are awaited',
    multiaddr,
    ['/ip4/0.0.0.0/tcp/9470'],
    '/ip4/0.0.0.0/tcp/9470'
  ),
  announce: maybe('<host>', 'the name or address that others use to reach this machine', line(253), 'found'),
  http: value('<host:port>', 'the front door for users', hostPort, { host: '127.0.0.1', port: 9480 }, '127.0.0.1:9480'),
  admin: value(
    '<host:port>',
    'console, API and metrics',
    hostPort,
    { host: '127.0.0.1', port: 9481 },
    '127.0.0.1:9481'
  ),
  'public-url': maybe(
    '<url>',
    "the front door's address as others see it, for the join line and invites",
    webUrl,
    'as it listens'
  ),
  standbys: value('<n>', 'how many instances keep a ready copy of each workspace', whole(0, 10), 1, '1'),
  ack: value(
    '<level>',
    'when a write counts as saved: replicated or local',
    oneOf('replicated', 'local'),
    'replicated',
    'replicated'
  ),
  'failover-after': value('<time>', 'how long an instance may be gone before others take over', duration, 2_000, '2s'),
  lease: value('<time>', 'for how long an instance may act without hearing from here', duration, 10_000, '10s'),
  'restart-grace': value(
    '<time>',
    'how long workspaces wait for an instance that said it comes back',
    duration,
    120_000,
    '2m'
  ),
  hold: value('<time>', 'how long requests wait while their workspace moves', duration, 30_000, '30s'),
  rebalance: value(
    '<yes|no>',
    'move idle workspaces by itself when an instance joins or a disk is nearly full',
    yesNo,
    true,
    'yes'
  ),
  anonymous: maybe(
    '<yes|no>',
    'may people without a token save things?',
    yesNo,
    'yes while --http is on loopback, else it must be said'
  ),
  quota: value('<size>', 'how much each user may hold, over all services', size, 10e9, '10GB'),
  'anonymous-quota': value('<size>', 'how much each guest may hold', size, 1e9, '1GB'),
  'anonymous-ttl': value(
    '<time>',
    "for how long a guest's files stay when nobody asks for them; counted while the coordinator runs",
    duration,
    7 * 86_400_000,
    '7d'
  ),
  ...TLS_SETTINGS,
  rate: value(
    '<rate>',
    'how many requests one client address may send, on average; none for no bound',
    orNone(perSecond),
    RATES.requestsPerS,
    '200/s'
  ),
  'guest-rate': value(
    '<rate>',
    'how many guests of one client address may begin to save things; none for no bound',
    orNone(perHour),
    RATES.guestsPerHour,
    '120/h'
  ),
  'trust-proxy': list('<cidr>', 'a proxy in front, whose forwarded headers are believed', cidr),
  ...SIGN_IN_SETTINGS,
  retention: value(
    '<counts>',
    'how many heads stay in the history of a workspace: the newest of each of so many minutes, hours … that have any',
    retention,
    RETENTION,
    Object.entries(RETENTION)
      .map(([period, count]) => `${period}=${count}`)
      .join(',')
  ),
  'scrub-days': value(
    '<days>',
    'read the whole main repository again once in so many days, a share each hour; 0 for never',
    whole(0, 3650),
    30,
    '30'
  ),
  services: list(
    '<name=… route=…>',
    'a service to be declared from the start on, in words as for "services add": name, route, scope, ack, version, needs, writers. It is added, or changed to what is said here; others stay',
    declaredService
  ),
  terms: maybe('<url>', 'terms that volunteers must accept', webUrl)
} as const

function optionsOf(
  context: Context,
  values: ValuesOf<typeof SETTINGS>,
  recover: RecoverOptions | null
): CoordinatorOptions {
  return {
    recover,
    data: folderOf(context, 'coordinator'),
    name: values.name,
    listen: values.listen,
    announce: values.announce,
    http: values.http,
    admin: values.admin,
    webAddress: values['public-url'],
    standbys: values.standbys,
    acknowledge: values.ack,
    failoverAfterMs: values['failover-after'],
    leaseMs: values.lease,
    restartGraceMs: values['restart-grace'],
    holdMs: values.hold,
    rebalance: values.rebalance,
    anonymous: values.anonymous,
    quotaBytes: values.quota,
    anonymousQuotaBytes: values['anonymous-quota'],
    anonymousTtlMs: values['anonymous-ttl'],
    tls: tlsFiles(values),
    rates: { requestsPerS: values.rate, guestsPerHour: values['guest-rate'] },
    trustProxy: values['trust-proxy'],
    ...signInOptions(values),
    terms: values.terms,
    retention: values.retention,
    services: values.services,
    scrubDays: values['scrub-days'],
    pid: context.terminal.pid
  }
}

function showReady({ print }: Context, running: RunningCoordinator, publicUrl: string | null): void {
  const { ready, reachability } = running
  print.machine({ event: 'ready', ...ready })
  print.say(`The federation ${print.styled('bold', clean(running.federation))} is open.\n`)
  print.say(
    facts([
      ['Users go to', publicUrl ?? ready.http],
      ['Members reach', ready.addresses.join('  ')],
      ['Data folder', ready.data]
    ])
  )
  print.say(
    reachability.othersCanReach
      ? 'Other machines can reach these addresses.'
      : print.styled('yellow', 'Only this machine can reach these addresses.')
  )
  if (reachability.advice !== null) print.say(`  ${clean(reachability.advice)}`)
  print.say(`\nThe console, signed in once by this link:\n  ${print.styled('bold', clean(running.consoleLink))}`)
  print.say(`\nVolunteers run:\n  ${print.styled('bold', clean(running.joinLine))}\n`)
}

async function run(context: Context, values: ValuesOf<typeof SETTINGS>, recover: RecoverOptions | null): Promise<0> {
  const stopping = new AbortController()
  const stopListening = listenForStop(context, stopping)
  try {
    const { runCoordinator } = await import('../../daemon/coordinator.ts')
    const options = optionsOf(context, values, recover)
    const running = await runCoordinator(options, { log: context.log, signal: stopping.signal })
    showReady(context, running, values['public-url'])
    if (recover !== null) showRecovery(context, recover)
    stopping.signal.addEventListener('abort', () => context.print.say('Stopping …'))
    await Promise.race([running.closed, aborted(stopping.signal)])
    await running.stop()
    await running.closed
    return 0
  } finally {
    stopListening()
  }
}

function showRecovery({ print }: Context, { members }: RecoverOptions): void {
  const until = members === null ? 'you say so: node-daemon failover confirm' : `${members} members have reported`
  print.say(print.styled('yellow', `Nobody is served until ${until}`))
  print.say(
    '"node-daemon status" tells who has reported. Users and admins are gone: add them anew, under their names of before.\n'
  )
}

const recoverCommand = command({
  name: 'recover',
  about: 'run a coordinator whose state is gone: learn from its members what it had signed',
  settings: {
    ...SETTINGS,
    members: maybe(
      '<n>',
      'how many members there are: serve once all of them have reported',
      whole(1, 100_000),
      'until confirmed'
    )
  },
  configOf: 'coordinator',
  examples: ['node-daemon coordinator recover --data /srv/coordinator --members 5'],
  exits: {
    0: 'stopped cleanly',
    2: 'wrong usage; no identity.key in the data folder; a port or the folder is in use',
    130: 'interrupted twice, or while it started'
  },
  run: (context, { members, ...values }) => run(context, values, { members })
})

export const coordinatorCommand = command(
  {
    name: 'coordinator',
    about: 'run a coordinator; its data folder is made on the first start',
    settings: SETTINGS,
    configOf: 'coordinator',
    examples: [
      'node-daemon coordinator',
      'node-daemon coordinator --http 0.0.0.0:80 --public-url http://main.example.org --announce main.example.org --anonymous no'
    ],
    exits: {
      0: 'stopped cleanly',
      2: 'wrong usage or configuration; a port or the folder is in use',
      130: 'interrupted twice, or while it started'
    },
    run: (context, values) => run(context, values, null)
  },
  [recoverCommand]
)

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })

/** The first signal stops cleanly, the second ends at once. */
function listenForStop({ terminal }: Context, stopping: AbortController): () => void {
  const onSignal = (): void => {
    if (stopping.signal.aborted) terminal.exit(130)
    stopping.abort()
  }
  const listeners = [terminal.onSignal(onSignal), terminal.onOrphaned(() => stopping.abort())]
  return () => {
    for (const stop of listeners) stop()
  }
}
