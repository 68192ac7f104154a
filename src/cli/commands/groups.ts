import type { GroupView } from '../../console/service-views.ts'
import { hasCode, NodeDaemonError } from '../../core/errors.ts'
import { RIGHTS } from '../../membership/groups.ts'
import { API_SETTINGS, command, group, YES } from '../command.ts'
import { adminApi, known, sure } from '../context.ts'
import { clean, count } from '../format.ts'
import type { Api } from '../local-client.ts'
import { flagOnly, toggle, value } from '../settings.ts'
import { oneOf } from '../values.ts'

const EXITS = { 4: true, 5: true } as const
const pathOf = (name: string): string => `/groups/${encodeURIComponent(name)}`
const membersOf = ({ members }: GroupView): string =>
  members.map(({ user, rights }) => (rights === 'read' ? `${user} (reads)` : user)).join(', ')

const add = command({
  name: 'add',
  takes: ['<name>'],
  about: 'add a group: its members share a workspace of each service with the scope group',
  settings: API_SETTINGS,
  examples: ['node-daemon groups add lab'],
  exits: { 2: 'the name is taken, or not one', ...EXITS },
  async run(context, values, [name = '']) {
    const added = await adminApi(context, values).send<GroupView>('POST', '/groups', { name })
    context.print.machine(added)
    context.print.say(`The group ${clean(added.name)} is there. Add members with:`)
    context.print.say(`\n  node-daemon groups grant ${clean(added.name)} USER --rights write\n`)
    return 0
  }
})

const ls = command({
  name: 'ls',
  about: 'list the groups and their members',
  settings: API_SETTINGS,
  examples: ['node-daemon groups ls'],
  exits: EXITS,
  async run(context, values) {
    const groups = await adminApi(context, values).get<GroupView[]>('/groups')
    context.print.machine(groups)
    context.print.table(
      [
        { title: 'GROUP', of: (one) => one.name },
        { title: 'WORKSPACES', of: (one) => one.workspaces, right: true },
        { title: 'MEMBERS', of: membersOf }
      ],
      groups,
      'No groups yet. Add one with: node-daemon groups add NAME'
    )
    return 0
  }
})

const rm = command({
  name: 'rm',
  takes: ['<name>'],
  about: 'take a group away that has no workspaces',
  settings: { ...API_SETTINGS, ...YES },
  examples: ['node-daemon groups rm lab --yes'],
  exits: { 3: 'no such group', 4: 'refused: it has workspaces, or you are not permitted', 5: true, 130: true },
  async run(context, values, [name = '']) {
    const api = adminApi(context, values)
    if (!values.yes) await known(api, '/groups', 'group', name)
    await sure(context, `Take the group ${clean(name)} away?`, values.yes)
    await api.send('DELETE', pathOf(name))
    context.print.machine({ name, removed: true })
    context.print.say(`${clean(name)} is taken away.`)
    return 0
  }
})

const grant = command({
  name: 'grant',
  takes: ['<group>', '<user>'],
  about: 'make a user a member of a group, or change what a member may do; it holds from the next request on',
  settings: {
    ...API_SETTINGS,
    rights: flagOnly(value('<rights>', 'read, or write (which reads too)', oneOf(...RIGHTS), 'write', 'write')),
    yes: toggle('also a user who has not come yet, as by a sign-on', { flagOnly: true })
  },
  examples: ['node-daemon groups grant lab ada', 'node-daemon groups grant lab bob --rights read'],
  exits: { 3: 'no such group, or no such user', ...EXITS },
  async run(context, values, [name = '', user = '']) {
    const { rights } = values
    const api = adminApi(context, values)
    if (!values.yes) await checkUser(api, user)
    const view = await api.send<GroupView>('POST', `${pathOf(name)}/grant`, { user, rights })
    context.print.machine(view)
    context.print.say(
      `${clean(user)} may ${rights} in ${clean(name)}: ${count(view.members.length, 'member', 'members')}.`
    )
    return 0
  }
})

async function checkUser(api: Api, user: string): Promise<void> {
  try {
    await known(api, '/users', 'user', user)
  } catch (error) {
    if (!hasCode(error, 'NOT_FOUND')) throw error
    const advice = `${error.advice ?? ''}   (for one who has not come yet, as by a sign-on, say --yes)`
    throw new NodeDaemonError('NOT_FOUND', error.message, { advice, cause: error })
  }
}

const revoke = command({
  name: 'revoke',
  takes: ['<group>', '<user>'],
  about: 'take a user out of a group; it holds from the next request on',
  settings: API_SETTINGS,
  examples: ['node-daemon groups revoke lab bob'],
  exits: { 3: 'no such group, or no such member', ...EXITS },
  async run(context, values, [name = '', user = '']) {
    const view = await adminApi(context, values).send<GroupView>('POST', `${pathOf(name)}/revoke`, { user })
    context.print.machine(view)
    context.print.say(`${clean(user)} is not in ${clean(name)} any more.`)
    return 0
  }
})

export const groupsCommand = group('groups', 'users who share workspaces', [add, ls, rm, grant, revoke])
