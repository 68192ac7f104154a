import { createHmac, hkdfSync } from 'node:crypto'
import type { Identity } from './identity.ts'
import type { WorkspaceId } from './ids.ts'

/**
 * 32 bytes that are the same for the same key and workspace, for ever, and tell nothing of the key or of other workspaces
 * (RFC 5869, HMAC of RFC 2104).
 */
export function appSecret({ privateKey }: Identity, workspace: WorkspaceId): Uint8Array {
  const key = hkdfSync('sha256', privateKey.raw, '', 'node-daemon-app-secret/1', 32)
  return createHmac('sha256', Buffer.from(key)).update(workspace).digest()
}
