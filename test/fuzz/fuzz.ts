import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { NodeDaemonError } from '../../src/core/errors.ts'
import { Dice, mutate } from './mutate.ts'
import type { FuzzTarget } from './target.ts'

/** An input that something did not take as it should. */
export interface Finding {
  readonly target: string
  readonly seed: number
  readonly round: number
  readonly input: Uint8Array
  readonly problem: string
}

export interface FuzzReport {
  readonly rounds: number
  readonly findings: readonly Finding[]
  readonly grownBytes: number
}

export interface FuzzOptions {
  readonly seed: number
  readonly forMs: number
  /** More findings than this are no help. */
  readonly maxFindings: number
}

const SLOW_MS = 1_000
/** By then what is made once has been made. */
const WARM_ROUNDS = 5
/** What a run may keep of what it was given. */
export const GROWTH_BYTES_MAX = 64 * 1024 * 1024

/**
 * Gives each target changed samples, in turns. The input of a round depends on nothing but the seed, the target's name and
 * the number of the round.
 */
export async function fuzz(targets: readonly FuzzTarget[], options: FuzzOptions): Promise<FuzzReport> {
  const findings: Finding[] = []
  const end = performance.now() + options.forMs
  let before = 0
  let round = 0
  for (; performance.now() < end && findings.length < options.maxFindings; round++) {
    if (round === WARM_ROUNDS) before = usedBytes()
    for (const target of targets) {
      const finding = await once(target, options.seed, round)
      if (finding !== null) findings.push(finding)
    }
  }
  return { rounds: round, findings, grownBytes: round > WARM_ROUNDS ? usedBytes() - before : 0 }
}

/** The input of one round, taken. */
export async function once(target: FuzzTarget, seed: number, round: number): Promise<Finding | null> {
  const input =
    round === 0 ? (target.samples[0] ?? new Uint8Array(0)) : mutate(diceOf(target.name, seed, round), target.samples)
  const started = performance.now()
  const problem = await problemOf(target, input)
  const tookMs = performance.now() - started
  const all = problem ?? (tookMs > SLOW_MS ? `it took ${Math.round(tookMs)} ms` : null)
  return all === null ? null : { target: target.name, seed, round, input, problem: all }
}

async function problemOf(target: FuzzTarget, input: Uint8Array): Promise<string | null> {
  try {
    await target.take(input)
    return null
  } catch (error) {
    if (error instanceof NodeDaemonError && error.code !== 'UNEXPECTED') return null
    return error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
}

function diceOf(name: string, seed: number, round: number): Dice {
  let mixed = seed ^ Math.imul(round, 0x9e3779b1)
  for (const char of name) mixed = Math.imul(mixed ^ char.charCodeAt(0), 0x01000193)
  return new Dice(mixed)
}

/** What is held, once all that can be dropped is. */
function usedBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
