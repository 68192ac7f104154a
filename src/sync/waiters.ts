import { NodeDaemonError } from '../core/errors.ts'
import { MAX_UNSETTLED } from '../worktree/scan.ts'

/** Somebody who waits until these paths are durable elsewhere. */
export interface Waiter {
  readonly paths: readonly string[]
  readonly resolve: () => void
  readonly reject: (error: NodeDaemonError) => void
}

/** Why a pause ends early. Made once: an error takes a picture of the stack. */
export const SOMEBODY_WAITS = new NodeDaemonError('ABORTED', 'somebody waits')

/** Tells those who wait, once. */
export function answer(waiters: Waiter[], unsettled: readonly string[]): void {
  for (const waiter of waiters.splice(0)) {
    if (isAmong(waiter.paths, unsettled)) waiter.reject(notTaken())
    else waiter.resolve()
  }
}

/** A list that is full may have left out any path. */
const isAmong = (paths: readonly string[], unsettled: readonly string[]): boolean =>
  (paths.length > 0 && unsettled.length >= MAX_UNSETTLED) ||
  unsettled.some((path) => paths.some((other) => other === '' || path === other || path.startsWith(`${other}/`)))

const notTaken = (): NodeDaemonError =>
  new NodeDaemonError('BUSY', 'the file changes while it is read, or cannot be read')
