import { type ErrorCode, NodeDaemonError } from '../../core/errors.ts'
import type { InstanceOptions } from '../../daemon/options.ts'
import { ROUTE_KINDS } from '../../wire/ingress.ts'
import { APP_SETTINGS, appOptions } from '../app-settings.ts'
import { command } from '../command.ts'
import { askedYes, type Context, folderOf } from '../context.ts'
import { clean } from '../format.ts'
import { InstanceStory } from '../instance-story.ts'
import { keepFlags } from '../join-config.ts'
import { list, maybe, toggle, type ValuesOf, value } from '../settings.ts'
import { StopRequests } from '../stop-requests.ts'
import {
  cidr,
  duration,
  hostPort,
  label,
  limitSchedule,
  line,
  multiaddr,
  offer,
  oneOf,
  origin,
  pairs,
  serviceCommand,
  serviceVersion,
  size
} from '../values.ts'

const WEEK_MS = 7 * 86_400_000

const SETTINGS = {
  name: maybe('<name>', 'what this server is called', line(63), 'the host name'),
  contact: value('<text>', 'how the admin reaches you', line(200), '', 'none'),
  site: value('<text>', 'where the server stands', line(200), '', 'none'),
  message: value('<text>', 'a word to the admin', line(1000), '', 'none'),
  label: list('<key=value>', "a label for the admin to see; zone=… keeps copies of users' files apart", label),
  listen: list(
    '<multiaddr>',
    'where other members may fetch from here what this server has, such as /ip4/0.0.0.0/tcp/9471',
    multiaddr,
    [],
    'outbound only'
  ),
  'public-url': maybe(
    '<url>',
    'where users or the front door reach this server directly, such as https://alpha.example.org',
    origin,
    'all through the tunnel'
  ),
  route: maybe(
    '<kind>',
    'tunnel; direct: the front door connects to the public URL; redirect: browsers are sent there with their reads',
    oneOf(...ROUTE_KINDS),
    'direct where there is a public URL'
  ),
  ingress: value(
    '<host:port>',
    'where it listens for these requests; a web server with TLS in front of it passes them on',
    hostPort,
    { host: '127.0.0.1', port: 9482 },
    '127.0.0.1:9482'
  ),
  'trust-proxy': list(
    '<cidr>',
    'proxies in front of that whose X-Forwarded-For is believed',
    cidr,
    [],
    'this machine, where it listens on loopback'
  ),
  capacity: maybe(
    '<size>',
    'how much of the disk is lent: beyond it, new workspaces go elsewhere',
    size,
    'half of the free space'
  ),
  'upload-limit': maybe(
    '<rate>',
    "upload at most so fast; with hours of this machine's clock and time zone, of which the first that fit hold: none,1MB/s@08:00-18:00",
    limitSchedule,
    'no limit'
  ),
  'download-limit': maybe('<rate>', 'download at most so fast, with hours in the same way', limitSchedule, 'no limit'),
  service: list(
    '<name[=url|=files]>',
    'a service of the federation to offer; with the address of an app that runs on this machine, with command:… to have one started for each workspace, or with files for the built-in app under another name',
    offer,
    [offer('files')],
    'files, built in'
  ),
  'service-version': list(
    '<service=version>',
    'the version of an app: it is given workspaces where the declared version is compatible (the same first number)',
    serviceVersion,
    [],
    'the declared one'
  ),
  code: maybe('<code>', 'the code that the admin told you: checked instead of asking', line(100)),
  'accept-terms': toggle('accept the terms of the federation without being asked'),
  'on-stop': value(
    '<what>',
    'what Ctrl-C, SIGTERM and SIGHUP do: drain or flush',
    oneOf('drain', 'flush'),
    'drain',
    'drain'
  ),
  'stop-deadline': value('<time>', 'how long that may take', duration, 80_000, '80s'),
  'before-snapshot': list(
    '<service=command>',
    "what the shell runs in a workspace's folder before its files are read for a snapshot",
    serviceCommand
  ),
  'after-snapshot': list('<service=command>', 'what the shell runs after that, also where it failed', serviceCommand),
  busy: list(
    '<service=command>',
    "what the shell runs in a workspace's folder to learn whether users are at work in it (it ends with 0): a drain moves those last",
    serviceCommand
  ),
  ...APP_SETTINGS,
  'hook-timeout': value('<time>', 'how long each of these may take', duration, 60_000, '60s'),
  'hook-interval': value('<time>', 'how often they run at most while nobody waits for it', duration, 10_000, '10s'),
  keep: value('<time>', 'how long the files stay on this disk after a drain', duration, WEEK_MS, '7d')
} as const

