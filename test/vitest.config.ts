import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

/** A machine that is busy with something else may starve one test: there it gets a second chance, which the report shows. */
const retry = process.env.CI === undefined ? 0 : 1
/** Vitest would leave one core alone, and with it half of a machine with two. */
const maxWorkers = Math.max(2, availableParallelism() - 1)
const REPORT = 'node_modules/.cache/node-daemon/tests.json'

/** Real disks, crash points and random trees: thorough, and too slow for `npm run check`. */
const SUITES = [
  'test/unit/content/file.test.ts',
  'test/unit/fuzz/run.test.ts',
  'test/unit/content/folder.test.ts',
  'test/unit/network/host.test.ts',
  'test/unit/routing/{corpus,front-door,huge,reliability}.test.ts',
  'test/unit/store/{crash,damage,gc-model,gc-race}.test.ts',
  'test/unit/sync/cut.test.ts',
  'test/unit/worktree/{apply,power-loss,snapshot,properties,huge}.test.ts'
]

/** Most of an end-to-end test is waiting: for processes to start, for disks, for time that is to pass. */
const E2E_WORKERS = 2

/** `unit` takes seconds. `sim` simulates federations in processes of its own. `e2e` starts the compiled program as real processes. */
export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    reporters: ['default', ['json', { outputFile: REPORT }]],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/*.test.ts', 'test/unit/**/*.test.ts'],
          exclude: SUITES,
          testTimeout: 30_000,
          maxWorkers,
          retry
        }
      },
      { test: { name: 'suites', include: SUITES, testTimeout: 60_000, maxWorkers, retry } },
      {
        test: {
          name: 'sim',
          include: ['test/sim/*.test.ts'],
          testTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 }
        }
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 60_000,
          maxWorkers: E2E_WORKERS,
          retry,
          sequence: { groupOrder: 2 }
        }
      }
    ]
  }
})
