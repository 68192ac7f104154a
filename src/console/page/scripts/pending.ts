export const PENDING = `
import { at, may, post } from './api.js'
import { ask, field, toast } from './dialog.js'
import { button, byId, h, renderList } from './dom.js'
import { bytes, shortPeer } from './format.js'

/** The peers that wait for a decision: their number in the navigation, and where wanted their cards on top. */
export function showPending(peers, wanted, refresh) {
  const pending = peers.filter((peer) => peer.state === 'pending')
  byId('pending').hidden = pending.length === 0 || !wanted
  const badge = byId('pending-badge')
  badge.hidden = pending.length === 0
  badge.textContent = String(pending.length)
  badge.setAttribute('aria-label', pending.length + ' waiting')
  renderList(byId('pending-cards'), pending, (peer) => peer.peerId, (peer) => card(peer, refresh))
}

function card(peer, refresh) {
  return h('article', { class: 'card', data: { peer: peer.peerId } },
    h('h3', null, peer.name),
    h('p', { class: 'code', data: { code: peer.code } }, peer.code),
    facts(peer),
    peer.message === '' ? null : h('blockquote', null, peer.message),
    may('operator')
      ? h('div', { class: 'buttons' },
          button('Approve', 'approve', () => approve(peer, refresh), { class: 'primary', describe: 'Approve ' + peer.name }),
          button('Deny', 'deny', () => deny(peer, refresh), { describe: 'Deny ' + peer.name }))
      : h('p', { class: 'quiet' }, 'An operator or admin decides.'))
}

function facts(peer) {
  const labels = Object.entries(peer.labels).map(([key, value]) => h('span', { class: 'label' }, key + '=' + value))
  const entries = [
    ['Contact', peer.contact],
    ['Site', peer.site],
    ['Offers', [peer.services.join(', '), peer.capacityBytes === null ? '' : bytes(peer.capacityBytes)].filter(Boolean).join(' · ')],
    ['Labels', labels],
    ['Key', h('span', { class: 'mono', title: peer.peerId }, shortPeer(peer.peerId))]
  ]
  return h('dl', null, entries.filter(([, value]) => value.length !== 0).map(([term, value]) => [h('dt', null, term), h('dd', null, value)]))
}

export function approve(peer, refresh) {
  ask({
    id: 'approve-dialog',
    title: 'Approve ' + peer.name + '?',
    body: [
      h('p', null, 'Compare this code with the one on the volunteer’s screen, over the phone or a chat that you trust:'),
      h('p', { class: 'code big' }, peer.code),
      h('p', { class: 'quiet' }, 'A different code means a different machine: deny it. Once approved, this server stores and serves files of your users.')
    ],
    confirm: 'The code matches: approve',
    async onconfirm() {
      await post(at('peers', peer.peerId, 'approve'), { code: peer.code })
      toast(peer.name + ' is approved')
      refresh()
    }
  })
}

function deny(peer, refresh) {
  ask({
    id: 'deny-dialog',
    title: 'Deny ' + peer.name + '?',
    body: field('Reason, shown to the volunteer', 'reason', { maxlength: 500 }),
    confirm: 'Deny',
    danger: true,
    async onconfirm({ reason }) {
      await post(at('peers', peer.peerId, 'deny'), { reason })
      toast(peer.name + ' is denied')
      refresh()
    }
  })
}
`
