import type { InviteView, NewInviteView } from '../../console/views.ts'
import { API_SETTINGS, command, onlyNow, YES } from '../command.ts'
import { adminApi, sure } from '../context.ts'
import { clean, count, labels } from '../format.ts'
import { list, value } from '../settings.ts'
import { duration, label, pairs, whole } from '../values.ts'

const EXITS = { 4: true, 5: true } as const
const WEEK_MS = 7 * 86_400_000

const ls = command({
  name: 'ls',
  about: 'list the invites that still stand',
  settings: API_SETTINGS,
  examples: ['node-daemon invite ls'],
  exits: EXITS,
  async run(context, values) {
    const invites = await adminApi(context, values).get<InviteView[]>('/invites')
    context.print.machine(invites)
    context.print.table(
      [
        { title: 'INVITE', of: (one) => one.id, fixed: true },
        { title: 'USED', of: (one) => `${one.used} of ${one.uses}`, fixed: true },
        { title: 'UNTIL', of: (one) => one.expiresAt, fixed: true },
        { title: 'BY', of: (one) => one.createdBy },
        { title: 'LABELS', of: (one) => labels(one.labels) }
      ],
      invites,
      'No invites stand. Make one with: node-daemon invite'
    )
    return 0
  }
})

const rm = command({
  name: 'rm',
  takes: ['<invite>'],
  about: 'take an invite back; who has used it stays a member',
  settings: { ...API_SETTINGS, ...YES },
  examples: ['node-daemon invite rm 4f1c --yes'],
  exits: { 3: 'no such invite', ...EXITS, 130: true },
  async run(context, values, [id = '']) {
    await sure(context, `Take back the invite ${clean(id)}?`, values.yes)
    await adminApi(context, values).send('DELETE', `/invites/${encodeURIComponent(id)}`)
    context.print.machine({ id, removed: true })
    context.print.say('The invite no longer works.')
    return 0
  }
})

export const inviteCommand = command(
  {
    name: 'invite',
    about: 'make a link that lets a volunteer join without being asked: approved in advance',
    settings: {
      ...API_SETTINGS,
      expires: onlyNow(value('<time>', 'how long it may be used', duration, WEEK_MS, '7d')),
      uses: onlyNow(value('<n>', 'by how many servers', whole(1, 10_000), 1, '1')),
      label: onlyNow(list('<key=value>', 'a label that each of them gets', label))
    },
    examples: ['node-daemon invite', 'node-daemon invite --uses 5 --expires 2d --label site=freiburg'],
    exits: EXITS,
    async run(context, values) {
      const body = { expiresMs: values.expires, uses: values.uses, labels: pairs(values.label) }
      const invite = await adminApi(context, values).send<NewInviteView>('POST', '/invites', body)
      context.print.machine(invite)
      context.print.say(
        `Give this to the volunteer; it works for ${count(invite.uses, 'server', 'servers')} until ${clean(invite.expiresAt)}:`
      )
      context.print.say(`\n  ${context.print.styled('bold', `node-daemon join "${clean(invite.link)}"`)}\n`)
      context.print.say('Who has the link is let in: send it by a private way.')
      return 0
    }
  },
  [ls, rm]
)
