import { aborted } from '../core/clock.ts'
import type { Access } from './access.ts'
import type { Parts } from './open-repository.ts'
import type { Pins } from './pins.ts'
import type { GcOptions } from './repository.ts'

/** One run of `gc` over the repository that had these parts when it began. */
export interface Collection extends GcOptions {
  readonly access: Access
  readonly parts: Parts
  readonly pins: Pins
  readonly signal: AbortSignal
}

/** A look at the repository that does not keep others waiting. Throws once the run is to end. */
export async function step<T>(run: Collection, work: (parts: Parts) => Promise<T>): Promise<T> {
  if (run.signal.aborted) throw aborted(run.signal)
  return await run.access.reading((parts) => {
    run.access.refuseOther(parts)
    return work(parts)
  })
}
