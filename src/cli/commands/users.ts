import type { NewUserView, UserView } from '../../console/views.ts'
import { API_SETTINGS, command, group, YES } from '../command.ts'
import { adminApi, known, sure } from '../context.ts'
import { ago, bytes, clean } from '../format.ts'
import { flagOnly, maybe, toggle } from '../settings.ts'
import { line, size } from '../values.ts'

const EXITS = { 4: true, 5: true } as const

const add = command({
  name: 'add',
  takes: ['<name>'],
  about: 'add a named user; the token is shown once',
  settings: {
    ...API_SETTINGS,
    provider: flagOnly(maybe('<name>', 'no token: the user signs in at this provider', line(100))),
    subject: flagOnly(maybe('<subject>', 'who they are there; it never changes', line(255)))
  },
  examples: ['node-daemon users add ada', 'node-daemon users add ada --provider lab --subject 12345'],
  exits: { 2: 'the name is taken; wrong usage', ...EXITS },
  async run(context, { provider, subject, ...values }, [name]) {
    const person = { ...(provider !== null && { provider }), ...(subject !== null && { subject }) }
    const user = await adminApi(context, values).send<NewUserView>('POST', '/users', { name, ...person })
    context.print.machine(user)
    if (user.token === '') {
      context.print.say(`${clean(user.name)} signs in at ${clean(provider ?? '')}.`)
      return 0
    }
    context.print.say(`${clean(user.name)} signs in with this token, which is not shown again:`)
    context.print.say(`\n  ${context.print.styled('bold', clean(user.token))}\n`)
    context.print.say('on the sign-in page, as the password in a WebDAV client, or as "Authorization: Bearer TOKEN".')
    return 0
  }
})

const ls = command({
  name: 'ls',
  about: 'list the named users',
  settings: API_SETTINGS,
  examples: ['node-daemon users ls'],
  exits: EXITS,
  async run(context, values) {
    const users = await adminApi(context, values).get<UserView[]>('/users')
    context.print.machine(users)
    context.print.table(
      [
        { title: 'USER', of: (user) => user.name },
        { title: 'SOURCE', of: (user) => user.source },
        { title: 'STATE', of: (user) => (user.blocked ? 'blocked' : 'active'), fixed: true },
        { title: 'QUOTA', of: (user) => bytes(user.quotaBytes), right: true },
        { title: 'WORKSPACES', of: (user) => user.workspaces, right: true },
        { title: 'ADDED', of: (user) => ago(user.createdAt, context.clock.wall()), fixed: true }
      ],
      users,
      'No named users yet. Add one with: node-daemon users add NAME'
    )
    return 0
  }
})

const token = command({
  name: 'token',
  takes: ['<name>'],
  about:
    'give a user a new token, shown once; one of before stops working. For programs of those who sign in otherwise',
  settings: API_SETTINGS,
  examples: ['node-daemon users token ada'],
  exits: { 3: 'no such user', ...EXITS },
  async run(context, values, [name = '']) {
    const path = `/users/${encodeURIComponent(name)}/token`
    const user = await adminApi(context, values).send<NewUserView>('POST', path)
    context.print.machine(user)
    context.print.say(`The new token of ${clean(user.name)}, which is not shown again:`)
    context.print.say(`\n  ${context.print.styled('bold', clean(user.token))}\n`)
    return 0
  }
})

const rm = command({
  name: 'rm',
  takes: ['<name>'],
  about: 'remove a named user: token and sessions end at once; who signs in elsewhere can come anew, unless blocked',
  settings: { ...API_SETTINGS, ...YES },
  examples: ['node-daemon users rm ada --yes'],
  exits: { 3: 'no such user', ...EXITS, 130: true },
  async run(context, values, [name = '']) {
    const api = adminApi(context, values)
    if (!values.yes) await known(api, '/users', 'user', name.replace(/^user:/, ''))
    await sure(context, `Remove the user ${clean(name)}?`, values.yes)
    await api.send('DELETE', `/users/${encodeURIComponent(name)}`)
    context.print.machine({ name, removed: true })
    context.print.say(`${clean(name)} is removed.`)
    return 0
  }
})

const block = command({
  name: 'block',
  takes: ['<name>'],
  about: 'refuse a user or a guest for now, or let them in again; nothing of theirs is touched',
  settings: { ...API_SETTINGS, off: toggle('let the user in again', { flagOnly: true }) },
  examples: [
    'node-daemon users block ada',
    'node-daemon users block ada --off',
    'node-daemon users block guest:0123456789abcdef0123456789abcdef'
  ],
  exits: { 3: 'no such user', ...EXITS },
  async run(context, values, [name = '']) {
    const path = `/users/${encodeURIComponent(name)}/block`
    const user = await adminApi(context, values).send<UserView>('POST', path, { blocked: !values.off })
    context.print.machine(user)
    context.print.say(values.off ? `${clean(name)} may come in again.` : `${clean(name)} is blocked.`)
    return 0
  }
})

const quota = command({
  name: 'quota',
  takes: ['<name>', '<size>'],
  about: 'say how much a user may hold, over all services; "default" for as much as everybody',
  settings: API_SETTINGS,
  examples: ['node-daemon users quota ada 50GB', 'node-daemon users quota ada default'],
  exits: { 2: true, 3: 'no such user', ...EXITS },
  async run(context, values, [name = '', text = '']) {
    const quotaBytes = text === 'default' ? null : size(text)
    const path = `/users/${encodeURIComponent(name)}/quota`
    const user = await adminApi(context, values).send<UserView>('POST', path, { quotaBytes })
    context.print.machine(user)
    context.print.say(`${clean(name)} may hold ${bytes(user.quotaBytes)}.`)
    return 0
  }
})

export const usersCommand = group('users', 'named users and their tokens', [add, ls, token, rm, block, quota])
