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
  'collect-garbage',
  'corrupt-blocks',
  'lie',
  'knock',
  'old-words',
  'revoke',
  'lose-folder',
  'ambush-kill',
  'ambush-power',
  'mass-loss',
  'old-backup'
] as const

export type Trouble = (typeof TROUBLES)[number]

/**
 * `calm`: handovers only, and nobody may notice. `death`, `restart`, `full`, `mass`: one thing happens, again and again, and must be
 * noticed no more than promised. Of the others each has its share of everything.
 */
export const CALM_KINDS = ['calm', 'death', 'restart', 'full', 'mass'] as const
export type Kind =
  | (typeof CALM_KINDS)[number]
  | 'storm'
  | 'handover'
  | 'disks'
  | 'rot'
  | 'network'
  | 'rogue'
  | 'power'
  | 'backup'

/** What a seed makes of a run. */
export interface Plan {
  /** What all chance in it comes from. */
  readonly seed: string
  readonly kind: Kind
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
const APART: ReadonlySet<Trouble> = new Set(['flip-byte', 'old-backup', 'mass-loss'])
const KINDS: Readonly<Record<Kind, readonly Trouble[]>> = {
  calm: GENTLE,
  death: ['kill-instance'],
  restart: ['stop-instance'],
  full: ['disk-full'],
  mass: ['mass-loss'],
  // What rots is not lost with another disk at the same time: no promise speaks of two.
  storm: TROUBLES.filter((trouble) => !APART.has(trouble)),
  backup: ['old-backup', 'move', 'move', 'drain', 'stop-instance', 'kill-instance', 'kill-coordinator'],
  rogue: [
    'corrupt-blocks',
    'corrupt-blocks',
    'lie',
    'lie',
    'lie',
    'knock',
    'old-words',
    'revoke',
    'revoke',
    'revoke',
    'lose-folder',
    'move',
    'move',
    'kill-instance'
  ],
  power: ['power-instance', 'power-coordinator', 'ambush-power', 'ambush-power', 'ambush-kill', 'move', 'drain'],
  rot: ['flip-byte', 'flip-byte', 'move', 'collect-garbage', 'kill-coordinator', 'drain-cancelled', 'wall-clock'],
  handover: [
    'drain',
    'drain',
    'drain',
    'drain-cancelled',
    'move',
    'move',
    'ambush-kill',
    'ambush-kill',
    'ambush-power',
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

const MIX: readonly Kind[] = [
  'calm',
  'death',
  'restart',
  'full',
  'storm',
  'storm',
  'storm',
  'handover',
  'handover',
  'handover',
  'disks',
  'disks',
  'rot',
  'network',
  'network',
  'rogue',
  'rogue',
  'power',
  'power'
]
const BACKUP_SHARE = 0.05
const MASS_SHARE = 0.03
const LOSES_LOCAL: ReadonlySet<Trouble> = new Set(['revoke', 'lose-folder'])
/** One after the other is over. */
const DEATH_EVERY_MS = 15_000
/** So many instances cannot vanish by chance. */
const BRAKE_FROM = 4

const DAY_MS = 24 * 3_600_000
const TEN_YEARS_MS = 3650 * DAY_MS

/** A seed may say of which kind its run is: `power/121`. */
export function planOf(full: string): Plan {
  const [named, seed] = full.includes('/') ? (full.split('/') as [string, string]) : [null, full]
  const chance = new Chance(`${seed}/plan`)
  const usual = chance.one(MIX)
  const rare = new Chance(`${seed}/rare`).fraction()
  const kind = isKind(named)
    ? named
    : rare < BACKUP_SHARE
      ? 'backup'
      : rare < BACKUP_SHARE + MASS_SHARE
        ? 'mass'
        : usual
  const isCalm = CALM_KINDS.some((one) => one === kind)
  const acknowledge = chance.happens(localShare(kind)) ? 'local' : 'replicated'
  // Leases need clocks within their bound; where the seal alone is enough, clocks may run as they like.
  const drift = acknowledge === 'local' || isCalm ? 0.009 : chance.one([0.0001, 0.009, 0.5])
  const rate = (name: string): number => 1 + drift * (2 * new Chance(`${seed}/rate ${name}`).fraction() - 1)
  const off = (name: string): number =>
    chance.one([0, 1]) * TEN_YEARS_MS * (new Chance(`${seed}/wall ${name}`).fraction() - 0.5)
  return {
    seed,
    kind,
    instances: kind === 'mass' ? BRAKE_FROM + chance.below(2) : 2 + chance.below(4),
    users: 1 + chance.below(4),
    pauseMs: chance.one([60, 200, 500]),
    workMs: chance.between(12_000, 30_000),
    weather: weather(chance, isCalm),
    settings: {
      standbys: chance.one([0, 1, 1, 1, 2]),
      acknowledge,
      failoverAfterMs: 2000,
      leaseMs: chance.one([4000, 10_000]),
      restartGraceMs: kind === 'restart' ? 30_000 : chance.one([5000, 30_000]),
      holdMs: 30_000
    },
    clocks: (name) => ({ rate: rate(name), wallOffMs: isCalm ? 0 : off(name) }),
    // A member that is thrown out takes with it what it alone has.
    troubles: KINDS[kind].filter((trouble) => acknowledge === 'replicated' || !LOSES_LOCAL.has(trouble)),
    everyMs: kind === 'death' || kind === 'mass' ? DEATH_EVERY_MS : chance.one([1500, 3000, 6000])
  }
}

const isKind = (text: string | null): text is Kind => text !== null && text in KINDS

function localShare(kind: Kind): number {
  if (kind === 'calm') return 0
  return kind === 'power' ? 0.5 : 0.2
}

/** In a calm time what is slow is the federation, and not its lines. */
function weather(chance: Chance, isCalm: boolean): Weather {
  return {
    latencyMs: chance.one(isCalm ? [0.2, 3, 10] : [0.2, 3, 25]),
    jitterMs: chance.one(isCalm ? [0.1, 5] : [0.1, 5, 40]),
    loss: isCalm ? 0 : chance.one([0, 0, 0.002, 0.02]),
    bytesPerMs: chance.one(isCalm ? [10_000, 100_000] : [200, 10_000, 100_000])
  }
}
