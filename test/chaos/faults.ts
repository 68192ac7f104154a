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

/** All kinds in another order each time, for ever. */
export function* faultsOf(chance: Chance): Generator<Fault, never> {
  for (;;) {
    const left = [...ALL_FAULTS]
    while (left.length > 0) {
      const [next] = left.splice(chance.below(left.length), 1)
      if (next !== undefined) yield next
    }
  }
}

export const nameOf = ({ blow, victim, inDrain }: Fault): string =>
  `${blow} of ${victim}${inDrain ? ' in a drain' : ''}`
