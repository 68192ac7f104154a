import type { IncomingMessage } from 'node:http'
import { NodeDaemonError } from '../core/errors.ts'
import { sizeText } from '../core/size-text.ts'
import { isRead } from '../wire/http.ts'
import type { DiskRoom } from './disk-room.ts'

/** How much a workspace may hold, during one request. */
export interface Allowance {
  /** In the workspace, with all that is on its way into it. */
  readonly usedBytes: number
  /** Null: no bound. */
  readonly limitBytes: number | null
  /**
   * Counts bytes as used until this request has ended, and what it wrote is in the newest head. Whoever adds something
   * that takes no bytes takes 0: that is refused where the workspace is full.
   *
   * @throws NodeDaemonError `NO_SPACE` there is no room for them: nothing is counted
   */
  take(bytes: number): void
}

/** The room of a workspace, up to a bound, on a disk. */
export function allowanceOf(
  room: { readonly usedBytes: number; take(bytes: number): void },
  limitBytes: number | null,
  disk: Pick<DiskRoom, 'take'>
): Allowance {
  return {
    get usedBytes() {
      return room.usedBytes
    },
    limitBytes,
    take(bytes) {
      const { usedBytes } = room
      if (limitBytes !== null && usedBytes + Math.max(bytes, 1) > limitBytes) {
        const left = sizeText(Math.max(0, limitBytes - usedBytes))
        throw new NodeDaemonError('NO_SPACE', `${sizeText(limitBytes)} may be used here, and ${left} of it are left`, {
          advice: 'delete something first, or ask the administrators of this federation for more; nothing was changed'
        })
      }
      if (!disk.take(bytes)) {
        throw new NodeDaemonError('NO_SPACE', 'the disk of this server is full', {
          advice: 'nothing was changed; what you have can be read and deleted'
        })
      }
      if (bytes > 0) room.take(bytes)
    }
  }
}

/** Methods by which nothing grows: who has no room left may still make some. */
const FREEING: ReadonlySet<string> = new Set(['DELETE', 'MOVE', 'UNLOCK'])

/**
 * For an app of which nobody knows what it makes of a request: a change counts with the body that it announces.
 *
 * @throws NodeDaemonError `NO_SPACE`
 */
export function takeForChange({ method = 'GET', headers }: IncomingMessage, { allowance }: Granted): void {
  if (!isRead(method) && !FREEING.has(method)) allowance.take(Number(headers['content-length'] ?? 0))
}

interface Granted {
  readonly allowance: Allowance
}

/** For a newcomer, who has no workspace to add to. */
export const NOTHING_USED: Allowance = { usedBytes: 0, limitBytes: null, take: () => undefined }
