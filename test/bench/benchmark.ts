import { notInstalled, type PeerName } from './peers.ts'

/** What a benchmark may be told on the command line. */
export interface BenchOptions {
  /** The compiled product. */
  readonly dist: string
  /** Of the one large file, in bytes. */
  readonly sizeBytes: number
  /** How many small files. */
  readonly files: number
  /** How many files are looked at where nothing has changed. */
  readonly unchangedFiles: number
  /** How much an instance syncs while its memory is watched. */
  readonly longBytes: number
  /** How many changes are waited for until they are durable, in a round. */
  readonly changes: number
  /** How often a workspace moves to and fro, for each size. */
  readonly moves: number
  /** How many small workspaces are handed over in one drain. */
  readonly workspaces: number
  /** How often a home is killed. */
  readonly kills: number
  /** How many users ask at once. */
  readonly users: number
  /** How long they go on afterwards, in milliseconds; 0 for not at all. */
  readonly soakMs: number
  /** How often everything is measured, product and peers in turn. */
  readonly rounds: number
  /** How long each load runs, in milliseconds. */
  readonly loadMs: number
  /** Where the product's processes leave a CPU profile when they end; null for none. */
  readonly profileFolder: string | null
  /** Says what happens now. */
  readonly say: (text: string) => void
}

/** One line of a table: what was measured in each round. */
export interface Row {
  readonly what: string
  readonly unit: string
  /** One value a round; none where it could not be measured, as `note` says. */
  readonly values: readonly number[]
  readonly note?: string
  /** What the product is beside this, side by side. Only on rows of peers that were measured. */
  readonly ratio?: Ratio
}

/** So many times as fast, or as much. */
export interface Ratio {
  readonly times: number
  readonly as: 'fast' | 'much'
}

export interface Section {
  readonly title: string
  readonly rows: readonly Row[]
}

export interface Benchmark {
  readonly name: string
  readonly about: string
  /** Ends by itself and leaves nothing behind. */
  run(options: BenchOptions): Promise<Section[]>
}

export const MIB = 1024 * 1024

export function median(values: readonly number[]): number {
  return percentile(values, 0.5)
}

/** By the nearest rank; NaN of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}

/** Something that was measured, or why it was not. */
export type Measured = { readonly values: readonly number[] } | { readonly missing: string }

/** Figures of all rounds, where there are any; a peer's, where it is installed. */
export function measured<Round>(
  rounds: readonly Round[],
  of: (round: Round) => number | undefined,
  peer?: PeerName
): Measured {
  const values = rounds.map(of)
  if (values.every((value) => value !== undefined)) return { values }
  return { missing: peer === undefined ? 'not measured' : notInstalled(peer) }
}

/** A row without a comparison. */
export function row(what: string, unit: string, figures: Measured): Row {
  return 'missing' in figures
    ? { what, unit, values: [], note: figures.missing }
    : { what, unit, values: figures.values }
}

/**
 * The product's row, then a row for each peer with the median of the ratios of the rounds.
 *
 * @param kind what the unit is: more of a rate is faster, less of a time is
 */
export function compared(
  unit: string,
  kind: 'rate' | 'time' | 'amount',
  product: Measured & { readonly what: string; readonly note?: string },
  peers: readonly (Measured & { readonly what: string; readonly note?: string })[]
): Row[] {
  const own = 'missing' in product ? [] : product.values
  return [
    { ...row(product.what, unit, product), ...(product.note !== undefined && { note: product.note }) },
    ...peers.map((peer): Row => {
      const { what } = peer
      if ('missing' in peer) return { what, unit, values: [], note: peer.missing }
      const ratios = own.flatMap((value, round) => {
        const other = peer.values[round]
        if (other === undefined) return []
        return [kind === 'time' ? other / value : value / other]
      })
      return {
        what,
        unit,
        values: peer.values,
        ...(peer.note !== undefined && { note: peer.note }),
        ratio: { times: median(ratios), as: kind === 'amount' ? 'much' : 'fast' }
      }
    })
  ]
}
