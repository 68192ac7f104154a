import type { FrontDoorStatusView } from '../../console/front-door-routes.ts'
import type { InstanceStatusView, StatusView } from '../../console/views.ts'
import { hasCode, NodeDaemonError } from '../../core/errors.ts'
import { API_SETTINGS, command } from '../command.ts'
import { adminApi, type Context } from '../context.ts'
import { drainFact } from '../drain-view.ts'
import { defaultFolder, ROLES } from '../folders.ts'
import { ago, bytes, clean, count, duration, heldText, limitText, unsynced } from '../format.ts'
import { connectApi, folderPlace } from '../local-client.ts'
import type { Printer } from '../printer.ts'
import { facts } from '../table.ts'

type AnyStatus = StatusView | InstanceStatusView | FrontDoorStatusView

/** The daemons that run here: of the folder that was named, else of both default folders. */
async function localStatus(context: Context): Promise<AnyStatus[]> {
  const { env, home } = context.terminal
  const folders = context.data === null ? ROLES.map((role) => defaultFolder(role, env, home)) : [context.data]
  const found: AnyStatus[] = []
  for (const folder of new Set(folders)) {
    try {
      found.push(await connectApi(folderPlace(folder, 'instance')).get<AnyStatus>('/status'))
    } catch (error) {
      if (!hasCode(error, 'NOT_RUNNING')) throw error
    }
  }
  if (found.length === 0) {
    throw new NodeDaemonError('NOT_RUNNING', `no daemon runs on ${[...new Set(folders)].join(' or ')}`, {
      advice:
        'start one with: node-daemon join COORDINATOR   or: node-daemon coordinator, front-door   (or say where it is with --data DIR)'
    })
  }
  return found
}

function verdict(print: Printer, view: AnyStatus): void {
  if (view.role === 'coordinator') warn(print, view)
  const why = view.reason === null || view.reason === '' ? '' : ` ${clean(view.reason)}`
  print.say(
    view.safeToSwitchOff
      ? print.styled('green', `Safe to switch off.${why}`)
      : print.styled(['bold', 'red'], `NOT safe to switch off:${why || ' not everything stands elsewhere yet.'}`)
  )
}

/** What is not well, before all else. */
function warn(print: Printer, { repository, workspaces, held }: StatusView): void {
  if (held) print.say(print.styled(['bold', 'red'], heldText(held)))
  if (repository.damaged > 0) {
    const what = count(repository.damaged, 'block', 'blocks')
    print.say(print.styled(['bold', 'red'], `DAMAGED: ${what} of the main repository: see "node-daemon repo verify".`))
  }
  if (workspaces.waiting > 0) {
    const what = count(workspaces.waiting, 'workspace waits', 'workspaces wait')
    print.say(print.styled('yellow', `${what} for an instance.`))
  }
}

function showInstance(print: Printer, view: InstanceStatusView, now: number): void {
  const { coordinator, limits } = view
  print.say(
    facts([
      ['Instance', `${view.name}, ${view.state}, started ${ago(view.startedAt, now)}`],
      ['Code', view.code],
      ['Federation', `${coordinator.federation || 'not known yet'} (${connection(coordinator)})`],
      ['Serves', `${count(view.workspaces.home, 'workspace', 'workspaces')} of ${count(view.users, 'user', 'users')}`],
      ['Stands by for', count(view.workspaces.standby, 'workspace', 'workspaces')],
      ['Disk', `${bytes(view.usedBytes)} used${limits.capacity === null ? '' : ` of ${bytes(limits.capacity)} lent`}`],
      [
        'Network',
        `up: ${limitText(limits.uploadLimit, limits.uploadHours)}, down: ${limitText(limits.downloadLimit, limits.downloadHours)}`
      ],
      ['Unsynced', unsynced(view.unsyncedBytes, view.unsyncedAgeMs)],
      ['Drain', drainFact(view.drain)],
      ...(Math.abs(view.clockSkewMs ?? 0) > 60_000
        ? [['Clock', `off by ${duration(Math.abs(view.clockSkewMs ?? 0))}`] as const]
        : []),
      ['Version', view.version]
    ]).trimEnd()
  )
}

const connection = ({ connected, by }: InstanceStatusView['coordinator']): string =>
  connected ? `connected${by === 'websocket' ? ' by WebSocket' : ''}` : 'not connected'

const damage = ({ damaged }: StatusView['repository']): string =>
  damaged === 0 ? '' : `, ${count(damaged, 'block', 'blocks')} DAMAGED`

function showCoordinator(print: Printer, view: StatusView, now: number): void {
  const { instances, workspaces, repository } = view
  print.say(
    facts([
      ['Coordinator', `of ${view.name}, ${view.state}, started ${ago(view.startedAt, now)}`],
      ['Front door', view.http],
      ['Console', view.admin],
      ['Addresses', view.addresses.join('  ')],
      ['Instances', `${instances.serving} serving, ${instances.pending} pending, ${instances.total} in all`],
      [
        'Workspaces',
        `${workspaces.total}${workspaces.waiting === 0 ? '' : `, ${workspaces.waiting} waiting for an instance`}`
      ],
      ['Users', view.users],
      [
        'Repository',
        `${bytes(repository.storedBytes)} for ${bytes(repository.logicalBytes)} of files${damage(repository)}`
      ],
      ['Unsynced', unsynced(view.unsyncedBytes, view.unsyncedAgeMs)],
      ['Data folder', view.dataFolder],
      ['Version', view.version]
    ]).trimEnd()
  )
}

function showFrontDoor(print: Printer, view: FrontDoorStatusView, now: number): void {
  print.say(
    facts([
      ['Front door', `${view.name}, ${view.state}, started ${ago(view.startedAt, now)}`],
      ['Code', view.code],
      ['Users go to', view.http ?? 'nobody is let in yet'],
      ['Instances reach', view.addresses.join('  ')],
      ['Data folder', view.dataFolder],
      ['Process', view.pid],
      ['Version', view.version]
    ]).trimEnd()
  )
}

export const statusCommand = command({
  name: 'status',
  about: 'how the daemon of this machine is doing, and whether it is safe to switch off',
  settings: API_SETTINGS,
  examples: ['node-daemon status', 'node-daemon status --json --data /srv/instance'],
  exits: { 4: true, 5: 'nothing runs here' },
  async run(context, values) {
    const views =
      values.api === null ? await localStatus(context) : [await adminApi(context, values).get<StatusView>('/status')]
    context.print.machine(views.length === 1 ? views[0] : views)
    const now = context.clock.wall()
    for (const [index, view] of views.entries()) {
      if (index > 0) context.print.say()
      verdict(context.print, view)
      if (view.role === 'instance') showInstance(context.print, view, now)
      else if (view.role === 'front-door') showFrontDoor(context.print, view, now)
      else showCoordinator(context.print, view, now)
    }
    return 0
  }
})
