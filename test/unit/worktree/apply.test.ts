import { randomBytes } from 'node:crypto'
import {
  appendFile,
  chmod,
  link,
  lstat,
  lutimes,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  utimes,
  writeFile
} from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import { type Block, blockOf, RAW_CODEC } from '../../../src/core/blocks.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { applyTree } from '../../../src/worktree/apply.ts'
import { nodeFileSystem } from '../../../src/worktree/node-file-system.ts'
import { Staging } from '../../../src/worktree/staging.ts'
import { TreeIndex } from '../../../src/worktree/tree-index.ts'
import { contents, fill, place, supplier, take, takeAndCommit, temporaryFolder, workspace } from './support.ts'

test('a tree is the same elsewhere: bytes, modes, times, links, and the root', async () => {
  const a = await workspace({ 'deep/one': 'one', 'deep/er/.two words\nand a line': 'two', ['n'.repeat(255)]: '' })
  await mkdir(join(a.folder, 'deep/er/empty'))
  await writeFile(join(a.folder, 'large'), randomBytes(9_000_000))
  await symlink('../nowhere', join(a.folder, 'deep/link'))
  await chmod(join(a.folder, 'deep/one'), 0o4751)
  await utimes(join(a.folder, 'deep/one'), '0', '1234567890.123457')
  await lutimes(join(a.folder, 'deep/link'), '0', '-5.25')
  await chmod(join(a.folder, 'deep/er'), 0o1711)
  await utimes(join(a.folder, 'deep/er'), '0', '1')
  const taken = await takeAndCommit(a)
  expect(taken.offered.at(-1)?.cid.equals(taken.root)).toBe(true)

  const b = await place()
  const applied = await b.tree.apply(taken.root, supplier(a).fetch)
  expect(await readdir(b.staging)).toEqual([])
  expect(await contents(b.folder)).toEqual(await contents(a.folder))
  expect(applied).toMatchObject({ files: taken.files, bytes: taken.bytes, blocks: a.blocks.size })
  expect((await b.tree.appliedRoot())?.equals(taken.root)).toBe(true)
  expect(await b.tree.usage()).toEqual({ files: taken.files, bytes: taken.bytes })
  expect((await take(b, 'all', { forget: true })).root.equals(taken.root)).toBe(true)
})

test('times from long ago to far ahead come back to the microsecond', async () => {
  const a = await workspace()
  const times = [
    '-2147483647.000001',
    '-1.999999',
    '0',
    '0.000001',
    '1700000000.999999',
    '4294967295.999999',
    '5000000000'
  ]
  for (const [index, time] of times.entries()) {
    await writeFile(join(a.folder, `${index}`), '')
    await utimes(join(a.folder, `${index}`), time, time)
  }
  const { root } = await takeAndCommit(a)
  const b = await place()
  await b.tree.apply(root, supplier(a).fetch)
  expect(await contents(b.folder)).toEqual(await contents(a.folder))
  expect((await take(b, 'all', { forget: true })).root.equals(root)).toBe(true)
})

test('only what differs is fetched: a renamed, copied, touched or slightly changed file is not', async () => {
  const large = randomBytes(4_000_000)
  const a = await workspace({ large, 'd/small': 'small', other: randomBytes(500_000) })
  const b = await place()
  await b.tree.apply((await takeAndCommit(a)).root, supplier(a).fetch)

  const { ino } = await lstat(join(b.folder, 'other'))
  await rename(join(a.folder, 'd/small'), join(a.folder, 'moved'))
  await writeFile(join(a.folder, 'copy'), large)
  await chmod(join(a.folder, 'other'), 0o600)
  await writeFile(
    join(a.folder, 'large'),
    Buffer.concat([large.subarray(0, 2_000_000), Buffer.from('!'), large.subarray(2_000_000)])
  )
  const { root } = await takeAndCommit(a)
  const applied = await b.tree.apply(root, supplier(a).fetch)
  expect(await contents(b.folder)).toEqual(await contents(a.folder))
  expect(applied.fetchedBytes).toBeLessThan(1_100_000)

  expect((await lstat(join(b.folder, 'other'))).ino, 'only its mode was changed').toBe(ino)
  const nothing = supplier(a)
  await b.tree.apply(root, nothing.fetch)
  expect(nothing.asked).toEqual([])
})

