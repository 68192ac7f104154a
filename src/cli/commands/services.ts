import type { ServiceView } from '../../console/views.ts'
import { NodeDaemonError } from '../../core/errors.ts'
import { parseRoute, routeText } from '../../routing/service-route.ts'
import { API_SETTINGS, command, group, YES } from '../command.ts'
import { adminApi, sure } from '../context.ts'
import { clean } from '../format.ts'
import { flagOnly, maybe, value } from '../settings.ts'
import { line, oneOf } from '../values.ts'

const EXITS = { 4: true, 5: true } as const

const add = command({
  name: 'add',
  takes: ['<name>'],
  about: 'declare a service: users reach it at its route as soon as an instance offers it',
  settings: {
    ...API_SETTINGS,
    route: flagOnly(
      maybe('</prefix|host:NAME>', 'where users reach it: below a path, or at a host name of its own', routeOf)
    ),
    ack: flagOnly(
      maybe(
        '<level>',
        'when a change is answered: replicated (it is in the main repository) or local (it is on the disk of its instance)',
        oneOf('replicated', 'local'),
        "the coordinator's --ack"
      )
    ),
    version: flagOnly(value('<version>', 'the version of the app, for people', line(40), '1', '1'))
  },
  examples: [
    'node-daemon services add notes --route /notes',
    'node-daemon services add photos --route host:photos.example.org --ack local'
  ],
  exits: { 2: 'the name or the route is taken, or not one', ...EXITS },
  async run(context, values, [name = '']) {
    if (values.route === null) {
      throw new NodeDaemonError('BAD_USAGE', 'where do users reach it?', { advice: `say --route /${clean(name)}` })
    }
    const order = {
      name,
      route: values.route,
      version: values.version,
      ...(values.ack !== null && { acknowledge: values.ack })
    }
    const service = await adminApi(context, values).send<ServiceView>('POST', '/services', order)
    context.print.machine(service)
    context.print.say(`${clean(service.name)} is declared at ${clean(service.route)}. Volunteers offer it with:`)
    context.print.say(`\n  node-daemon join --service ${clean(service.name)}=http://127.0.0.1:8080\n`)
    context.print.say('and the address of their app in the place of this one.')
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
    await sure(context, `Take the service ${clean(name)} away?`, values.yes)
    await adminApi(context, values).send('DELETE', `/services/${encodeURIComponent(name)}`)
    context.print.machine({ name, removed: true })
    context.print.say(`${clean(name)} is taken away.`)
    return 0
  }
})

const ls = command({
  name: 'ls',
  about: 'list what the federation runs',
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
        { title: 'SCOPE', of: (one) => one.scope },
        { title: 'ACK', of: (one) => one.acknowledge },
        { title: 'VERSION', of: (one) => one.version },
        { title: 'INSTANCES', of: (one) => one.instances, right: true },
        { title: 'WORKSPACES', of: (one) => one.workspaces, right: true }
      ],
      services,
      'No services are declared.'
    )
    return 0
  }
})

export const servicesCommand = group('services', 'what the federation runs', [add, ls, rm])

function routeOf(text: string): string {
  return routeText(parseRoute(text))
}
