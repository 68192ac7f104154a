import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fits, PATH_LIMITS } from '../../../src/worktree/paths.ts'
import { contents, place, supplier, take, workspace } from './support.ts'

const nested = (levels: number, name = 'd'): string => Array.from({ length: levels }, () => name).join('/')

test('whatever a snapshot takes can be applied elsewhere; what is too deep for that is told', async () => {
  const a = await workspace({ kept: 'kept' })
  const [deepest, deeper] = [nested(PATH_LIMITS.names), nested(PATH_LIMITS.names + 1)]
  await mkdir(join(a.folder, nested(1_200)), { recursive: true })
  const taken = await take(a)
  expect(taken.unsettled).toEqual([deeper])
  const b = await place()
  await b.tree.apply(taken.root, supplier(a).fetch)
  const there = await contents(b.folder)
  expect(there).toHaveProperty([deepest])
  expect(there).toHaveProperty(['kept'])
  expect(there).not.toHaveProperty([deeper])
})

test('a path of too many bytes for a longer data folder is told, and not taken', async () => {
  const a = await workspace()
  const long = nested(12, 'n'.repeat(255))
  await mkdir(join(a.folder, long), { recursive: true })
  await writeFile(join(a.folder, long, 'short'), 'x')
  expect(fits(`${long}/short`)).toBe(false)
  expect((await take(a)).unsettled).toEqual([`${long}/short`])
})