test('edits made on disk since the last apply are undone', async () => {
  const a = await workspace({ kept: 'kept', 'd/changed': 'right', 'd/removed': 'back', file: 'file' })
  const { root } = await takeAndCommit(a)
  const b = await place()
  await b.tree.apply(root, supplier(a).fetch)
  await fill(b, { 'd/changed': 'wrong', 'd/added/deep': 'not wanted' })
  await rm(join(b.folder, 'd/removed'))
  await rm(join(b.folder, 'file'))
  await mkdir(join(b.folder, 'file'))
  await b.reopened().apply(root, supplier(a).fetch)
  expect(await contents(b.folder)).toEqual(await contents(a.folder))
})

test('a file with two names on disk does not change under the other one', async () => {
  const a = await workspace({ one: 'same', two: 'same' })
  const b = await place()
  await b.tree.apply((await takeAndCommit(a)).root, supplier(a).fetch)
  await rm(join(b.folder, 'two'))
  await link(join(b.folder, 'one'), join(b.folder, 'two'))
  await takeAndCommit(b)
  await chmod(join(a.folder, 'one'), 0o600)
  await b.tree.apply((await takeAndCommit(a)).root, supplier(a).fetch)
  expect(await contents(b.folder)).toEqual(await contents(a.folder))
})

test('an interruption after some files were recorded leaves nothing that stands for them wrongly', async () => {
  const a = await workspace()
  for (let index = 0; index < 40; index++) await fill(a, { [`d/${index}`]: randomBytes(300_000) })
  await utimes(join(a.folder, 'd'), 1, 1)
  const first = await takeAndCommit(a)
  const b = await place()
  await b.tree.apply(first.root, supplier(a).fetch)
  for (let index = 0; index < 40; index++) await fill(a, { [`d/${index}`]: randomBytes(300_000) })
  const second = await takeAndCommit(a)

  const index = new TreeIndex(b.index)
  const state = await index.state()
  if (state?.root == null) throw new Error('nothing was applied')
  let steps = 0
  const fetch = async (cids: readonly CID[]): Promise<Block[]> => {
    if (cids.some(({ code }) => code === RAW_CODEC) && steps++ > 0) throw new Error('cut')
    return supplier(a).fetch(cids)
  }
  const staging = new Staging({ files: nodeFileSystem, ...b, random: systemRandom() })
  const checkpoint = { entries: 1, bytes: 1 }
  const deps = {
    files: nodeFileSystem,
    folder: b.folder,
    index,
    staging,
    fetch,
    signal: undefined,
    onDiskIsDurable: true,
    checkpoint
  }
  await expect(applyTree(deps, { ...state, root: state.root }, second.root)).rejects.toThrow('cut')
  await utimes(join(b.folder, 'd'), 1, 1)

  for (const { root } of [first, second]) {
    await b.reopened().apply(root, supplier(a).fetch)
    expect((await take({ ...b, tree: b.reopened() }, 'all', { forget: true })).root.toString()).toBe(root.toString())
  }
  expect(b.warnings).toEqual([])
})

test('edits that a snapshot saw but nobody committed are undone, too', async () => {
  const a = await workspace({ file: 'right' })
  const { root } = await takeAndCommit(a)
  const b = await place()
  await b.tree.apply(root, supplier(a).fetch)
  await fill(b, { file: 'wrong' })
  await take(b, ['file'])
  await b.tree.apply(root, supplier(a).fetch)
  expect(await contents(b.folder)).toEqual(await contents(a.folder))
})

