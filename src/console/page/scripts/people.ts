export const PEOPLE = String.raw`
import { at, get, may, me, post, remove } from './api.js'
import { ask, field, showSecret, toast } from './dialog.js'
import { button, h, row, table } from './dom.js'
import { number, plural, when } from './format.js'

const USER_HEADINGS = ['Name', 'Comes by', 'Workspaces', 'Since', '']
const GROUP_HEADINGS = ['Group', 'Members', 'Workspaces']
const INVITE_HEADINGS = ['Invite', 'Used', 'Expires', '']
const ADMIN_HEADINGS = ['Name', 'Role', 'Since', '']
const HOUR = 3600000
const EXPIRIES = [[String(24 * HOUR), '1 day'], [String(7 * 24 * HOUR), '7 days'], [String(30 * 24 * HOUR), '30 days']]
const ROLES = [['viewer', 'viewer: reads'], ['operator', 'operator: approves, drains, moves'], ['admin', 'admin: everything'], ['metrics', 'metrics: /metrics only']]

let tables = null

export function peoplePage(refresh) {
  tables = {
    users: table('users', 'Users', USER_HEADINGS, 'No named user yet.'),
    groups: table('groups', 'Groups', GROUP_HEADINGS, 'No group yet.'),
    invites: table('invites', 'Invites', INVITE_HEADINGS, 'No invite is open.'),
    admins: table('admins', 'Admins', ADMIN_HEADINGS, 'No admin.')
  }
  return [
    h('h1', { class: 'hidden' }, 'People'),
    section('Users', 'People with a token of their own, or who signed in; guests are listed while they are blocked.', tables.users, button('Add a user', 'add-user', () => addUser(refresh), { class: 'primary' })),
    section('Groups', 'Users who share workspaces: node-daemon groups add, grant, revoke.', tables.groups, null),
    section('Invites', 'Links with which a server is approved in advance.', tables.invites, button('Create an invite', 'add-invite', () => addInvite(refresh), { class: 'primary' })),
    section('Admins', 'Who may use this console and the API.', tables.admins,
      h('div', { class: 'buttons' },
        button('One-use sign-in link', 'console-link', () => consoleLink()),
        button('Add an admin', 'add-admin', () => addAdmin(refresh), { class: 'primary' })))
  ]
}

function section(title, text, content, action) {
  return h('section', null,
    h('div', { class: 'section-head' }, h('div', null, h('h2', null, title), h('p', { class: 'quiet' }, text)), may('admin') ? action : null),
    content.element)
}

export async function loadPeople() {
  const [users, groups, invites, admins] = await Promise.all([get('/users'), get('/groups'), get('/invites'), get('/admins')])
  return { users, groups, invites, admins }
}

export function showPeople({ users, groups, invites, admins }, refresh) {
  tables.users.show(users, (user) => user.name, (user) => row(USER_HEADINGS, [
    [user.name, user.blocked ? h('span', { class: 'chip', data: { state: 'blocked' } }, 'blocked') : null],
    user.source,
    number(user.workspaces),
    when(user.createdAt),
    adminButtons(
      button(user.blocked ? 'Unblock' : 'Block', 'block', () => block(user, refresh), { describe: (user.blocked ? 'Unblock ' : 'Block ') + user.name }),
      user.source === 'guest' ? null : button('Remove', 'remove', () => removeNamed('users', user.name, 'Their token stops working. Their files stay in the main repository.', refresh), { class: 'quiet-danger', describe: 'Remove ' + user.name }))
  ], { user: user.name }))
  tables.groups.show(groups, (group) => group.name, (group) => row(GROUP_HEADINGS, [
    group.name,
    group.members.map(({ user, rights }) => h('span', { class: 'label' }, user + (rights === 'read' ? ' (reads)' : ''))),
    number(group.workspaces)
  ], { group: group.name }))
  tables.invites.show(invites, (invite) => invite.id, (invite) => row(INVITE_HEADINGS, [
    [h('span', { class: 'mono' }, invite.id.slice(0, 12)), h('div', { class: 'quiet small' }, 'by ' + invite.createdBy), Object.entries(invite.labels).map(([key, value]) => h('span', { class: 'label' }, key + '=' + value))],
    number(invite.used) + ' of ' + number(invite.uses),
    when(invite.expiresAt),
    adminButtons(button('Take back', 'remove', () => removeNamed('invites', invite.id, 'The link stops working. Servers that have joined with it stay.', refresh), { class: 'quiet-danger' }))
  ], { invite: invite.id }))
  tables.admins.show(admins, (admin) => admin.name, (admin) => row(ADMIN_HEADINGS, [
    [admin.name, admin.name === me()?.name ? h('span', { class: 'quiet' }, ' (you)') : null],
    admin.role,
    when(admin.createdAt),
    adminButtons(button('Remove', 'remove', () => removeNamed('admins', admin.name, 'Their token and their sessions stop working.', refresh), { class: 'quiet-danger', describe: 'Remove ' + admin.name }))
  ], { admin: admin.name }))
}

const adminButtons = (...buttons) => may('admin') ? h('div', { class: 'buttons tight' }, buttons) : null

async function block(user, refresh) {
  try {
    await post(at('users', user.name, 'block'), { blocked: !user.blocked })
    toast(user.name + (user.blocked ? ' may come in again' : ' is blocked'))
  } catch (error) {
    toast(error.message)
  }
  refresh()
}

function removeNamed(kind, id, text, refresh) {
  ask({
    id: 'remove-dialog',
    title: kind === 'invites' ? 'Take this invite back?' : 'Remove ' + id + '?',
    body: h('p', null, text),
    confirm: kind === 'invites' ? 'Take back' : 'Remove',
    danger: true,
    async onconfirm() {
      await remove(at(kind, id))
      refresh()
    }
  })
}

function addUser(refresh) {
  ask({
    id: 'user-dialog',
    title: 'Add a user',
    body: field('Name', 'name', { required: true, maxlength: 64, pattern: '[a-z0-9][a-z0-9._@\\-]*', hint: 'Lower-case letters, digits and . _ @ -' }),
    confirm: 'Add',
    async onconfirm({ name }) {
      const added = await post('/users', { name })
      refresh()
      showSecret({ id: 'secret-dialog', title: 'Token of ' + added.name, text: 'Give it to them now: it is not shown again. It is the password for WebDAV, with any user name.', secret: added.token })
    }
  })
}

function addInvite(refresh) {
  ask({
    id: 'invite-dialog',
    title: 'Create an invite',
    body: [
      field('Good for', 'expires', { choices: EXPIRIES, value: String(7 * 24 * HOUR) }),
      field('How many servers may use it', 'uses', { type: 'number', min: 1, max: 10000, value: 1, required: true })
    ],
    confirm: 'Create',
    async onconfirm({ expires, uses }) {
      const created = await post('/invites', { expiresMs: Number(expires), uses: Number(uses) })
      refresh()
      showSecret({ id: 'secret-dialog', title: 'Invite link', text: 'Good for ' + plural(created.uses, 'server', 'servers') + '. It is not shown again. On the server: node-daemon join LINK', secret: created.link })
    }
  })
}

function addAdmin(refresh) {
  ask({
    id: 'admin-dialog',
    title: 'Add an admin',
    body: [
      field('Name', 'name', { required: true, maxlength: 64 }),
      field('Role', 'role', { choices: ROLES, value: 'viewer' })
    ],
    confirm: 'Add',
    async onconfirm(values) {
      const added = await post('/admins', values)
      refresh()
      showSecret({ id: 'secret-dialog', title: 'Token of ' + added.name, text: 'Give it to them now: it is not shown again.', secret: added.token })
    }
  })
}

async function consoleLink() {
  try {
    const made = await post('/admins/link')
    showSecret({ id: 'secret-dialog', title: 'One-use link', text: 'Signs you in on another device, once, until ' + new Date(made.expiresAt).toLocaleTimeString() + '.', secret: made.link })
  } catch (error) {
    toast(error.message)
  }
}
`
