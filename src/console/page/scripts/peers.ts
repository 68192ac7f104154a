export const PEERS = String.raw`
import { at, get, may, post } from './api.js'
import { ask, field, toast } from './dialog.js'
import { button, chip, h, row, table } from './dom.js'
import { drain, drainProgress, resume } from './drain.js'
import { bytes, number, plural, unsynced, unsyncedSize, when } from './format.js'

const HEADINGS = ['Peer', 'State', 'Disk', 'Workspaces', 'Unsynced', 'Last seen', '']
const ORDER = ['stalled', 'draining', 'dead', 'serving', 'approved', 'drained', 'left', 'denied', 'revoked']
const MEMBERS = ['approved', 'serving', 'draining', 'stalled', 'drained', 'dead']
const WITH_CERTIFICATE = ['drained', 'left']
const DRAINS_SHOWN = 16

let peersTable = null

export function peersPage() {
  peersTable = table('peers', 'Peers', HEADINGS, 'No instance has joined yet. Give volunteers the join line that the coordinator printed, or an invite.')
  return [h('h1', null, 'Peers'), peersTable.element]
}

/** The drains that run, by peer id. */
export async function runningDrains(peers) {
  const busy = peers.filter((peer) => peer.state === 'draining' || peer.state === 'stalled').slice(0, DRAINS_SHOWN)
  const found = await Promise.all(busy.map(async (peer) => {
    try {
      return [peer.peerId, await get(at('peers', peer.peerId, 'drain'))]
    } catch (error) {
      if (error.code === 'NOT_FOUND') return null
      throw error
    }
  }))
  return new Map(found.filter((entry) => entry !== null))
}

export function showPeers(peers, drains, refresh) {
  const shown = peers
    .filter((peer) => peer.state !== 'pending')
    .map((peer) => ({ ...peer, drain: drains.get(peer.peerId) ?? null }))
    .sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.name.localeCompare(b.name))
  peersTable.show(shown, (peer) => peer.peerId, (peer) => peerRow(peer, refresh))
}

function peerRow(peer, refresh) {
  return row(HEADINGS, [
    [
      h('button', { type: 'button', class: 'name', data: { action: 'details' }, onclick: () => details(peer, refresh) }, peer.name),
      h('div', { class: 'quiet small' }, [peer.site, peer.contact].filter(Boolean).join(' · ')),
      Object.entries(peer.labels).map(([key, value]) => h('span', { class: 'label' }, key + '=' + value))
    ],
    [chip(peer.state), peer.drain === null ? null : drainProgress(peer.drain), certificateLink(peer)],
    diskBar(peer.disk),
    [number(peer.workspaces), peer.standbyFor > 0 ? h('div', { class: 'quiet small' }, 'standby for ' + number(peer.standbyFor)) : null],
    unsynced(peer),
    when(peer.lastSeenAt),
    h('div', { class: 'buttons tight' }, actions(peer, refresh))
  ], { peer: peer.peerId, state: peer.state })
}

function certificateLink(peer) {
  if (!WITH_CERTIFICATE.includes(peer.state)) return null
  return h('a', { class: 'small block', data: { action: 'certificate' }, href: '/api/v1' + at('peers', peer.peerId, 'certificate'), download: true }, 'Exit certificate')
}

function diskBar(disk) {
  if (disk === null) return h('span', { class: 'quiet' }, '–')
  const used = disk.totalBytes - disk.freeBytes
  const share = disk.totalBytes === 0 ? 0 : used / disk.totalBytes
  const text = bytes(disk.freeBytes) + ' free'
  return [
    h('meter', { min: 0, max: 1, low: 0.8, high: 0.92, optimum: 0, value: share, 'aria-label': Math.round(share * 100) + ' % used, ' + text }),
    h('div', { class: 'quiet small' }, text),
    disk.fullAt === null ? null : h('div', { class: 'small' }, 'full ', when(disk.fullAt))
  ]
}

function actions(peer, refresh) {
  const list = []
  if (may('operator')) {
    if (peer.state === 'serving' || peer.state === 'approved') list.push(button('Drain', 'drain', () => drain(peer, refresh), { describe: 'Drain ' + peer.name }))
    if (['draining', 'stalled', 'drained'].includes(peer.state)) list.push(button('Resume', 'resume', () => resume(peer, refresh), { describe: 'Resume ' + peer.name }))
  }
  if (may('admin') && MEMBERS.includes(peer.state)) list.push(button('Revoke', 'revoke', () => revoke(peer, refresh), { class: 'quiet-danger', describe: 'Revoke ' + peer.name }))
  return list
}

function revoke(peer, refresh) {
  ask({
    id: 'revoke-dialog',
    title: 'Revoke ' + peer.name + '?',
    body: [
      h('p', null, 'It is cut off at once, and what it is home of (' + plural(peer.workspaces, 'workspace', 'workspaces') + ') goes to standbys.'),
      peer.unsyncedAgeMs > 0 ? h('p', { class: 'problem' }, 'On its disk only, and out of reach then: ' + unsyncedSize(peer) + '.') : null,
      h('p', { class: 'quiet' }, 'To let a server go without hurry, drain it.'),
      field('Reason', 'reason', { maxlength: 500 })
    ],
    confirm: 'Revoke',
    danger: true,
    async onconfirm({ reason }) {
      await post(at('peers', peer.peerId, 'revoke'), { reason })
      toast(peer.name + ' is revoked')
      refresh()
    }
  })
}

async function details(peer, refresh) {
  let full
  try {
    full = await get(at('peers', peer.peerId))
  } catch (error) {
    return toast(error.message)
  }
  const entries = [
    ['Peer id', h('span', { class: 'mono' }, full.peerId)],
    ['Code', full.code],
    ['State', [chip(full.state), full.reason ? ' ' + full.reason : '']],
    ['Contact', full.contact],
    ['Site', full.site],
    ['Message', full.message],
    ['Services', full.services.join(', ')],
    ['Capacity', full.capacityBytes === null ? '' : bytes(full.capacityBytes)],
    ['Version', full.version],
    ['Address', full.address ?? ''],
    ['Route', full.route === null ? '' : full.route.inUse + ', ' + full.route.url + (full.route.reason === null ? '' : ': ' + full.route.reason)],
    ['Asked', full.askedAt === null ? '' : when(full.askedAt)],
    ['Decided', full.decidedAt === null ? '' : when(full.decidedAt)],
    ['Drain planned', full.drain === null || full.drain.plannedAt === null ? '' : plannedDrain(full, refresh)],
    ['Tasks', full.pendingWork === 0 ? '' : number(full.pendingWork)]
  ]
  const labels = Object.entries(full.labels).map(([key, value]) => key + '=' + value).join(' ')
  const editable = may('operator')
  ask({
    id: 'peer-dialog',
    title: full.name,
    cancel: editable ? 'Cancel' : 'Close',
    confirm: editable ? 'Save labels' : null,
    body: [
      h('dl', { class: 'about' }, entries.filter(([, value]) => value !== '').map(([term, value]) => h('div', null, h('dt', null, term), h('dd', null, value)))),
      editable ? field('Labels', 'labels', { value: labels, hint: 'key=value, with spaces between' }) : h('p', null, labels)
    ],
    async onconfirm(values) {
      await post(at('peers', full.peerId, 'label'), { labels: labelChange(full.labels, values.labels) })
      toast('labels of ' + full.name + ' are saved')
      refresh()
    }
  })
}

function plannedDrain(peer, refresh) {
  const cancel = async () => {
    try {
      await post(at('peers', peer.peerId, 'drain', 'cancel'))
      toast('the drain of ' + peer.name + ' is not planned any more')
      refresh()
    } catch (error) {
      toast(error.message)
    }
  }
  const { plannedAt, reason, state } = peer.drain
  const why = state === 'serving' && reason ? ' (' + reason + ') ' : ' '
  return [new Date(plannedAt).toLocaleString() + why, may('operator') ? button('Cancel', 'cancel-drain', cancel) : null]
}

function labelChange(before, text) {
  const after = text.split(/\s+/).filter(Boolean).map((pair) => {
    const [key, ...rest] = pair.split('=')
    if (rest.length === 0 || key === '' || rest.join('=') === '') throw new Error('a label has the form key=value: ' + pair)
    return [key, rest.join('=')]
  })
  const gone = Object.keys(before).filter((key) => !after.some(([kept]) => kept === key))
  return Object.fromEntries([...after, ...gone.map((key) => [key, null])])
}
`
