import { type AdminView, type ConsoleLinkView, type NewAdminView, ROLES } from '../../console/views.ts'
import { API_SETTINGS, command, group, onlyNow, YES } from '../command.ts'
import { adminApi, known, sure } from '../context.ts'
import { ago, clean, duration } from '../format.ts'
import { value } from '../settings.ts'
import { oneOf } from '../values.ts'

const EXITS = { 4: true, 5: true } as const

const add = command({
  name: 'add',
  takes: ['<name>'],
  about: 'add an admin; the token is shown once',
  settings: {
    ...API_SETTINGS,
    role: onlyNow(value('<role>', `what they may do: ${ROLES.join(', ')}`, oneOf(...ROLES), 'admin', 'admin'))
  },
  examples: ['node-daemon admins add grace', 'node-daemon admins add prometheus --role metrics'],
  exits: EXITS,
  async run(context, values, [name]) {
    const admin = await adminApi(context, values).send<NewAdminView>('POST', '/admins', { name, role: values.role })
    context.print.machine(admin)
    context.print.say(`${clean(admin.name)} is ${admin.role} with this token, which is not shown again:`)
    context.print.say(`\n  ${context.print.styled('bold', clean(admin.token))}\n`)
    return 0
  }
})

const ls = command({
  name: 'ls',
  about: 'list the admins and their roles',
  settings: API_SETTINGS,
  examples: ['node-daemon admins ls'],
  exits: EXITS,
  async run(context, values) {
    const admins = await adminApi(context, values).get<AdminView[]>('/admins')
    context.print.machine(admins)
    context.print.table(
      [
        { title: 'ADMIN', of: (admin) => admin.name },
        { title: 'ROLE', of: (admin) => admin.role, fixed: true },
        { title: 'ADDED', of: (admin) => ago(admin.createdAt, context.clock.wall()), fixed: true }
      ],
      admins,
      'There are no admins.'
    )
    return 0
  }
})

const rm = command({
  name: 'rm',
  takes: ['<name>'],
  about: 'remove an admin: the token stops working at once',
  settings: { ...API_SETTINGS, ...YES },
  examples: ['node-daemon admins rm grace --yes'],
  exits: { 3: 'no such admin', ...EXITS, 130: true },
  async run(context, values, [name = '']) {
    const api = adminApi(context, values)
    if (!values.yes) await known(api, '/admins', 'admin', name)
    await sure(context, `Remove the admin ${clean(name)}?`, values.yes)
    await api.send('DELETE', `/admins/${encodeURIComponent(name)}`)
    context.print.machine({ name, removed: true })
    context.print.say(`${clean(name)} is removed.`)
    return 0
  }
})

const link = command({
  name: 'link',
  about: 'a new link that signs you in to the console, once',
  settings: API_SETTINGS,
  examples: ['node-daemon admins link'],
  exits: EXITS,
  async run(context, values) {
    const view = await adminApi(context, values).send<ConsoleLinkView>('POST', '/admins/link')
    context.print.machine(view)
    context.print.say(`Open this once, within ${duration(Date.parse(view.expiresAt) - context.clock.wall())}:`)
    context.print.say(`\n  ${context.print.styled('bold', clean(view.link))}\n`)
    return 0
  }
})

export const adminsCommand = group('admins', 'admins, their roles and tokens', [add, ls, rm, link])