function optionsOf(context: Context, values: ValuesOf<typeof SETTINGS>, coordinator: string | null): InstanceOptions {
  return {
    data: folderOf(context, 'instance'),
    coordinator,
    name: values.name,
    contact: values.contact,
    site: values.site,
    message: values.message,
    labels: pairs(values.label),
    listen: values.listen,
    capacityBytes: values.capacity,
    services: values.service,
    ingress: ingressOf(values),
    versions: pairs(values['service-version']),
    uploadLimit: values['upload-limit'],
    downloadLimit: values['download-limit'],
    code: values.code,
    acceptTerms: values['accept-terms'],
    keepMs: values.keep,
    hooks: {
      before: pairs(values['before-snapshot']),
      after: pairs(values['after-snapshot']),
      busy: pairs(values.busy),
      ready: pairs(values.ready),
      freeze: pairs(values.freeze),
      thaw: pairs(values.thaw),
      timeoutMs: values['hook-timeout'],
      intervalMs: values['hook-interval']
    },
    apps: appOptions(values),
    pid: context.terminal.pid
  }
}

function ingressOf(values: ValuesOf<typeof SETTINGS>): InstanceOptions['ingress'] {
  const { route, 'public-url': url } = values
  if (route === 'tunnel' || (url === null && route === null)) return null
  if (url === null) {
    throw new NodeDaemonError('BAD_USAGE', `the route ${route} needs an address`, {
      advice: 'say where this server is reached: --public-url https://alpha.example.org'
    })
  }
  return { route: { kind: route ?? 'direct', url }, listen: values.ingress, trustProxy: values['trust-proxy'] }
}

function confirmIn({ terminal }: Context): (question: string) => Promise<boolean> {
  return async (question) => {
    if (terminal.inIsTty) return await askedYes(terminal, question)
    throw new NodeDaemonError('CODE_REQUIRED', `nobody can be asked here: ${question}`, {
      advice: 'give --code CODE as the admin told you, an invite link or a multiaddr; --accept-terms accepts terms'
    })
  }
}

const ENDINGS: Readonly<Record<number, { readonly code: ErrorCode; readonly advice: string }>> = {
  2: { code: 'BAD_CONFIG', advice: 'see: node-daemon join --help' },
  4: { code: 'REFUSED_BY_POLICY', advice: "ask the federation's admin" },
  5: { code: 'OUT_OF_REACH', advice: 'look at the connection; then start again with: node-daemon join' },
  6: {
    code: 'INCOMPLETE',
    advice: 'nothing is removed: start again with: node-daemon join   and drain with more time'
  },
  7: { code: 'INTEGRITY', advice: "do not go on before you know why: ask the federation's admin" },
  130: { code: 'ABORTED', advice: 'start again with: node-daemon join' }
}

/** How an instance that did not end well is told, with the same exit code. */
function ending(exitCode: number, message: string, refusal: 'DENIED' | 'REVOKED' | null): NodeDaemonError {
  const known = ENDINGS[exitCode] ?? { code: 'UNEXPECTED', advice: 'look at the log above' }
  const code = exitCode === 4 && refusal !== null ? refusal : known.code
  return new NodeDaemonError(code, message || 'the instance ended', { advice: known.advice })
}

export const joinCommand = command({
  name: 'join',
  takes: ['[coordinator]'],
  about: 'run this machine as an instance of a federation; without an argument, resume',
  settings: SETTINGS,
  configOf: 'instance',
  examples: [
    'node-daemon join https://main.example.org --contact ada@example.org --capacity 50GB',
    'node-daemon join',
    'node-daemon join https://main.example.org --public-url https://alpha.example.org --route redirect',
    'node-daemon join --service files --service notes=http://127.0.0.1:8080 --service-version notes=2.4.1',
    "node-daemon join --service 'lab=command:my-app --socket {socket} --base {base}'",
    'node-daemon join https://main.example.org --code tiger-lamp-river-stone-92 --accept-terms'
  ],
  exits: {
    0: 'drained or stopped: every head has a verified receipt',
    4: 'refused: denied, revoked, or the terms were not accepted',
    5: true,
    6: 'ended with data not yet proven elsewhere: it is kept, and the list is printed',
    7: 'the coordinator is not the one that was pinned',
    130: 'interrupted before it served, or three times'
  },
  async run(context, values, [coordinator]) {
    const story = new InstanceStory(context.print)
    const options = optionsOf(context, values, coordinator ?? null)
    using requests = new StopRequests(context, {
      onStop: values['on-stop'],
      deadlineMs: values['stop-deadline'],
      hasServed: () => story.hasServed
    })
    const { runInstance } = await import('../../daemon/instance.ts')
    const starting = runInstance(options, {
      log: context.log,
      report: (event) => story.tell(event),
      interactive: context.terminal.inIsTty,
      confirm: confirmIn(context)
    })
    const running = await requests.apply(starting)
    const kept = await keepFlags(options.data, context.flags)
    if (kept !== null) context.print.say(`"join" alone goes on with this: it is kept in ${kept}`)
    const { exitCode, message } = await running.finished
    if (exitCode !== 0) throw ending(exitCode, message, story.refusal)
    if (message !== '') context.print.say(clean(message))
    return 0
  }
})
