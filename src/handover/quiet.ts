import { type Clock, withTimeout } from '../core/clock.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Quieting } from './neighbours.ts'

/** How long new requests are held for those in flight to end. Where they do not, the move is tried again later. */
const IDLE_MS = 3000
/** How long those may take that are not long ones, where requests may be broken off. */
const GRACE_MS = 1500

/**
 * Resolves once no request of the workspace is in flight; new ones are held meanwhile.
 *
 * @throws NodeDaemonError `TIMED_OUT` they do not end
 */
export async function quiet(clock: Clock, workspace: WorkspaceId, options: Quieting): Promise<void> {
  const { idle, breakOff, signal: outer } = options
  breakOff?.(workspace, 'long')
  const grace = clock.after(GRACE_MS, () => breakOff?.(workspace, 'all'))
  try {
    const what = 'ending the requests in flight'
    await withTimeout(clock, IDLE_MS, what, (signal) => idle(workspace, signal), outer)
  } finally {
    grace.cancel()
  }
}
