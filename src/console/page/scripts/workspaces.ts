export const WORKSPACES = `
import { at, get, may, post } from './api.js'
import { ask, field, toast } from './dialog.js'
import { button, byId, chip, h, row, table } from './dom.js'
import { bytes, number, shortId, unsynced, when } from './format.js'

const HEADINGS = ['Workspace', 'Home', 'Standbys', 'State', 'Head', 'Size', 'Unsynced', '']
const SHOWN = 200

let workspacesTable = null
let search = ''

export function workspacesPage(refresh) {
  workspacesTable = table('workspaces', 'Workspaces', HEADINGS, 'No workspace is found.')
  return [
    h('h1', null, 'Workspaces'),
    h('form', { role: 'search', class: 'search', onsubmit: (event) => event.preventDefault() },
      h('label', { for: 'workspace-search' }, 'Find by id, user or home'),
      h('input', { id: 'workspace-search', type: 'search', maxlength: 128, value: search, autocomplete: 'off', oninput: (event) => {
        search = event.target.value.trim()
        refresh()
      } })),
    workspacesTable.element,
    h('p', { id: 'workspaces-note', class: 'quiet small', role: 'status' })
  ]
}

export async function loadWorkspaces() {
  const query = new URLSearchParams({ limit: String(SHOWN) })
  if (search !== '') query.set('search', search)
  return get('/workspaces?' + query)
}

export function showWorkspaces(workspaces, peers, refresh) {
  const names = new Map(peers.map((peer) => [peer.peerId, peer.name]))
  const named = workspaces.map((workspace) => ({ ...workspace, standbyNames: workspace.standbys.map((id) => names.get(id) ?? shortId(id)) }))
  const targets = peers.filter((peer) => peer.state === 'serving').map((peer) => ({ peerId: peer.peerId, name: peer.name }))
  workspacesTable.show(named, (workspace) => workspace.id, (workspace) => workspaceRow(workspace, refresh))
  byId('workspaces-note').textContent = workspaces.length === SHOWN ? 'The first ' + SHOWN + ' are shown: search for others.' : ''
  moveTargets = targets
}

let moveTargets = []

function workspaceRow(workspace, refresh) {
  const { head } = workspace
  return row(HEADINGS, [
    [
      h('button', { type: 'button', class: 'name mono', data: { action: 'details' }, onclick: () => details(workspace) }, shortId(workspace.id)),
      h('div', { class: 'quiet small' }, workspace.user + ' · ' + workspace.service)
    ],
    workspace.homeName ?? h('span', { class: 'quiet' }, 'none'),
    workspace.standbyNames.length === 0 ? h('span', { class: 'quiet' }, 'none') : workspace.standbyNames.join(', '),
    chip(workspace.state),
    head === null ? h('span', { class: 'quiet' }, 'none yet') : [number(head.sequence), h('div', { class: 'quiet small' }, when(head.createdAt))],
    [bytes(workspace.usedBytes), h('div', { class: 'quiet small' }, number(workspace.files) + ' files')],
    unsynced(workspace),
    may('operator') && workspace.state === 'serving'
      ? h('div', { class: 'buttons tight' }, button('Move', 'move', () => move(workspace, refresh), { describe: 'Move workspace ' + shortId(workspace.id) }))
      : null
  ], { workspace: workspace.id, state: workspace.state })
}

function move(workspace, refresh) {
  const choices = moveTargets.filter((peer) => peer.peerId !== workspace.home).map((peer) => [peer.peerId, peer.name])
  if (choices.length === 0) return toast('no other instance serves now')
  ask({
    id: 'move-dialog',
    title: 'Move ' + shortId(workspace.id) + '?',
    body: [
      h('p', null, 'Requests of ' + workspace.user + ' wait for a moment, and go on at the new home.'),
      field('New home', 'to', { choices })
    ],
    confirm: 'Move',
    async onconfirm({ to }) {
      const moved = await post(at('workspaces', workspace.id, 'move'), { to })
      toast('moved; its user waited ' + Math.round(moved.pauseMs) + ' ms')
      refresh()
    }
  })
}

async function details(workspace) {
  let full
  try {
    full = await get(at('workspaces', workspace.id))
  } catch (error) {
    return toast(error.message)
  }
  const receipts = full.receipts.map((receipt) => h('li', null, receipt.name, h('span', { class: 'quiet' }, ' ' + receipt.role + ', head ' + receipt.sequence + ', '), when(receipt.issuedAt)))
  const diverged = full.diverged.map((head) => h('li', null, 'epoch ' + head.epoch + ', head ' + head.sequence + ' ', when(head.createdAt), h('div', { class: 'mono small' }, head.head)))
  const entries = [
    ['Id', h('span', { class: 'mono' }, full.id)],
    ['User', full.user],
    ['Service', full.service],
    ['Home', full.homeName ?? 'none'],
    ['Standbys', full.standbyNames.join(', ') || 'none'],
    ['Epoch', number(full.epoch)],
    ['Snapshot', h('span', { class: 'mono' }, full.head?.root ?? 'none yet')],
    ['History', number(full.historyCount) + ' heads']
  ]
  ask({
    id: 'workspace-dialog',
    title: 'Workspace ' + shortId(full.id),
    cancel: 'Close',
    body: [
      h('dl', { class: 'about' }, entries.map(([term, value]) => h('div', null, h('dt', null, term), h('dd', null, value)))),
      h('h3', null, 'Receipts of the newest head'),
      receipts.length === 0 ? h('p', { class: 'quiet' }, 'none yet') : h('ul', { class: 'plain-list' }, receipts),
      diverged.length === 0 ? null : [h('h3', null, 'Diverged heads'), h('ul', { class: 'plain-list' }, diverged)]
    ]
  })
}
`
