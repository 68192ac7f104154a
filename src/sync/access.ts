import { NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'

/** What a peer may do with a workspace; null for nothing. Who may publish is judged by the ownership. */
export type Access = {
  /** Heads and blocks go to it: to the home and the standbys. */
  readonly read: boolean
  /** Blocks and diverged heads come from it: from the home, and from former homes that had not published all. */
  readonly send: boolean
} | null

export const noAccess = (workspace: WorkspaceId): NodeDaemonError =>
  new NodeDaemonError('FORBIDDEN', `workspace ${workspace} is none of yours`)
