import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Outcome } from './run.ts'

const WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url))
const EXEC = ['--experimental-transform-types', '--disable-warning=ExperimentalWarning']
/** Starting takes a third of the time where the code was compiled before. */
const COMPILED = fileURLToPath(new URL('../../node_modules/.cache/node-daemon/simulation', import.meta.url))
/** A worker is given up for a new one after so many seeds: what they left in memory goes with it. */
const SEEDS_PER_PROCESS = 200

export interface FleetOptions {
  readonly jobs: number
  /** The name of the bug to plant; none where it is left out. */
  readonly bug?: string
  /** Called with each outcome, in no order. To stop early it answers false. */
  readonly onOutcome: (outcome: Outcome) => boolean
}

/** Runs seeds in several processes. Resolves once all have ended, or enough is known. */
export async function runSeeds(seeds: Iterator<string>, options: FleetOptions): Promise<void> {
  const state = { isOver: false }
  const work = async (): Promise<void> => {
    while (!state.isOver) if (!(await runSome(seeds, options, state))) return
  }
  await Promise.all(Array.from({ length: options.jobs }, work))
}

/** False where there are no more seeds. */
async function runSome(seeds: Iterator<string>, options: FleetOptions, state: { isOver: boolean }): Promise<boolean> {
  const env = { ...process.env, NODE_COMPILE_CACHE: COMPILED }
  const worker = fork(WORKER, options.bug === undefined ? [] : [options.bug], { execArgv: EXEC, env })
  try {
    for (let count = 0; count < SEEDS_PER_PROCESS && !state.isOver; count++) {
      const next = seeds.next()
      if (next.done === true) return false
      const outcome = await runOne(worker, next.value)
      if (!options.onOutcome(outcome)) state.isOver = true
    }
    return true
  } finally {
    // One that has ended by itself has no connection left, and to end it again would hide why.
    if (worker.connected) worker.disconnect()
  }
}

function runOne(worker: ChildProcess, seed: string): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`the worker ended with ${code} at seed ${seed}`))
    const onSent = (error: Error | null): void => {
      if (error !== null) reject(new Error(`the worker ended before seed ${seed}`, { cause: error }))
    }
    worker.once('exit', onExit)
    worker.once('message', (outcome) => {
      worker.off('exit', onExit)
      resolve(outcome as Outcome)
    })
    worker.send({ seed }, onSent)
  })
}
