import { truncateSync, writeFileSync } from 'node:fs'
import { lstat, mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { silent } from '../../../src/core/log.ts'
import { workerReader } from '../../../src/worktree/worker-reader.ts'
import { supplier, take, takeAndCommit, workspace } from './support.ts'

const GIB = 1024 ** 3
const MIB = 1024 ** 2

const reader = workerReader({ log: silent })
afterAll(() => reader.close())

test('a folder of 30,000 entries is the same elsewhere, and a small write into it stays small', async () => {
  const at = await workspace({}, reader)
  await mkdir(join(at.folder, 'd'))
  for (let entry = 0; entry < 30_000; entry++) writeFileSync(join(at.folder, `d/entry ${entry}`), '')
  const first = await takeAndCommit(at)
  expect(first.files).toBe(30_000)

  writeFileSync(join(at.folder, 'd/entry 77'), 'changed')
  const changed = await takeAndCommit(at, ['d/entry 77'])
  expect(changed.offered.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeLessThan(2 * 64 * 1024)
  const whole = await take(at)
  expect(whole.root.equals(changed.root)).toBe(true)

  const b = await workspace({}, reader)
  await b.tree.apply(changed.root, supplier(at).fetch)
  expect((await take(b, 'all', { forget: true })).root.equals(changed.root)).toBe(true)
}, 240_000)

test('a sparse file of more than 2 GiB costs a few blocks, and is sparse elsewhere', async () => {
  const at = await workspace({}, reader)
  const size = 2 * GIB + 5 * MIB + 1
  const path = join(at.folder, 'sparse')
  writeFileSync(path, 'begin')
  truncateSync(path, size)
  await using file = await open(path, 'r+')
  await file.write('middle', GIB)
  await file.write('end', size - 3)
  const taken = await take(at)
  expect(taken).toMatchObject({ bytes: size, unsettled: [] })
  expect(at.blocks.size).toBeLessThan(40)
  await taken.commit()

  const b = await workspace({}, reader)
  const applied = await b.tree.apply(taken.root, supplier(at).fetch)
  expect(applied.bytes).toBe(size)
  expect((await lstat(join(b.folder, 'sparse'))).blocks * 512).toBeLessThan(16 * MIB)
  expect((await take(b, 'all', { forget: true })).root.equals(taken.root)).toBe(true)
}, 240_000)
