export const DRAIN = `
import { at, post } from './api.js'
import { ask, field, problem, toast } from './dialog.js'
import { byId, h } from './dom.js'
import { bytes, duration, plural, shortId } from './format.js'

const PLAN_SHOWN = 50
const MINUTE = 60000
const DEADLINES = [[String(10 * MINUTE), '10 minutes'], [String(60 * MINUTE), '1 hour'], [String(24 * 60 * MINUTE), '1 day']]

/** How far a drain is, for the peers table. */
export function drainProgress(drain) {
  const { workspaces, bytes: moved } = drain
  const words = [
    workspaces.done + ' of ' + plural(workspaces.total, 'workspace', 'workspaces'),
    bytes(moved.done) + ' of ' + bytes(moved.total),
    drain.etaMs === null ? '' : 'about ' + duration(drain.etaMs) + ' left'
  ]
  return h('div', { class: 'drain', data: { drain: drain.state } },
    h('progress', { max: Math.max(1, moved.total + workspaces.total), value: moved.done + workspaces.done, 'aria-label': 'Drain' }),
    h('div', { class: 'quiet small' }, words.filter(Boolean).join(' · ')),
    drain.reason ? h('div', { class: 'small' + (drain.state === 'stalled' ? ' problem' : '') }, drain.reason) : null)
}

/** Shows the plan first; nothing moves before it is confirmed. */
export function drain(peer, refresh) {
  const plan = h('div', { id: 'drain-plan', class: 'plan', 'aria-live': 'polite' })
  const order = () => ({
    deadlineMs: Number(byId('field-deadline').value),
    toRepository: byId('field-to-repository').checked,
    ...(byId('field-at').value === '' ? {} : { at: new Date(byId('field-at').value).toISOString() })
  })
  const { confirm } = ask({
    id: 'drain-dialog',
    title: 'Drain ' + peer.name + '?',
    body: [
      h('p', null, 'Everything that it is home of is handed over while users work on. It can be cancelled at any time.'),
      field('Deadline', 'deadline', { choices: DEADLINES, onchange: () => look() }),
      field('Begin at', 'at', { type: 'datetime-local', hint: 'empty: now' }),
      h('label', { class: 'check' },
        h('input', { type: 'checkbox', id: 'field-to-repository', name: 'toRepository', onchange: () => look() }),
        'To the main repository only: safe, but nobody serves it meanwhile'),
      plan
    ],
    confirm: 'Start the drain',
    async onconfirm() {
      const { plannedAt } = await post(at('peers', peer.peerId, 'drain'), order())
      toast('the drain of ' + peer.name + (plannedAt === null ? ' has begun' : ' is planned'))
      refresh()
    }
  })
  let latest = 0
  async function look() {
    latest += 1
    const mine = latest
    confirm.disabled = true
    plan.replaceChildren(h('p', { class: 'quiet' }, 'Looking whether that can be done…'))
    let parts, possible
    try {
      const found = await post(at('peers', peer.peerId, 'drain'), { ...order(), plan: true })
      possible = found.state !== 'failed'
      parts = possible ? planTable(found) : [h('p', { class: 'problem' }, found.reason ?? 'This drain cannot finish.')]
    } catch (error) {
      possible = false
      parts = [h('p', { class: 'problem' }, problem(error))]
    }
    if (mine !== latest) return
    plan.replaceChildren(...parts)
    confirm.disabled = !possible
  }
  look()
}

function planTable(found) {
  const summary = plural(found.workspaces.total, 'workspace', 'workspaces') + ', ' + bytes(found.bytes.total) +
    (found.etaMs === null ? '' : ', about ' + duration(found.etaMs))
  const rows = found.plan.slice(0, PLAN_SHOWN).map((move) =>
    h('li', null, h('span', { class: 'mono' }, shortId(move.workspace)), ' → ', move.toName,
      h('span', { class: 'quiet' }, '  ' + bytes(move.bytes) + (move.busy ? ' · in use: waited for, and moved last' : ''))))
  const more = found.plan.length - rows.length
  return [
    h('p', null, h('strong', null, summary)),
    h('ul', { class: 'plain-list' }, rows, more > 0 ? h('li', { class: 'quiet' }, 'and ' + more + ' more') : null)
  ]
}

export function resume(peer, refresh) {
  ask({
    id: 'resume-dialog',
    title: 'Let ' + peer.name + ' serve again?',
    body: h('p', null, peer.state === 'drained' ? 'It may be given workspaces again.' : 'The drain is cancelled. What has moved stays where it is now.'),
    confirm: 'Resume',
    async onconfirm() {
      await post(at('peers', peer.peerId, 'resume'))
      toast(peer.name + ' serves on')
      refresh()
    }
  })
}
`
