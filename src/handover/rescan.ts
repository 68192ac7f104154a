import { type Clock, sleep } from '../core/clock.ts'
import { jitter, type Random } from '../core/random.ts'
import type { Resident } from './resident.ts'

/** How often all files are looked at, whatever the watchers say. */
export const RESCAN_MS = 60 * 60_000

/**
 * Lets all files be looked at every `everyMs`, a quarter more or less, counted from the end of the last time: at most one
 * workspace at a time. Resolves by the signal, after the workspace that it is at.
 */
export async function rescanRegularly(
  deps: { readonly resident: Pick<Resident, 'lookAgain'>; readonly clock: Clock; readonly random: Random },
  signal: AbortSignal,
  everyMs: number = RESCAN_MS
): Promise<void> {
  const { resident, clock, random } = deps
  for (;;) {
    // It rejects by the signal alone.
    await sleep(clock, jitter(random, everyMs), signal).catch(() => undefined)
    if (signal.aborted) return
    await resident.lookAgain(signal)
  }
}
