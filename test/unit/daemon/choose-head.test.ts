import { expect, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import type { SignedHead } from '../../../src/core/records.ts'
import { chooseHead, type Moment } from '../../../src/daemon/choose-head.ts'
import { headAfter, snapshot, workspace } from '../store/support.ts'

const { root } = await snapshot({ 'a.txt': 'a' })
const own = workspace('a')
/** Sequences 1 to 4; the third was written by a clock that was ahead. */
const made: SignedHead[] = []
for (const createdAtMs of [100, 200, 900, 400])
  made.push(await headAfter(made.at(-1) ?? null, root, { workspace: own, createdAtMs }))
const heads = made.toReversed()
const chosen = (moment: Moment): number | null => chooseHead(heads, moment)?.value.sequence ?? null

test('no moment means the newest head', () => expect(chosen({})).toBe(4))

test.each([
  [99, null],
  [100, 1],
  [199, 1],
  [399, 2],
  [400, 4],
  [900, 4],
  [10_000, 4]
])('the newest head not later than %d is %s: by the order of the history, not by times', (atMs, sequence) => {
  expect(chosen({ atMs })).toBe(sequence)
})

test('a sequence means the head with this number', () => {
  expect(chooseHead(heads, { sequence: 2 })?.cid.equals(made[1]?.cid)).toBe(true)
  expect(chosen({ sequence: 5 })).toBeNull()
})

test('more than one thing said is refused; of nothing there is nothing', async () => {
  const both = async (): Promise<unknown> => chooseHead(heads, { sequence: 1, atMs: 1 })
  expect(await both().then(() => 'chosen', codeOf)).toBe('BAD_REQUEST')
  expect(chooseHead([], {})).toBeNull()
})
