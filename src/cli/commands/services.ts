import type { ServiceView } from '../../console/service-views.ts'
import { NodeDaemonError } from '../../core/errors.ts'
import { SCOPES } from '../../routing/neighbours.ts'
import { parseRoute, routeText } from '../../routing/service-route.ts'
import { LEVELS } from '../../wire/control.ts'
import { API_SETTINGS, command, group, YES } from '../command.ts'
import { adminApi, type Context, known, sure } from '../context.ts'
import { clean, labels } from '../format.ts'
import { flagOnly, list, maybe, value } from '../settings.ts'
import { label, line, oneOf, pairs } from '../values.ts'

const EXITS = { 4: true, 5: true } as const
const BUILT_IN = 'files'

const SAID = {
  route: flagOnly(
    maybe('</prefix|host:NAME>', 'where users reach it: below a path, or at a host name of its own', routeOf)
  ),
  needs: flagOnly(
    list('<key=value>', 'a label that an instance must have to run it, as the admin approved or set it', label)
  ),
  writers: flagOnly(
    maybe(
      '<group>',
      'where the whole service is one workspace: only those members of this group may change it who may write',
      line(40)
    )
  )
} as const

const add = command({
  name: 'add',
  takes: ['<name>'],
  about: 'declare a service: users reach it at its route as soon as an instance offers it',
  settings: {
    ...API_SETTINGS,
    ...SAID,
    scope: flagOnly(
      value(
        '<scope>',
        'who has a workspace: each user, each group (at /ROUTE/GROUP/), or the service as a whole; it stays for ever',
        oneOf(...SCOPES),
        'user',
        'user'
      )
    ),
    ack: flagOnly(
      maybe(
        '<level>',
        'when a change is answered: replicated (it is in the main repository) or local (it is on the disk of its instance)',
        oneOf(...LEVELS),
        "the coordinator's --ack"
      )
    ),
    version: flagOnly(
      value('<version>', 'of the app: instances offer a compatible one (the same first number)', line(40), '1', '1')
    )
  },
  examples: [
    'node-daemon services add notes --route /notes',
    'node-daemon services add photos --route host:photos.example.org --ack local',
    'node-daemon services add wiki --route /wiki --scope service --version 2.1',
    'node-daemon services add train --route /train --needs gpu=yes'
  ],
  exits: {
    2: 'the name or the route is taken, or not one',
    3: 'no such group of writers',
    ...EXITS
  },
  async run(context, values, [name = '']) {
    if (values.route === null) {
      throw new NodeDaemonError('BAD_USAGE', 'where do users reach it?', { advice: `say --route /${clean(name)}` })
    }
    const order = {
      name,
      route: values.route,
      version: values.version,
      scope: values.scope,
      needs: pairs(values.needs),
      ...(values.writers !== null && { writers: values.writers }),
      ...(values.ack !== null && { acknowledge: values.ack })
    }
    const api = adminApi(context, values)
    const service = await api.send<ServiceView>('POST', '/services', order)
    context.print.machine(service)
    if (context.print.json) return 0
    const others = (await api.get<ServiceView[]>('/services')).some((one) => one.name === BUILT_IN)
    showAdded(context, service, others)
    return 0
  }
})

function showAdded({ print }: Context, service: ServiceView, besidesFiles: boolean): void {
  const name = clean(service.name)
  const files = besidesFiles && name !== BUILT_IN ? `--service ${BUILT_IN} ` : ''
  const where =
    service.scope === 'group'
      ? `below ${clean(service.route)}, each group at its own name`
      : `at ${clean(service.route)}`
  print.say(`${name} is declared ${where}. Volunteers offer it with:`)
  print.say(`\n  node-daemon join ${files}--service ${name}=http://127.0.0.1:8080\n`)
  print.say('and the address of their app in the place of this one.')
}

const set = command({
  name: 'set',
  takes: ['<name>'],
  about: 'change what is said of a service; instances that do not offer it as it is then hand it over',
  settings: {
    ...API_SETTINGS,
    ...SAID,
    ack: flagOnly(maybe('<level>', 'when a change is answered: replicated or local', oneOf(...LEVELS))),
    version: flagOnly(maybe('<version>', 'of the app', line(40))),
    clear: flagOnly(
      list('<what>', 'needs: no label any more; writers: all users may change it', oneOf('needs', 'writers'))
    )
  },
  examples: ['node-daemon services set wiki --version 3.0', 'node-daemon services set train --clear needs'],
  exits: { 2: 'the route is taken, or not one', 3: 'no such service, or no such group', ...EXITS },
  async run(context, values, [name = '']) {
    const { route, ack, version, needs, writers, clear } = values
    const change = {
      ...(route !== null && { route }),
      ...(ack !== null && { acknowledge: ack }),
      ...(version !== null && { version }),
      ...((needs.length > 0 || clear.includes('needs')) && { needs: pairs(needs) }),
      ...((writers !== null || clear.includes('writers')) && { writers })
    }
    const path = `/services/${encodeURIComponent(name)}`
    const service = await adminApi(context, values).send<ServiceView>('POST', path, change)
    context.print.machine(service)
    context.print.say(
      `${clean(service.name)} is declared at ${clean(service.route)}, version ${clean(service.version)}.`
    )
    warn(context, [service])
    return 0
  }
})

const rm = command({
  name: 'rm',
  takes: ['<name>'],
  about: 'take a service away that has no workspaces',
  settings: { ...API_SETTINGS, ...YES },
  examples: ['node-daemon services rm notes --yes'],
  exits: { 3: 'no such service', 4: 'refused: it has workspaces, or you are not permitted', 5: true, 130: true },
  async run(context, values, [name = '']) {
    const api = adminApi(context, values)
    if (!values.yes) await known(api, '/services', 'service', name)
    await sure(context, `Take the service ${clean(name)} away?`, values.yes)
    await api.send('DELETE', `/services/${encodeURIComponent(name)}`)
    context.print.machine({ name, removed: true })
    context.print.say(`${clean(name)} is taken away.`)
    return 0
  }
})

const ls = command({
  name: 'ls',
  about: 'list what the federation runs, and what keeps it from being safe',
  settings: API_SETTINGS,
  examples: ['node-daemon services ls'],
  exits: EXITS,
  async run(context, values) {
    const services = await adminApi(context, values).get<ServiceView[]>('/services')
    context.print.machine(services)
    context.print.table(
      [
        { title: 'SERVICE', of: (one) => one.name },
        { title: 'ROUTE', of: (one) => one.route },
        { title: 'SCOPE', of: (one) => (one.writers === null ? one.scope : `${one.scope}, ${one.writers} write`) },
        { title: 'ACK', of: (one) => one.acknowledge },
        { title: 'VERSION', of: (one) => one.version },
        { title: 'NEEDS', of: (one) => labels(one.needs) },
        { title: 'INSTANCES', of: (one) => one.instances, right: true },
        { title: 'WORKSPACES', of: (one) => one.workspaces, right: true }
      ],
      services,
      'No services are declared.'
    )
    warn(context, services)
    return 0
  }
})

function warn({ print }: Context, services: readonly ServiceView[]): void {
  for (const { name, warnings } of services) {
    for (const warning of warnings) print.say(print.styled('yellow', `${clean(name)}: ${clean(warning)}`))
  }
}

export const servicesCommand = group('services', 'what the federation runs', [add, set, ls, rm])

function routeOf(text: string): string {
  return routeText(parseRoute(text))
}
