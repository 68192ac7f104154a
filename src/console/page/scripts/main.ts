export const MAIN = String.raw`
import { get, me, signIn, signOut, whenSignedOut } from './api.js'
import { auditPage, loadAudit, showAudit } from './audit.js'
import { problem } from './dialog.js'
import { byId } from './dom.js'
import { refreshAges } from './format.js'
import { overviewPage, showOverview } from './overview.js'
import { peersPage, runningDrains, showPeers } from './peers.js'
import { showPending } from './pending.js'
import { loadPeople, peoplePage, showPeople } from './people.js'
import { loadWorkspaces, showWorkspaces, workspacesPage } from './workspaces.js'

const { setTimeout: later, clearTimeout: never } = window
const REFRESH_GAP_MS = 1000
const POLL_MS = 5000
const POLL_WHILE_LIVE_MS = 15000

/** Each page: what stands on it, what it needs, how that is shown. All get status and peers. */
const PAGES = {
  overview: { build: () => overviewPage(), load: async () => null, show: (_, status, peers) => showOverview(status, peers) },
  peers: { build: () => peersPage(), load: (peers) => runningDrains(peers), show: (drains, _, peers) => showPeers(peers, drains, refresh) },
  workspaces: { build: () => workspacesPage(refresh), load: () => loadWorkspaces(), show: (list, _, peers) => showWorkspaces(list, peers, refresh) },
  people: { build: () => peoplePage(refresh), load: () => loadPeople(), show: (people) => showPeople(people, refresh) },
  audit: { build: () => auditPage(), load: () => loadAudit(), show: (entries) => showAudit(entries) }
}

let page = ''
let events = null
let running = false
let again = false
let timer = null

function open() {
  const wanted = location.hash.replace(/^#\/?/, '')
  const name = Object.hasOwn(PAGES, wanted) ? wanted : 'overview'
  if (name !== page) {
    page = name
    byId('page').replaceChildren(...PAGES[name].build())
    document.title = name[0].toUpperCase() + name.slice(1) + ' – node-daemon'
  }
  for (const link of document.querySelectorAll('nav a')) {
    if (link.dataset.page === name) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  refresh()
}

/** Asks for everything that is shown, one round at a time; a call during a round leads to one more. */
async function refresh() {
  if (me() === null) return
  if (running) {
    again = true
    return
  }
  running = true
  never(timer)
  try {
    await round(page)
    trouble('')
  } catch (error) {
    trouble(error.code === 'UNAUTHENTICATED' ? '' : problem(error))
  }
  running = false
  if (me() === null || document.hidden) return
  const live = byId('live').dataset.state === 'live'
  timer = later(refresh, again ? REFRESH_GAP_MS : live ? POLL_WHILE_LIVE_MS : POLL_MS)
  again = false
}

async function round(name) {
  const [status, peers] = await Promise.all([get('/status'), get('/peers')])
  const own = await PAGES[name].load(peers)
  byId('federation').textContent = status.name
  byId('footer').textContent = 'node-daemon ' + status.version + ' · ' + status.admin
  showPending(peers, name === 'overview' || name === 'peers', refresh)
  if (name === page) PAGES[name].show(own, status, peers)
  else again = true
  refreshAges()
}

function trouble(text) {
  const element = byId('trouble')
  element.hidden = text === ''
  if (element.textContent !== text) element.textContent = text
}

/**
 * Changes come as events; without them the page asks every few seconds. A tab that nobody sees does neither: a browser
 * opens only six connections to one place, and each stream takes one.
 */
function listen() {
  events?.close()
  if (document.hidden) return
  const source = new EventSource('/api/v1/events')
  events = source
  source.addEventListener('open', () => liveState('live', 'live'))
  source.addEventListener('change', () => changed())
  source.addEventListener('error', () => {
    liveState('polling', 'every 5 s')
    if (source.readyState === EventSource.CLOSED) later(() => events === source && me() !== null && listen(), POLL_MS)
  })
}

let changeTimer = null
function changed() {
  if (running) again = true
  else if (changeTimer === null) {
    changeTimer = later(() => {
      changeTimer = null
      refresh()
    }, REFRESH_GAP_MS / 4)
  }
}

function liveState(state, text) {
  const element = byId('live')
  if (element.dataset.state === state) return
  element.dataset.state = state
  element.textContent = text
}

function showSignIn(message = '') {
  events?.close()
  events = null
  never(timer)
  page = ''
  for (const dialog of document.querySelectorAll('dialog')) dialog.close()
  byId('app').hidden = true
  byId('sign-in').hidden = false
  byId('sign-in-error').textContent = message
  byId('token').value = ''
  byId('token').focus()
}

function showApp() {
  byId('sign-in').hidden = true
  byId('app').hidden = false
  byId('who').textContent = me().name + ' · ' + me().role
  listen()
  open()
}

async function enter(secret) {
  try {
    await signIn(secret)
    showApp()
  } catch (error) {
    showSignIn(problem(error))
  }
}

/** A one-use link leaves the address bar before it is used, so that no history keeps it. */
function takeLink() {
  const match = /^#link=([A-Za-z0-9_-]{1,256})$/.exec(location.hash)
  if (match === null) return null
  history.replaceState(null, '', '/')
  return match[1]
}

function start() {
  const link = takeLink()
  if (link !== null) return enter({ link })
  if (me() === null) return showSignIn()
  showApp()
}

whenSignedOut(() => showSignIn('You are signed out.'))
byId('sign-in-form').addEventListener('submit', (event) => {
  event.preventDefault()
  enter({ token: byId('token').value.trim() })
})
byId('sign-out').addEventListener('click', () => signOut().catch((error) => trouble(problem(error))))
window.addEventListener('hashchange', () => {
  const link = takeLink()
  if (link !== null) enter({ link })
  else if (me() !== null && location.hash.startsWith('#/')) open()
})
document.addEventListener('visibilitychange', () => {
  if (me() === null) return
  listen()
  if (!document.hidden) refresh()
})
start()
`
