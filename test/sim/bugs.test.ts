import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { expect, test } from 'vitest'
import { BUGS } from './bugs.ts'
import { type Hunted, hunt } from './hunt.ts'
import { withMistake } from './plant.ts'

const SRC = new URL('../../src/', import.meta.url)

test.for(BUGS)('the mistake "$name" can be planted', ({ name, edits }) => {
  for (const edit of edits) {
    const source = readFileSync(new URL(edit.file, SRC), 'utf8')
    expect(withMistake(name, source, edit)).not.toBe(source)
  }
})

test('each planted mistake breaks a promise under the seed that is noted for it', { timeout: 240_000 }, async () => {
  const missed: string[] = []
  const onHunted = ({ bug, caught }: Hunted): void => {
    if (caught === null) missed.push(`${bug.name}: nothing under seed ${bug.caughtBy}`)
  }
  await hunt(BUGS, (bug) => [bug.caughtBy], { jobs: availableParallelism(), onHunted })
  expect(missed, 'find another seed with: npm run sim -- --bugs NAME --seeds 2000').toEqual([])
})
