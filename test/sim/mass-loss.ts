import type { Note } from './checks.ts'
import type { Federation } from './federation.ts'
import type { Chance } from './world.ts'

/** Long enough for any death to be noticed, and acted upon. */
const AWAY_MS = 20_000
const BRAKE_FROM = 4

/** More than half of the instances vanish at once, and come back. Nothing may be promoted meanwhile. I17 */
export async function vanish({ world, coordinator, instances }: Federation, chance: Chance, note: Note): Promise<void> {
  const serving = instances.filter(({ core }) => core?.daemon.status().state === 'serving')
  const { core } = coordinator
  if (core === null || serving.length < BRAKE_FROM || serving.length < instances.length) return
  const first = chance.below(serving.length)
  const gone = Array.from(
    { length: Math.floor(serving.length / 2) + 1 },
    (_, index) => serving[(first + index) % serving.length]
  )
  const epochs = (): string =>
    [...core.table.all()].map(({ signed: { value } }) => `${value.workspace} ${value.epoch}`).join()
  const before = epochs()
  await Promise.all(gone.map((instance) => instance?.kill()))
  await world.sleep(AWAY_MS)
  if (epochs() !== before)
    note('I17', `after the loss of ${gone.length} of ${serving.length}: ${before} became ${epochs()}`)
  await Promise.all(gone.map((instance) => instance?.start()))
}
