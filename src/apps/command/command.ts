import type { IncomingMessage, ServerResponse } from 'node:http'
import { codeOf, ERRORS, hasCode, messageOf, NodeDaemonError } from '../../core/errors.ts'
import type { WorkspaceId } from '../../core/ids.ts'
import type { Upgrading } from '../../wire/http.ts'
import type { App, AppRequestContext } from '../app.ts'
import { asksToBegin, begun, offerToBegin, refuse, refuseForNow } from './pages.ts'
import type { WorkspaceApp } from './workspace-app.ts'

/** Where the apps of workspaces are found. */
export interface WorkspaceApps {
  /** Null where this instance is not its home now. */
  find(workspace: WorkspaceId): WorkspaceApp | null
}

/**
 * A service that runs as a process per workspace. Requests wait while it starts, for 20 s at most; then, and after a
 * failure, they are refused with what a person should know. A newcomer is offered to begin.
 */
export function commandApp(apps: WorkspaceApps): App {
  return {
    async handle(request, response, context) {
      if (context.workspace === null) return offerToBegin(request, response)
      if (asksToBegin(request)) return begun(request, response)
      try {
        await within(apps, context, (app) => app.handle(request, response, context))
      } catch (error) {
        failed(request, response, error)
      }
    },
    async upgrade(request, upgrading, context) {
      const leave = found(apps, context).use(context)
      try {
        await within(apps, context, (app) => join(app, request, upgrading, context))
      } catch (error) {
        leave()
        throw error
      }
      if (upgrading.socket.destroyed) leave()
      else upgrading.socket.once('close', leave)
    },
    async close() {
      // Each app ends with the home of its workspace.
    }
  }
}

async function within(
  apps: WorkspaceApps,
  context: AppRequestContext,
  work: (app: App) => Promise<void>
): Promise<void> {
  const one = found(apps, context)
  const leave = one.use(context)
  try {
    await work(await one.reach(`${context.base}/`))
  } finally {
    leave()
  }
}

async function join(
  app: App,
  request: IncomingMessage,
  upgrading: Upgrading,
  context: AppRequestContext
): Promise<void> {
  if (app.upgrade === undefined) await app.handle(request, upgrading.decline(), context)
  else await app.upgrade(request, upgrading, context)
}

function found(apps: WorkspaceApps, { workspace }: AppRequestContext): WorkspaceApp {
  const one = workspace === null ? null : apps.find(workspace)
  if (one === null) throw new NodeDaemonError('NOT_HOME', 'the workspace is not served here now')
  return one
}

/** @throws what makes the front door send the request elsewhere: nothing of it was read */
function failed(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (hasCode(error, 'NOT_HOME') || response.headersSent) throw error
  const code = codeOf(error)
  if (code === 'BUSY') refuseForNow(request, response, messageOf(error))
  else refuse(response, ERRORS[code].http, messageOf(error))
}
