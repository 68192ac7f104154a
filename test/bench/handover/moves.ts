import type { MoveView } from '../../../src/console/views.ts'
import type { TestFederation } from '../../tools/federation.ts'
import type { WebUser } from '../../tools/web-user.ts'
import type { BenchOptions } from '../benchmark.ts'
import { fill, openScene, profiled, settled } from '../scene.ts'
import { Scratch } from '../scratch.ts'
import { pause } from '../system.ts'
import { SteadyUser } from './steady.ts'

export interface Moves {
  readonly bytes: number
  /** The longest answer while it moved, one value a move; in milliseconds. */
  readonly pauses: readonly number[]
  /** As the coordinator tells it. */
  readonly told: readonly number[]
  /** The longest answer in as long a time in which nothing moved. */
  readonly quiet: readonly number[]
  /** From the order to its answer. */
  readonly took: readonly number[]
}

/** One workspace of this size moves to and fro between two instances, each time with a change that was saved just before. */
export async function movesOf(options: BenchOptions, bytes: number): Promise<Moves> {
  await using scratch = await Scratch.create()
  await using federation = await openScene(scratch, 'moves', options)
  await federation.join('alpha')
  await federation.join('beta')
  const ada = await federation.addUser('ada')
  await ada.save('/mine.txt', 'of ada')
  await fill(ada, bytes)
  const figures = { bytes, pauses: [] as number[], told: [] as number[], quiet: [] as number[], took: [] as number[] }
  for (let number = -1; number < options.moves; number++) {
    await settled(federation)
    await ada.save('/change.txt', `change ${number}`)
    const { pauseMs, told, took } = await move(federation, ada)
    const quiet = await SteadyUser.during(ada, () => pause(took))
    // The first one runs code that was never run before.
    if (number < 0) continue
    figures.pauses.push(pauseMs)
    figures.told.push(told)
    figures.quiet.push(quiet)
    figures.took.push(took)
  }
  await profiled(federation, options, ['alpha', 'beta'])
  return figures
}

async function move(
  federation: TestFederation,
  user: WebUser
): Promise<{ pauseMs: number; told: number; took: number }> {
  const { id, homeName } = await federation.workspaceOf(user)
  const to = homeName === 'alpha' ? 'beta' : 'alpha'
  let told = Number.NaN
  let took = Number.NaN
  const pauseMs = await SteadyUser.during(user, async () => {
    const beganAt = performance.now()
    const view = await federation.api.send<MoveView>('POST', `/workspaces/${id}/move`, { to }, { patient: true })
    took = performance.now() - beganAt
    told = view.pauseMs
  })
  return { pauseMs, told, took }
}
