import type { WorkspaceId } from '../../src/core/ids.ts'
import type { Protocol } from '../../src/wire/protocol.ts'

/** A user's request as a value: what would be HTTP outside a simulation. */
export interface Ask {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  /** One name in the workspace. */
  readonly path: string
  readonly body: string
}

export interface Told {
  readonly status: number
  readonly body: string
  /** Of a request that was lost with its home: was it perhaps executed? */
  readonly retry?: 'safe' | 'unsafe'
}

/** What the front door tells an ingress, and what that answers. */
export interface Passed extends Ask {
  readonly workspace: WorkspaceId
  readonly epoch: number
}

export interface Answered extends Told {
  /** This instance may not serve the workspace in this epoch: nothing was executed. */
  readonly moved: boolean
}

export const VALUES_PROTOCOL: Protocol = {
  id: '/node-daemon/http/1.0.0',
  maxFrameBytes: 16 * 1024 * 1024,
  maxStreams: 512,
  open: 'members'
}

export const encode = (value: Passed | Answered): Uint8Array => Buffer.from(JSON.stringify(value))
export const decode = <T>(bytes: Uint8Array): T => JSON.parse(Buffer.from(bytes).toString()) as T
