import type { Chance } from '../sim/world.ts'

/** Ended without a word, or stopped for a while without one. */
export type Blow = 'SIGKILL' | 'SIGSTOP'
/** In a drain: the instance that drains, the one that takes over, or the coordinator. Otherwise any instance. */
export type Victim = 'instance' | 'target' | 'coordinator' | 'instance-and-coordinator'

export interface Fault {
  readonly blow: Blow
  readonly victim: Victim
  readonly inDrain: boolean
}

const BLOWS: readonly Blow[] = ['SIGKILL', 'SIGSTOP']
const IN_DRAIN: readonly Victim[] = ['instance', 'target', 'coordinator']

/** Each kind of fault once: six of eleven strike inside a drain. */
export const ALL_FAULTS: readonly Fault[] = [
  ...BLOWS.flatMap((blow) => IN_DRAIN.map((victim): Fault => ({ blow, victim, inDrain: true }))),
  ...BLOWS.flatMap((blow): Fault[] => [
    { blow, victim: 'instance', inDrain: false },
    { blow, victim: 'coordinator', inDrain: false }
  ]),
  { blow: 'SIGKILL', victim: 'instance-and-coordinator', inDrain: false }
]

/** All kinds in another order each time, for ever; every other one strikes inside a drain, from the first on. */
export function* faultsOf(chance: Chance): Generator<Fault, never> {
  for (;;) {
    const inDrains = shuffled(
      chance,
      ALL_FAULTS.filter(({ inDrain }) => inDrain)
    )
    const others = shuffled(
      chance,
      ALL_FAULTS.filter(({ inDrain }) => !inDrain)
    )
    for (const [place, fault] of inDrains.entries()) yield* [fault, ...others.slice(place, place + 1)]
  }
}

function shuffled<T>(chance: Chance, all: readonly T[]): T[] {
  const left = [...all]
  return all.flatMap(() => left.splice(chance.below(left.length), 1))
}

export const nameOf = ({ blow, victim, inDrain }: Fault): string =>
  `${blow} of ${victim}${inDrain ? ' in a drain' : ''}`
