import { NodeDaemonError } from '../core/errors.ts'
import type { Context } from './context.ts'

interface Line {
  readonly state: 'working' | 'done'
}

/**
 * Follows a work that the daemon tells of, and gives its outcome. Ctrl-C ends the looking on.
 *
 * @param after what becomes of the work when nobody looks any more
 * @throws NodeDaemonError `ABORTED` on Ctrl-C; what the work failed with; `OUT_OF_REACH` the daemon went away
 */
export async function followWork<View extends Line>(
  context: Context,
  views: (signal: AbortSignal) => AsyncIterable<View>,
  show: (progress: Extract<View, { readonly state: 'working' }>) => void,
  after: string
): Promise<Extract<View, { readonly state: 'done' }>> {
  const stopped = new AbortController()
  const stopListening = context.terminal.onSignal(() => stopped.abort())
  try {
    for await (const view of views(stopped.signal)) {
      if (view.state === 'done') return view as Extract<View, { readonly state: 'done' }>
      show(view as Extract<View, { readonly state: 'working' }>)
    }
  } catch (error) {
    if (stopped.signal.aborted) throw new NodeDaemonError('ABORTED', 'interrupted', { advice: after })
    throw error
  } finally {
    stopListening()
  }
  throw new NodeDaemonError('OUT_OF_REACH', 'the coordinator ended before it was done', {
    advice: 'see how it is with: node-daemon status'
  })
}