test('interrupted at any call of fetch, the next apply completes it', async () => {
  const a = await workspace()
  for (let index = 0; index < 40; index++) await fill(a, { [`d${index % 4}/${index}`]: randomBytes(300_000) })
  await fill(a, { large: randomBytes(10_000_000) })
  const first = await takeAndCommit(a)
  await rm(join(a.folder, 'd1'), { recursive: true })
  await fill(a, { d1: 'now a file', 'd2/2': 'changed', 'large/now': 'a folder'.repeat(100_000) }).catch(() => undefined)
  await rm(join(a.folder, 'large'))
  await fill(a, { 'large/now': 'a folder'.repeat(100_000) })
  const second = await takeAndCommit(a)
  const b = await place()
  for (const { root } of [first, second]) {
    for (let allowed = 0; ; allowed++) {
      const tree = b.reopened()
      let calls = 0
      const fetch = async (cids: readonly CID[]): Promise<Block[]> => {
        if (calls++ === allowed) throw new Error('cut')
        return supplier(a).fetch(cids)
      }
      const done = await tree.apply(root, fetch).then(
        () => true,
        (error: unknown) => {
          expect(String(error)).toContain('cut')
          return false
        }
      )
      if (done) break
    }
    const sure = await take({ ...b, tree: b.reopened() }, 'all', { forget: true })
    expect(sure.root.toString()).toBe(root.toString())
  }
  expect(await contents(b.folder)).toEqual(await contents(a.folder))
})

test('while an interrupted apply waits to be completed there is no applied root', async () => {
  const a = await workspace({ one: 'one' })
  const first = await takeAndCommit(a)
  const b = await place()
  await b.tree.apply(first.root, supplier(a).fetch)
  await fill(a, { two: 'two' })
  const second = await takeAndCommit(a)
  const leafless = async (cids: readonly CID[]): Promise<Block[]> => {
    if (cids.some(({ code }) => code === RAW_CODEC)) throw new Error('cut')
    return supplier(a).fetch(cids)
  }
  await expect(b.tree.apply(second.root, leafless)).rejects.toThrow('cut')
  expect(await b.tree.appliedRoot()).toBeNull()
  const again = b.reopened()
  await again.apply(second.root, supplier(a).fetch)
  expect((await again.appliedRoot())?.equals(second.root)).toBe(true)
})

test('what an interrupted apply brought of a large file is not fetched again', async () => {
  const a = await workspace({ large: randomBytes(40_000_000) })
  const { root } = await takeAndCommit(a)
  const b = await place()
  let came = 0
  const cut = async (cids: readonly CID[]): Promise<Block[]> => {
    if (came > 20_000_000) throw new Error('cut')
    const blocks = await supplier(a).fetch(cids)
    came += blocks.reduce((sum, { bytes }) => sum + bytes.length, 0)
    return blocks
  }
  await expect(b.tree.apply(root, cut)).rejects.toThrow('cut')
  for (const name of await readdir(b.staging)) await appendFile(join(b.staging, name), Buffer.alloc(50_000_000))
  const { fetchedBytes } = await b.reopened().apply(root, supplier(a).fetch)
  expect(fetchedBytes).toBeLessThan(30_000_000)
  expect(await contents(b.folder)).toEqual(await contents(a.folder))
})

test('parts of a tree that is no longer wanted do not stay in the staging folder', async () => {
  const a = await workspace({ small: 'small' })
  const first = await takeAndCommit(a)
  await fill(a, { large: randomBytes(20_000_000) })
  const second = await takeAndCommit(a)
  const b = await place()
  const leaves = new Set<string>()
  const cut = async (cids: readonly CID[]): Promise<Block[]> => {
    for (const cid of cids) if (cid.code === RAW_CODEC) leaves.add(cid.toString())
    if (leaves.size > 50) throw new Error('cut')
    return supplier(a).fetch(cids)
  }
  await expect(b.tree.apply(second.root, cut)).rejects.toThrow('cut')
  expect(await readdir(b.staging)).not.toEqual([])
  await b.tree.apply(first.root, supplier(a).fetch)
  expect(await readdir(b.staging)).toEqual([])
})

test('bytes that are not what their name says are refused', async () => {
  const a = await workspace({ file: 'content' })
  const { root } = await takeAndCommit(a)
  const lie = async (cids: readonly CID[]): Promise<Block[]> =>
    (await supplier(a).fetch(cids)).map(({ cid, bytes }) =>
      cid.code === RAW_CODEC ? { cid, bytes: Buffer.from('CONTENT') } : { cid, bytes }
    )
  const b = await place()
  await expect(b.tree.apply(root, lie)).rejects.toMatchObject({ code: 'INTEGRITY' })
  await expect(b.tree.apply(root, async () => [])).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await expect(b.tree.apply(root, async () => [blockOf(RAW_CODEC, Buffer.from('x'))])).rejects.toMatchObject({
    code: 'NOT_FOUND'
  })
  expect(await contents(b.folder)).toEqual({})
})

