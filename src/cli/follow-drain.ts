import type { DrainView } from '../console/views.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { Context } from './context.ts'
import { isFinal, showDrain, showDrainEnd } from './drain-view.ts'
import type { ExitCode } from './report-error.ts'

/**
 * Shows a drain as it goes on, and how it ends (see `showDrainEnd`). Ctrl-C only ends the looking on: the drain goes on, and the exit code is 130.
 *
 * @param stopAfterFirst look once, and leave it to itself
 * @param views ends after a final view; is told by the signal that nobody looks any more
 */
export async function followDrain(
  context: Context,
  views: (signal: AbortSignal) => AsyncIterable<DrainView>,
  options: { readonly stopAfterFirst: boolean; readonly lookAgain: string }
): Promise<ExitCode> {
  const detached = new AbortController()
  const stopListening = context.terminal.onSignal(() => detached.abort())
  try {
    for await (const view of views(detached.signal)) {
      showDrain(context.print, view)
      if (isFinal(view)) {
        showDrainEnd(context.print, view)
        return 0
      }
      if (options.stopAfterFirst) {
        context.print.say(`The drain goes on by itself; look again with: ${options.lookAgain}`)
        return 0
      }
    }
  } catch (error) {
    if (!detached.signal.aborted) throw error
  } finally {
    stopListening()
  }
  if (detached.signal.aborted) {
    context.print.note(`The drain goes on by itself; look again with: ${options.lookAgain}`)
    return 130
  }
  throw new NodeDaemonError('OUT_OF_REACH', 'the daemon ended before the drain did', {
    advice: 'start it again with: node-daemon join   and the drain is picked up'
  })
}
