export const AUDIT = `
import { get } from './api.js'
import { button, byId, h, row, table } from './dom.js'
import { number, plural, shortPeer, when } from './format.js'

const HEADINGS = ['No.', 'When', 'Who', 'What', 'Whom', 'Details']
const SHOWN = 100

let auditTable = null

export function auditPage() {
  auditTable = table('audit', 'Audit log', HEADINGS, 'Nothing was decided yet.')
  return [
    h('div', { class: 'section-head' },
      h('div', null, h('h1', null, 'Audit log'), h('p', { class: 'quiet' }, 'Each entry names the one before it: a change that nobody should see would break the chain.')),
      button('Check the chain', 'verify', verify)),
    h('p', { id: 'audit-check', role: 'status' }),
    auditTable.element
  ]
}

export const loadAudit = () => get('/audit?limit=' + SHOWN)

export function showAudit(entries) {
  auditTable.show(entries, (entry) => entry.number, (entry) => row(HEADINGS, [
    number(entry.number),
    when(entry.at),
    entry.actor,
    entry.action,
    h('span', { title: entry.target }, entry.target.length > 32 ? shortPeer(entry.target) : entry.target),
    h('span', { class: 'quiet small' }, entry.text || detailsText(entry.details))
  ], { entry: entry.number }))
}

function detailsText(details) {
  if (details === null || typeof details !== 'object') return details === null ? '' : String(details)
  return Object.entries(details).map(([key, value]) => key + ': ' + (typeof value === 'object' ? JSON.stringify(value) : value)).join(', ')
}

async function verify() {
  const note = byId('audit-check')
  note.textContent = 'Checking…'
  try {
    const found = await get('/audit/verify')
    note.dataset.ok = String(found.ok)
    note.textContent = found.ok ? 'The chain is whole: ' + plural(found.entries, 'entry', 'entries') + '.' : 'The chain is broken at entry ' + found.brokenAt + '.'
  } catch (error) {
    note.textContent = error.message
  }
}
`
