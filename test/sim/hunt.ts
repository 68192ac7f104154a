import type { Bug } from './bug.ts'
import { BUGS } from './bugs.ts'
import { runSeeds } from './fleet.ts'
import type { Outcome } from './run.ts'

const LIKELY = 5

/** What became of a planted mistake. */
export interface Hunted {
  readonly bug: Bug
  /** The first outcome that shows it; null where none does. */
  readonly caught: Outcome | null
}

/** Looks for each of the bugs under one seed after another, several bugs at once. */
export async function hunt(
  bugs: readonly Bug[],
  seedsOf: (bug: Bug) => Iterable<string>,
  { jobs, onHunted }: { readonly jobs: number; readonly onHunted: (hunted: Hunted) => void }
): Promise<void> {
  const left = [...bugs]
  const work = async (): Promise<void> => {
    for (let bug = left.shift(); bug !== undefined; bug = left.shift()) onHunted(await huntOne(bug, seedsOf(bug)))
  }
  await Promise.all(Array.from({ length: jobs }, work))
}

async function huntOne(bug: Bug, seeds: Iterable<string>): Promise<Hunted> {
  const found: { caught: Outcome | null } = { caught: null }
  const onOutcome = (outcome: Outcome): boolean => {
    if (outcome.violations.length === 0) return true
    found.caught = outcome
    return false
  }
  await runSeeds(seeds[Symbol.iterator](), { jobs: 1, bug: bug.name, onOutcome })
  return { bug, ...found }
}

/** Where a bug is found at once, and where it soon is if the code around it has changed. */
export function* likelySeeds({ caughtBy }: Bug): Generator<string> {
  yield caughtBy
  const [kind] = caughtBy.split('/')
  for (let number = 1; number <= LIKELY; number++) yield `${kind}/${number}`
}

/** Those whose names contain the words; all of them where there are none. */
export const bugsNamed = (words: string): readonly Bug[] => BUGS.filter(({ name }) => name.includes(words))
