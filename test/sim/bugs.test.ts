import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { expect, test } from 'vitest'
import { BUGS } from './bugs.ts'
import { type Hunted, hunt, likelySeeds } from './hunt.ts'
import { withMistake } from './plant.ts'

const SRC = new URL('../../src/', import.meta.url)

test.for(BUGS)('the mistake "$name" can be planted', ({ name, edits }) => {
  for (const edit of edits) {
    const source = readFileSync(new URL(edit.file, SRC), 'utf8')
    expect(withMistake(name, source, edit)).not.toBe(source)
  }
})

test('each planted mistake breaks a promise, soon', { timeout: 300_000 }, async () => {
  const missed: string[] = []
  const onHunted = ({ bug, caught }: Hunted): void => {
    if (caught === null) missed.push(`${bug.name}: nothing under ${bug.caughtBy} and others of its kind`)
  }
  await hunt(BUGS, likelySeeds, { jobs: availableParallelism(), onHunted })
  expect(missed, 'find another seed with: npm run sim -- --bugs NAME --seeds 2000').toEqual([])
})
