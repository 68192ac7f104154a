import type { CoordinatorSettings } from './coordinator.ts'
import type { ClockFaults } from './machine.ts'
import type { Weather } from './network.ts'
import { Chance } from './world.ts'

/** What may be done to a federation while its users work. */
export const TROUBLES = [
  'kill-instance',
  'power-instance',
  'pause-instance',
  'kill-coordinator',
  'power-coordinator',
  'pause-coordinator',
  'cut-one-way',
  'cut-both-ways',
  'drain',
  'drain-cancelled',
  'stop-instance',
  'move',
  'wall-clock',
  'disk-full',
  'disk-fails',
  'lose-disk',
  'flip-byte',
  'collect-garbage'
] as const

export type Trouble = (typeof TROUBLES)[number]

/** What a seed makes of a run. */
export interface Plan {
  readonly kind: 'calm' | 'storm' | 'handover' | 'disks' | 'rot' | 'network'
  readonly instances: number
  readonly users: number
  readonly pauseMs: number
  /** How long the users work, in true milliseconds. */
  readonly workMs: number
  readonly weather: Weather
  readonly settings: CoordinatorSettings
  readonly clocks: (name: string) => ClockFaults
  /** By how likely each is; empty for none. */
  readonly troubles: readonly Trouble[]
  /** Between two of them, in milliseconds. */
  readonly everyMs: number
}

const GENTLE: readonly Trouble[] = ['drain', 'drain-cancelled', 'move', 'move', 'collect-garbage', 'wall-clock']
const KINDS: Readonly<Record<Exclude<Plan['kind'], 'calm'>, readonly Trouble[]>> = {
  // What rots is not lost with another disk at the same time: no promise speaks of two.
  storm: TROUBLES.filter((trouble) => trouble !== 'flip-byte'),
  rot: ['flip-byte', 'flip-byte', 'move', 'collect-garbage', 'kill-coordinator', 'drain-cancelled', 'wall-clock'],
  handover: [
    'drain',
    'drain',
    'drain',
    'drain-cancelled',
    'move',
    'move',
    'stop-instance',
    'kill-instance',
    'power-instance',
    'kill-coordinator',
    'power-coordinator',
    'pause-instance',
    'cut-one-way'
  ],
  disks: [
    'power-instance',
    'power-coordinator',
    'disk-full',
    'disk-fails',
    'lose-disk',
    'collect-garbage',
    'kill-coordinator',
    'move'
  ],
  network: [
    'cut-one-way',
    'cut-one-way',
    'cut-both-ways',
    'pause-instance',
    'pause-coordinator',
    'kill-instance',
    'move',
    'drain'
  ]
}

const DAY_MS = 24 * 3_600_000
const TEN_YEARS_MS = 3650 * DAY_MS

export function planOf(seed: string): Plan {
  const chance = new Chance(`${seed}/plan`)
  const kind = chance.one(['calm', 'storm', 'storm', 'handover', 'handover', 'disks', 'rot', 'network'] as const)
  const acknowledge = chance.happens(kind === 'calm' ? 0 : 0.2) ? 'local' : 'replicated'
  // Leases need clocks within their bound; where the seal alone is enough, clocks may run as they like.
  const drift = acknowledge === 'local' ? 0.009 : chance.one([0.0001, 0.009, 0.5])
  const rate = (name: string): number => 1 + drift * (2 * new Chance(`${seed}/rate ${name}`).fraction() - 1)
  const off = (name: string): number =>
    chance.one([0, 1]) * TEN_YEARS_MS * (new Chance(`${seed}/wall ${name}`).fraction() - 0.5)
  return {
    kind,
    instances: 2 + chance.below(4),
    users: 1 + chance.below(4),
    pauseMs: chance.one([60, 200, 500]),
    workMs: chance.between(12_000, 30_000),
    weather: {
      latencyMs: chance.one([0.2, 3, 25]),
      jitterMs: chance.one([0.1, 5, 40]),
      loss: kind === 'calm' ? 0 : chance.one([0, 0, 0.002, 0.02]),
      bytesPerMs: chance.one([200, 10_000, 100_000])
    },
    settings: {
      standbys: chance.one([0, 1, 1, 1, 2]),
      acknowledge,
      failoverAfterMs: 2000,
      leaseMs: chance.one([4000, 10_000]),
      restartGraceMs: chance.one([5000, 30_000]),
      holdMs: 30_000
    },
    clocks: (name) => ({ rate: rate(name), wallOffMs: kind === 'calm' ? 0 : off(name) }),
    troubles: kind === 'calm' ? GENTLE : KINDS[kind],
    everyMs: chance.one([1500, 3000, 6000])
  }
}
