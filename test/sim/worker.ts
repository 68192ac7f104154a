import { bugNamed } from './bugs.ts'
import { plant } from './plant.ts'
import type { Outcome } from './run.ts'

/** What the parent asks a worker for. */
export type Task = { readonly seed: string }

/** Runs one seed after another, in a process of its own: what one leaves behind must not reach into another's time. */
const [, , bug] = process.argv
if (bug !== undefined) plant(bugNamed(bug))
// Loaded after the bug was planted.
const { runSeed } = await import('./run.ts')

process.on('message', (task: Task) => {
  runSeed(task.seed, { isOneEnough: bug !== undefined }).then(
    (outcome: Outcome) => process.send?.(outcome),
    (error: unknown) => {
      throw error
    }
  )
})
process.on('disconnect', () => process.exit(0))