test('a link on disk is replaced, never written through', async () => {
  const a = await workspace({ 'd/file': 'mine', file: 'mine' })
  const { root } = await takeAndCommit(a)
  const b = await workspace()
  const outside = await temporaryFolder()
  await writeFile(join(outside, 'file'), 'untouched')
  await symlink(outside, join(b.folder, 'd'))
  await symlink(join(outside, 'file'), join(b.folder, 'file'))
  await b.tree.apply(root, supplier(a).fetch)
  expect(await contents(b.folder)).toEqual(await contents(a.folder))
  expect(await readFile(join(outside, 'file'), 'utf8')).toBe('untouched')
})

test('a folder that became a link behind the back of a standby is restored, not written through', async () => {
  const a = await workspace({ 'd/file': 'one', 'd/kept': 'kept' })
  const b = await place()
  await b.tree.apply((await takeAndCommit(a)).root, supplier(a).fetch)
  const outside = await temporaryFolder()
  await rm(join(b.folder, 'd'), { recursive: true })
  await symlink(outside, join(b.folder, 'd'))
  await fill(a, { 'd/file': 'two' })
  await b.tree.apply((await takeAndCommit(a)).root, supplier(a).fetch)
  expect(await contents(b.folder)).toEqual(await contents(a.folder))
  expect(await readdir(outside)).toEqual([])
})

test('entries that no tree can have stay, and give way where they stand in the way', async () => {
  const a = await workspace({ way: 'mine', 'd/x': 'x' })
  const { root } = await takeAndCommit(a)
  const b = await workspace()
  const odd = Buffer.concat([Buffer.from(`${b.folder}/`), Buffer.from([0xff])])
  await writeFile(odd, 'odd')
  await mkdir(join(b.folder, 'gone'))
  await writeFile(Buffer.concat([Buffer.from(`${b.folder}/gone/`), Buffer.from([0xff])]), 'odd')
  await b.tree.apply(root, supplier(a).fetch)
  expect((await readFile(odd)).toString()).toBe('odd')
  await rm(odd)
  expect(await contents(b.folder)).toEqual(await contents(a.folder))
})

test('a folder that nobody may write to is changed, and is so again afterwards', async () => {
  const a = await workspace({ 'd/e/file': 'one' })
  await chmod(join(a.folder, 'd/e'), 0o500)
  const b = await place()
  await b.tree.apply((await takeAndCommit(a)).root, supplier(a).fetch)
  await fill(a, { 'd/e/file': 'two' })
  await b.tree.apply((await takeAndCommit(a)).root, supplier(a).fetch)
  expect(await contents(b.folder)).toEqual(await contents(a.folder))
})

test('a workspace that never had a folder can be removed', async () => {
  const at = await place()
  await at.tree.remove()
  expect(await at.tree.appliedRoot()).toBeNull()
})

test('a removed workspace is a new one', async () => {
  const a = await workspace({ 'd/file': 'x' })
  await takeAndCommit(a)
  await a.tree.remove()
  expect(await a.tree.appliedRoot()).toBeNull()
  expect(await a.tree.usage()).toEqual({ files: 0, bytes: 0 })
  const keys = []
  for await (const [key] of a.index.entries({ prefix: '' })) keys.push(key)
  expect(keys).toEqual([])
  expect((await take(a)).files).toBe(0)
})

test('blocks of the applied tree are at hand for others', async () => {
  const a = await workspace({ file: 'content', large: randomBytes(1_000_000) })
  const { root } = await takeAndCommit(a)
  const b = await place()
  await b.tree.apply(root, supplier(a).fetch)
  for (const { cid, bytes } of a.blocks.values()) {
    expect(Buffer.compare((await b.tree.readBlock(cid)) ?? new Uint8Array(), bytes)).toBe(0)
  }
  await writeFile(join(b.folder, 'file'), 'changed')
  expect(await b.tree.readBlock(blockOf(RAW_CODEC, Buffer.from('content')).cid)).toBeNull()
})
