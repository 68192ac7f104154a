import type { IncomingMessage, ServerResponse } from 'node:http'
import type { WorkspaceId } from '../core/ids.ts'
import type { Upgrading } from '../wire/http.ts'
import type { Allowance } from './allowance.ts'

/** One user's workspace as an app sees it during one request. */
export interface AppRequestContext {
  /** Null: a newcomer's workspace that does not exist yet. Everything reads as an empty folder; changes never get here. */
  readonly workspace: WorkspaceId | null
  /** Absolute path of the user's files. The folder itself is the daemon's; what lies in it is the user's. */
  readonly folder: string
  /** A folder on the same file system, outside the workspace, for what is on its way in or out. The daemon empties it when it starts. */
  readonly staging: string
  /** Who asks: `user:alice` or `guest:…`. */
  readonly user: string
  /** The same for people: `alice` or `guest`. */
  readonly userLabel: string
  /** Name of the instance, for people. */
  readonly served: string
  /** Path prefix under which the app is mounted: `''` or `/files`. */
  readonly base: string
  /** The client waits for `100 Continue` and has not got it: the app sends it once it wants the body. */
  readonly expectsContinue?: boolean
  /** How much the workspace may hold. */
  readonly allowance: Allowance
  /**
   * Tells which paths (relative to the workspace, separated by `/`) were changed. Resolves once the change is
   * acknowledged at the service's level; the answer to a change is sent only after that.
   *
   * @throws NodeDaemonError the change cannot be acknowledged now. It stays, and is synced later.
   */
  readonly wrote: (paths: readonly string[]) => Promise<void>
  /**
   * The same for all that any program changed in the folder before the call.
   *
   * @throws NodeDaemonError as `wrote`
   */
  readonly settled: () => Promise<void>
}

/** How an instance runs a service. */
export interface App {
  /**
   * Answers one request. Resolves once the answer was handed to the connection, or the connection is gone; after that
   * this request changes nothing any more. Other errors become answers.
   *
   * @throws NodeDaemonError `NOT_HOME` the workspace is being moved: nothing of the request was read
   */
  handle(request: IncomingMessage, response: ServerResponse, context: AppRequestContext): Promise<void>
  /**
   * Takes over a connection that is to speak another protocol, or declines that and answers. Resolves once it speaks it,
   * or the answer was handed to it. Without this method `handle` answers such requests.
   *
   * @throws NodeDaemonError neither was done
   */
  upgrade?(request: IncomingMessage, upgrading: Upgrading, context: AppRequestContext): Promise<void>
  /** Resolves once nothing of the app is at work any more. Requests that come later are refused. */
  close(): Promise<void>
}
