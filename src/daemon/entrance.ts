import { existsSync } from 'node:fs'
import { allowanceOf, NOTHING_USED } from '../apps/allowance.ts'
import type { App, AppRequestContext } from '../apps/app.ts'
import { commandApp, type WorkspaceApps } from '../apps/command/command.ts'
import { DiskRoom, type DiskRoomDeps } from '../apps/disk-room.ts'
import { filesApp } from '../apps/files/files.ts'
import { upstreamApp } from '../apps/upstream/upstream.ts'
import type { Clock } from '../core/clock.ts'
import { hasCode, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, ServiceName, UserId, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Random } from '../core/random.ts'
import type { Admission } from '../handover/resident.ts'
import { notHome } from '../handover/resident-deps.ts'
import type { Host } from '../network/host.ts'
import { Ingress, type IngressTarget } from '../routing/ingress.ts'
import type { IngressDoor } from '../routing/routes/ingress-door.ts'
import { HTTP_PROTOCOL } from '../wire/http.ts'
import type { IngressNews } from '../wire/ingress.ts'
import type { Offer } from './offers.ts'

/** Where users' requests come in. */
export interface Entrance {
  /** What counts from now on for requests that do not come through the tunnel. */
  told(news: IngressNews): void
  /** Workspaces whose users are at work past the front door: open WebSockets, requests that take long. */
  busy(): readonly WorkspaceId[]
  /** Takes no more requests, and breaks those on their way. */
  stop(): Promise<void>
  /** Resolves once nothing that users asked for is at work any more. */
  close(): Promise<void>
}

/** What an entrance lets requests into. */
export interface Served {
  /** The name under which people know this instance. */
  readonly name: string
  /** @throws NodeDaemonError `NOT_HOME` this instance may not serve the workspace in this epoch now */
  enter(workspace: WorkspaceId, epoch: number): Admission
  /** The folder of a workspace was taken away while it was served. */
  folderLost(workspace: WorkspaceId): void
}

export interface HttpEntranceDeps {
  readonly host: Host
  /** Whose streams bring users' requests: the coordinator's, and those of front doors. */
  readonly mayOpen: (peer: PeerIdText) => boolean
  readonly offers: readonly Offer[]
  /** Where the apps are that this instance starts; null where it offers none. */
  readonly commands: WorkspaceApps | null
  /** Where requests come in that do not come through the tunnel; null: nowhere. */
  readonly door: IngressDoor | null
  /** A folder that is always empty: what a newcomer without a workspace sees. */
  readonly empty: { readonly folder: string; readonly staging: string }
  /** Of the disk on which users' files lie. */
  readonly space: DiskRoomDeps['space']
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/** HTTP/1.1 through the tunnel of the coordinator or of a front door. It takes requests on return. */
export async function httpEntrance(deps: HttpEntranceDeps, served: Served): Promise<Entrance> {
  const { host, mayOpen, offers, log } = deps
  const apps = new Map(offers.map((offer) => [offer.name, appOf(deps, offer)] as const))
  const inside: Inside = { empty: deps.empty, served, apps, disk: new DiskRoom(deps) }
  const ingress = new Ingress({
    serve: (request, response, target) =>
      admit(inside, target, (app, context) => app.handle(request, response, context)),
    upgrade: (request, upgrading, target) =>
      admit(inside, target, (app, context) =>
        app.upgrade === undefined
          ? app.handle(request, upgrading.decline(), context)
          : app.upgrade(request, upgrading, context)
      ),
    log
  })
  await host.handleBytes(HTTP_PROTOCOL, (stream, link) => {
    if (mayOpen(link.peer)) ingress.accept(stream)
    else stream.destroy()
  })
  deps.door?.open({ ingress, name: () => served.name, serves: (workspace, epoch) => serves(served, workspace, epoch) })
  return {
    told: (news) => deps.door?.told(news),
    busy: () => deps.door?.busy() ?? [],
    stop: async () => {
      await Promise.all([ingress.close(), deps.door?.close()])
    },
    close: async () => {
      await Promise.all([...apps.values()].map((app) => app.close()))
    }
  }
}

function appOf(deps: HttpEntranceDeps, { upstream, command }: Offer): App {
  if (command !== null && deps.commands !== null) return commandApp(deps.commands)
  return upstream === null ? filesApp(deps) : upstreamApp(deps, upstream)
}

interface Inside {
  readonly empty: HttpEntranceDeps['empty']
  readonly served: Served
  readonly apps: ReadonlyMap<ServiceName, App>
  readonly disk: DiskRoom
}

function serves(served: Served, workspace: WorkspaceId, epoch: number): boolean {
  try {
    served.enter(workspace, epoch).leave()
    return true
  } catch (error) {
    if (hasCode(error, 'NOT_HOME')) return false
    throw error
  }
}

/** Has the app of the request's service do `work` in the user's workspace. */
async function admit(
  { empty, served, apps, disk }: Inside,
  target: IngressTarget,
  work: (app: App, context: AppRequestContext) => Promise<void>
): Promise<void> {
  const { workspace, service, user, epoch, prefix, limitBytes } = target
  const app = apps.get(service)
  if (app === undefined) throw new NodeDaemonError('BUSY', `the service ${service} does not run on this server now`)
  const context = { ...contextOf(user), served: served.name, base: prefix }
  if (workspace === null) {
    return work(app, {
      ...context,
      workspace,
      ...empty,
      allowance: NOTHING_USED,
      wrote: refuseChange,
      settled: refuseChange
    })
  }
  await disk.ask()
  const admission = served.enter(workspace, epoch)
  try {
    const { folder, staging, wrote, settled, stay } = admission
    // The app of another service must not see these files.
    if (admission.service !== service) throw notHome(workspace)
    if (!existsSync(folder)) {
      // Told as missing, a sync client would remove its own copies. The next assignment fetches the files again.
      served.folderLost(workspace)
      throw notHome(workspace)
    }
    await work(app, {
      ...context,
      workspace,
      folder,
      staging,
      wrote,
      settled,
      allowance: allowanceOf(stay, limitBytes ?? null, disk)
    })
  } finally {
    admission.leave()
  }
}

function contextOf(user: UserId | null): { user: string; userLabel: string } {
  const name = user?.startsWith('user:') === true ? user.slice('user:'.length) : 'guest'
  return { user: user ?? 'guest', userLabel: name }
}

const refuseChange = async (): Promise<void> => {
  throw new NodeDaemonError('NOT_HOME', 'there is no workspace to change yet')
}
