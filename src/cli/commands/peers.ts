import type { PeerDetailView, PeerView, StatusView } from '../../console/views.ts'
import { API_SETTINGS, command, group } from '../command.ts'
import { adminApi } from '../context.ts'
import { drainFact } from '../drain-view.ts'
import { ago, bytes, count, heldText, labels, unsynced } from '../format.ts'
import { facts } from '../table.ts'
import { approve, deny, drain, label, resume, revoke } from './peers-decide.ts'

const EXITS = { 4: true, 5: true } as const

const ls = command({
  name: 'ls',
  about: 'list the instances and front doors: who asks, who serves, who is gone',
  settings: API_SETTINGS,
  examples: ['node-daemon peers ls', 'node-daemon peers ls --json'],
  exits: EXITS,
  async run(context, values) {
    const api = adminApi(context, values)
    const peers = await api.get<PeerView[]>('/peers')
    context.print.machine(peers)
    const held = context.print.json ? null : (await api.get<StatusView>('/status')).held
    if (held) context.print.say(context.print.styled(['bold', 'red'], heldText(held)))
    const now = context.clock.wall()
    context.print.table(
      [
        { title: 'NAME', of: (peer) => peer.name },
        { title: 'STATE', of: (peer) => peer.state, fixed: true },
        { title: 'CODE', of: (peer) => (peer.state === 'pending' ? peer.code : ''), fixed: true },
        { title: 'ROLE', of: (peer) => (peer.role === 'instance' ? '' : peer.role) },
        { title: 'SITE', of: (peer) => peer.site },
        { title: 'HOME OF', of: (peer) => peer.workspaces, right: true },
        { title: 'STANDBY', of: (peer) => peer.standbyFor, right: true },
        { title: 'FREE', of: (peer) => bytes(peer.disk?.freeBytes), right: true },
        { title: 'UNSYNCED', of: (peer) => unsynced(peer.unsyncedBytes, peer.unsyncedAgeMs) },
        { title: 'SEEN', of: (peer) => ago(peer.lastSeenAt, now) },
        { title: 'SERVICES', of: (peer) => servicesOf(peer) },
        { title: 'NEW ONES', of: (peer) => (peer.newcomers === null ? '' : `none: ${peer.newcomers}`) },
        { title: 'LABELS', of: (peer) => labels(peer.labels) }
      ],
      peers,
      'No instances yet. Volunteers run: node-daemon join COORDINATOR'
    )
    return 0
  }
})

function routeText(route: PeerView['route']): string | null {
  if (route === null) return null
  const { asked, inUse, url, reason } = route
  return inUse === asked ? `${inUse}, ${url}` : `${inUse} in place of ${asked}, ${url}: ${reason ?? ''}`
}

/** Those that it offers and can run. */
const servicesOf = ({ services, unfit }: PeerView): string =>
  services.filter((name) => !Object.hasOwn(unfit, name)).join(', ')

const show = command({
  name: 'show',
  takes: ['<peer>'],
  about: 'one instance: who runs it, what it holds, how it is doing',
  settings: API_SETTINGS,
  examples: ['node-daemon peers show alpha'],
  exits: { 3: 'no such peer, or several are called like this', ...EXITS },
  async run(context, values, [peer = '']) {
    const view = await adminApi(context, values).get<PeerDetailView>(`/peers/${encodeURIComponent(peer)}`)
    context.print.machine(view)
    const now = context.clock.wall()
    context.print.say(
      facts([
        ['Name', view.name],
        ['Role', view.role],
        ['State', view.reason === null || view.reason === '' ? view.state : `${view.state}: ${view.reason}`],
        ['Code', view.code],
        ['Peer id', view.peerId],
        ['Contact', view.contact],
        ['Site', view.site],
        ['Message', view.message],
        ['Labels', labels(view.labels)],
        ['Services', servicesOf(view)],
        ...Object.entries(view.unfit).map(([name, why]): [string, string] => [`Not ${name}`, why]),
        ['New workspaces', view.newcomers === null ? null : `none: ${view.newcomers}`],
        ['Address', view.address],
        ['Route', routeText(view.route)],
        ['Last seen', ago(view.lastSeenAt, now)],
        ['Asked', ago(view.askedAt, now)],
        ['Decided', ago(view.decidedAt, now)],
        ['Home of', count(view.workspaces, 'workspace', 'workspaces')],
        ['Standby for', count(view.standbyFor, 'workspace', 'workspaces')],
        ['Disk', view.disk === null ? null : `${bytes(view.disk.freeBytes)} free of ${bytes(view.disk.totalBytes)}`],
        ['Disk full', view.disk?.fullAt],
        ['Unsynced', unsynced(view.unsyncedBytes, view.unsyncedAgeMs)],
        ['Pending work', view.pendingWork],
        ['Drain', drainFact(view.drain)],
        ['Version', view.version]
      ]).trimEnd()
    )
    return 0
  }
})

export const peersCommand = group('peers', 'the instances of the federation', [
  ls,
  show,
  approve,
  deny,
  revoke,
  label,
  drain,
  resume
])
