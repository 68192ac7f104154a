import { defineConfig } from 'vitest/config'

const REPORT = 'node_modules/.cache/node-daemon/tests.json'

/** `unit` needs no build. `e2e` starts the compiled program as real processes, one file after another. */
export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    reporters: ['default', ['json', { outputFile: REPORT }]],
    projects: [
      { test: { name: 'unit', include: ['test/*.test.ts', 'test/unit/**/*.test.ts'], testTimeout: 30_000 } },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 }
        }
      }
    ]
  }
})
