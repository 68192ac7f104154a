import { existsSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { App } from '../apps/app.ts'
import { filesApp } from '../apps/files/files.ts'
import type { Clock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, UserId, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Random } from '../core/random.ts'
import type { Admission } from '../handover/resident.ts'
import { notHome } from '../handover/resident-deps.ts'
import type { Host } from '../network/host.ts'
import { Ingress, type IngressTarget } from '../routing/ingress.ts'
import { HTTP_PROTOCOL } from '../wire/http.ts'

/** Where users' requests come in. */
export interface Entrance {
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
  readonly coordinator: PeerIdText
  /** A folder that is always empty: what a newcomer without a workspace sees. */
  readonly empty: { readonly folder: string; readonly staging: string }
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/** HTTP/1.1 through the coordinator's tunnel. It takes requests on return. */
export async function httpEntrance(deps: HttpEntranceDeps, served: Served): Promise<Entrance> {
  const { host, coordinator, log } = deps
  const app = filesApp(deps)
  const ingress = new Ingress({
    serve: (request, response, target) => serve(deps, served, app, { request, response, target }),
    log
  })
  await host.handleBytes(HTTP_PROTOCOL, (stream, link) => {
    if (link.peer === coordinator) ingress.accept(stream)
    else stream.destroy()
  })
  return { stop: () => ingress.close(), close: () => app.close() }
}

interface Arrival {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly target: IngressTarget
}

async function serve(
  { empty }: HttpEntranceDeps,
  served: Served,
  app: App,
  { request, response, target }: Arrival
): Promise<void> {
  const { workspace, user, epoch } = target
  const context = { ...contextOf(user), served: served.name, base: '' }
  if (workspace === null) {
    return app.handle(request, response, { ...context, workspace, ...empty, wrote: refuseChange })
  }
  const admission = served.enter(workspace, epoch)
  try {
    const { folder, staging, wrote } = admission
    if (!existsSync(folder)) {
      // Told as missing, a sync client would remove its own copies. The next assignment fetches the files again.
      served.folderLost(workspace)
      throw notHome(workspace)
    }
    await app.handle(request, response, { ...context, workspace, folder, staging, wrote })
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
