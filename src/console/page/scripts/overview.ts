export const OVERVIEW = String.raw`
import { post } from './api.js'
import { ask, toast } from './dialog.js'
import { button, chip, h, renderList, byId } from './dom.js'
import { bytes, duration, number, plural, unsyncedSize, when } from './format.js'

const TROUBLED = ['stalled', 'dead', 'draining']
const MEMBERS = ['approved', 'serving', 'draining', 'stalled', 'drained', 'dead']

export function overviewPage() {
  return [
    h('h1', { class: 'hidden' }, 'Overview'),
    h('p', { id: 'safety', class: 'safety', role: 'status' }),
    h('p', { id: 'held', hidden: true }, button('They are gone: go on', 'confirm-failover', () => goOn())),
    h('div', { id: 'figures', class: 'figures' }),
    h('section', { id: 'attention', hidden: true },
      h('h2', null, 'Worth a look'),
      h('ul', { id: 'attention-list', class: 'plain-list' })),
    h('section', null,
      h('h2', null, 'This coordinator'),
      h('dl', { id: 'about', class: 'about' }))
  ]
}

/** How things are, the worst of it first: data-safe is "true", "false" or "damaged". */
export function safetyOf({ unsyncedBytes, unsyncedAgeMs, workspaces, repository, held }) {
  const { damaged } = repository
  const { waiting } = workspaces
  const said = [
    held && 'Nothing is promoted: ' + held + '.',
    damaged > 0 && plural(damaged, 'block of the main repository is', 'blocks of the main repository are') + ' damaged: connect the instances that had these files, then run node-daemon repo verify.',
    waiting > 0 && plural(waiting, 'workspace waits', 'workspaces wait') + ' for an instance.',
    (unsyncedBytes > 0 || unsyncedAgeMs > 0) && 'Not everything is safe yet: for ' + duration(unsyncedAgeMs) + ' ' + unsyncedSize({ unsyncedBytes }) + ' have stood on one disk only.'
  ].filter(Boolean)
  if (said.length === 0) return { safe: 'true', text: 'Everything is safe: nothing stands on one disk only.' }
  return { safe: damaged > 0 || held ? 'damaged' : 'false', text: said.join(' ') }
}

export function showOverview(status, peers) {
  const safety = byId('safety')
  const { safe, text } = safetyOf(status)
  safety.dataset.safe = safe
  if (safety.textContent !== text) safety.textContent = text
  byId('held').hidden = !status.held
  renderList(byId('figures'), figures(status, peers), (figure) => figure.id, figureCard)
  const attention = peers.filter((peer) => TROUBLED.includes(peer.state))
  byId('attention').hidden = attention.length === 0
  renderList(byId('attention-list'), attention, (peer) => peer.peerId, (peer) =>
    h('li', null, chip(peer.state), ' ', h('a', { href: '#/peers' }, peer.name), h('span', { class: 'quiet' }, ' is home of ' + plural(peer.workspaces, 'workspace', 'workspaces'))))
  renderList(byId('about'), about(status), ([term]) => term, ([term, value]) => h('div', null, h('dt', null, term), h('dd', null, value)))
}

function goOn() {
  ask({
    id: 'failover-dialog',
    title: 'Give up the instances that are gone?',
    body: h('p', null, 'Others take over what they were home of. If only the line to them is broken, wait instead: they come back by themselves.'),
    confirm: 'Go on without them',
    danger: true,
    async onconfirm() {
      await post('/failover/confirm')
      toast('others take over')
    }
  })
}

function figures(status, peers) {
  const { instances, workspaces, repository } = status
  const members = peers.filter((peer) => MEMBERS.includes(peer.state)).length
  return [
    { id: 'serving', value: number(instances.serving), title: instances.serving === 1 ? 'instance serves' : 'instances serve', note: 'of ' + plural(members, 'member', 'members') },
    { id: 'pending', value: number(instances.pending), title: 'pending', note: instances.pending === 0 ? 'nobody waits' : 'waiting for approval', warn: instances.pending > 0 },
    { id: 'workspaces', value: number(workspaces.total), title: workspaces.total === 1 ? 'workspace' : 'workspaces', note: workspaces.waiting === 0 ? 'all have a home' : plural(workspaces.waiting, 'waits', 'wait') + ' for an instance', warn: workspaces.waiting > 0 },
    { id: 'unsynced', value: bytes(status.unsyncedBytes), title: 'unsynced', note: status.unsyncedAgeMs === 0 ? 'all is in the repository' : 'oldest for ' + duration(status.unsyncedAgeMs), warn: status.unsyncedAgeMs > 60000 },
    { id: 'repository', value: bytes(repository.storedBytes), title: 'main repository', note: 'holds ' + bytes(repository.logicalBytes) + ' · ' + plural(repository.heads, 'head', 'heads') },
    { id: 'health', value: repository.damaged === 0 ? 'whole' : number(repository.damaged), title: repository.damaged === 0 ? 'main repository' : (repository.damaged === 1 ? 'damaged block' : 'damaged blocks'), note: health(repository), warn: repository.damaged > 0 },
    { id: 'users', value: number(status.users), title: status.users === 1 ? 'named user' : 'named users', note: 'guests not counted' }
  ]
}

function health(repository) {
  if (repository.damaged > 0) return 'no connected instance has them'
  return repository.lastVerifyAt === null ? 'not read again yet' : ['read again ', when(repository.lastVerifyAt)]
}

function figureCard(figure) {
  return h('div', { class: 'figure', data: { figure: figure.id, warn: String(figure.warn === true) } },
    h('div', { class: 'figure-title' }, figure.title),
    h('div', { class: 'figure-value' }, figure.value),
    h('div', { class: 'figure-note' }, figure.note))
}

function about(status) {
  return [
    ['Front door', status.http],
    ['Members dial', status.addresses.join('\n')],
    ['Peer id', status.peerId],
    ['Data folder', status.dataFolder],
    ['Running since', new Date(status.startedAt).toLocaleString()],
    ['Version', status.version]
  ]
}
`
