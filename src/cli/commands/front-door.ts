import { NodeDaemonError } from '../../core/errors.ts'
import type { FrontDoorProcessOptions, FrontDoorReady } from '../../daemon/front-door-options.ts'
import { command } from '../command.ts'
import { askedYes, type Context, folderOf } from '../context.ts'
import { clean } from '../format.ts'
import { InstanceStory } from '../instance-story.ts'
import { list, maybe, toggle, type ValuesOf, value } from '../settings.ts'
import { facts } from '../table.ts'
import { TLS_SETTINGS, tlsFiles } from '../tls-files.ts'
import { cidr, hostPort, line, multiaddr } from '../values.ts'

const SETTINGS = {
  coordinator: maybe(
    '<target>',
    'the web address of the coordinator, an invite link, or a multiaddr; not needed any more once it is known',
    line(2048)
  ),
  http: value('<host:port>', 'where users are let in', hostPort, { host: '127.0.0.1', port: 9490 }, '127.0.0.1:9490'),
  name: maybe('<name>', 'what this front door is called', line(63), 'the host name'),
  contact: value('<text>', 'how the admin reaches you', line(200), '', 'none'),
  listen: list(
    '<multiaddr>',
    'where instances connect to this front door; those that cannot are reached through the coordinator',
    multiaddr,
    ['/ip4/0.0.0.0/tcp/0'],
    '/ip4/0.0.0.0/tcp/0'
  ),
  announce: maybe('<host>', 'the name or address that instances use to reach this machine', line(253), 'found'),
  'trust-proxy': list('<cidr>', 'a proxy in front, whose forwarded headers are believed', cidr),
  ...TLS_SETTINGS,
  code: maybe('<code>', 'the code that the admin told you: checked instead of asking', line(100)),
  'accept-terms': toggle('accept the terms of the federation without being asked')
} as const

const optionsOf = (context: Context, values: ValuesOf<typeof SETTINGS>): FrontDoorProcessOptions => ({
  data: folderOf(context, 'front-door'),
  coordinator: values.coordinator,
  http: values.http,
  name: values.name,
  contact: values.contact,
  listen: values.listen,
  announce: values.announce,
  trustProxy: values['trust-proxy'],
  tls: tlsFiles(values),
  code: values.code,
  acceptTerms: values['accept-terms'],
  pid: context.terminal.pid
})

function showReady({ print }: Context, ready: FrontDoorReady): void {
  print.machine(ready)
  print.say(
    facts([
      ['Users go to', ready.http],
      ['Instances reach', ready.addresses.join('  ')],
      ['Data folder', ready.data]
    ])
  )
}

async function confirmed({ terminal }: Context, question: string): Promise<boolean> {
  if (terminal.inIsTty) return await askedYes(terminal, question)
  throw new NodeDaemonError('CODE_REQUIRED', `nobody can be asked here: ${clean(question)}`, {
    advice: 'give --code CODE as the admin told you, an invite link or a multiaddr; --accept-terms accepts terms'
  })
}

export const frontDoorCommand = command({
  name: 'front-door',
  about: 'run one more front door for a federation, as a process of its own behind a load balancer',
  settings: SETTINGS,
  examples: [
    'node-daemon front-door --coordinator https://main.example.org --http 0.0.0.0:9490',
    'node-daemon front-door --http 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem'
  ],
  exits: {
    0: 'stopped',
    4: 'refused: denied, revoked, or the terms were not accepted',
    5: true,
    7: 'the coordinator is not the one that was pinned',
    130: 'interrupted twice'
  },
  async run(context, values) {
    const story = new InstanceStory(context.print)
    const options = optionsOf(context, values)
    const { runFrontDoor } = await import('../../daemon/front-door.ts')
    const running = await runFrontDoor(options, {
      log: context.log,
      report: (event) => (event.event === 'ready' ? showReady(context, event) : story.tell(event)),
      interactive: context.terminal.inIsTty,
      confirm: (question) => confirmed(context, question)
    })
    let signals = 0
    const onSignal = (): void => {
      signals += 1
      if (signals > 1) return context.terminal.exit(130)
      context.print.say('Stopping …')
      void running.stop()
    }
    const listeners = [context.terminal.onSignal(onSignal), context.terminal.onOrphaned(() => void running.stop())]
    try {
      await running.finished
      return 0
    } finally {
      for (const stop of listeners) stop()
    }
  }
})
