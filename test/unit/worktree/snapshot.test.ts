import { execFileSync } from 'node:child_process'
import { utimesSync, writeFileSync } from 'node:fs'
import { appendFile, chmod, link, mkdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { childrenOf } from '../../../src/content/nodes.ts'
import { carryOut, edits } from './random-tree.ts'
import {
  contents,
  fill,
  type Place,
  place,
  supplier,
  take,
  takeAndCommit,
  temporaryFolder,
  workspace
} from './support.ts'

test('an empty folder has a root, and so has a new workspace, whose folder is made', async () => {
  const a = await workspace()
  const b = await place()
  expect((await take(a)).root.equals((await take(b)).root)).toBe(true)
  expect(await contents(b.folder)).toEqual({})
})

test('the root does not depend on the mode and time of the workspace folder itself', async () => {
  const a = await workspace()
  const before = await takeAndCommit(a)
  await chmod(a.folder, 0o700)
  await utimes(a.folder, 1, 1)
  expect((await take(a)).root.equals(before.root)).toBe(true)
})

test('after a commit only what changed is offered, until then all of it', async () => {
  const at = await workspace()
  await writeFile(join(at.folder, 'one'), 'one')
  await writeFile(join(at.folder, 'two'), 'two')
  const first = await take(at)
  const again = await take(at)
  expect(again.offered.length).toBe(first.offered.length)
  await first.commit()
  expect((await take(at)).offered.length, 'a superseded snapshot cannot be committed').toBe(first.offered.length)

  await settledIndex(at)
  expect((await take(at)).offered).toEqual([])
  await writeFile(join(at.folder, 'two'), 'new')
  const changed = await take(at, ['two'])
  expect(changed.offered.length, 'a leaf, a file and a folder').toBe(3)
  expect(changed).toMatchObject({ files: 2, bytes: 6 })
})

test('a snapshot of some paths includes those of a snapshot that was not committed', async () => {
  const at = await workspace()
  await takeAndCommit(at)
  await writeFile(join(at.folder, 'one'), 'one')
  await take(at, ['one'])
  await writeFile(join(at.folder, 'two'), 'two')
  const both = await take(at, ['two'])
  expect(both.files).toBe(2)
  expect(both.root.equals((await take(at)).root)).toBe(true)
})

test('after a commit, snapshots of the paths that random edits touch have the root of a full scan', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(edits, { minLength: 1, maxLength: 4 }), async (rounds) => {
      const at = await workspace()
      await takeAndCommit(at)
      for (const round of rounds) {
        const touched: string[] = []
        for (const edit of round) touched.push(...(await carryOut(at.folder, edit)))
        const partial = await takeAndCommit(at, touched)
        const full = await take(at, 'all')
        const forgetful = await take(at, 'all', { forget: true })
        expect(partial.root.toString()).toBe(full.root.toString())
        expect(full.root.toString()).toBe(forgetful.root.toString())
        expect([partial.files, partial.bytes]).toEqual([forgetful.files, forgetful.bytes])
        await forgetful.commit()
        expect(await at.tree.usage()).toEqual({ files: forgetful.files, bytes: forgetful.bytes })
      }
    }),
    { numRuns: 25 }
  )
}, 60_000)

test('random trees are the same elsewhere, and so are the trees that follow them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(edits, { minLength: 1, maxLength: 4 }), async (rounds) => {
      const [a, b] = [await workspace(), await workspace()]
      for (const round of rounds) {
        for (const edit of round) await carryOut(a.folder, edit)
        const taken = await takeAndCommit(a)
        const applied = await b.tree.apply(taken.root, supplier(a).fetch)
        expect(await contents(b.folder)).toEqual(await contents(a.folder))
        expect(applied).toMatchObject({ files: taken.files, bytes: taken.bytes })
        const elsewhere = await (await workspace()).tree.apply(taken.root, supplier(a).fetch)
        expect(applied.blocks).toBe(elsewhere.blocks)
        const same = await take({ ...b, tree: b.reopened() }, 'all', { forget: true })
        expect(same.root.toString()).toBe(taken.root.toString())
      }
    }),
    { numRuns: 25 }
  )
}, 60_000)

test('a write of the same size right after a snapshot is seen, even within one tick of the clock', async () => {
  const at = await workspace({ file: 'aaaa' })
  const path = join(at.folder, 'file')
  for (let round = 0; round < 200; round++) {
    const { root } = await takeAndCommit(at)
    writeFileSync(path, round % 2 === 0 ? 'bbbb' : 'aaaa')
    utimesSync(path, 1, 1)
    const after = await takeAndCommit(at)
    expect(after.offered.length).toBeGreaterThan(0)
    if (round > 0) expect(after.root.equals(root)).toBe(false)
  }
})

test('a file that was written while the snapshot ran is read again by the next one', async () => {
  const at = await workspace({ first: 'first', 'd/second': 'old' })
  const snapshot = await at.tree.snapshot('all', ({ bytes }) => {
    if (Buffer.from(bytes).equals(Buffer.from('first'))) writeFileSync(join(at.folder, 'd/second'), 'new')
  })
  await snapshot.commit()
  const next = await take(at)
  expect(next.root.equals(snapshot.root), 'it was read after it was written').toBe(true)
  expect(next.offered.some(({ bytes }) => Buffer.from(bytes).equals(Buffer.from('new')))).toBe(true)
})

test('a file that grows while it is read is taken as it is and named; the next snapshot has the rest', async () => {
  const at = await workspace()
  const path = join(at.folder, 'growing')
  await writeFile(path, Buffer.alloc(3_000_000, 1))
  const snapshot = await at.tree.snapshot('all', () => appendFile(path, 'more'))
  expect(snapshot.unsettled).toEqual(['growing'])
  await snapshot.commit()
  const next = await take(at)
  expect(next.unsettled).toEqual([])
  expect(next.root.equals((await take(at, 'all', { forget: true })).root)).toBe(true)
})

test('a file that is replaced once while it is read is read again', async () => {
  const at = await workspace()
  const path = join(at.folder, 'file')
  await writeFile(path, 'old')
  let calls = 0
  const snapshot = await at.tree.snapshot('all', async () => {
    if (calls++ > 0) return
    await writeFile(`${path}.new`, 'new')
    await rename(`${path}.new`, path)
  })
  expect(snapshot.unsettled).toEqual([])
  expect(snapshot.root.equals((await take(at, 'all', { forget: true })).root)).toBe(true)
})

test('what no tree can hold is left out and named', async () => {
  const at = await workspace()
  await writeFile(Buffer.concat([Buffer.from(`${at.folder}/`), Buffer.from([0x66, 0xff])]), 'x')
  execFileSync('mkfifo', [join(at.folder, 'pipe')])
  await writeFile(join(at.folder, 'fine'), 'x')
  const taken = await take(at)
  expect([...taken.unsettled].sort()).toEqual(['f\ufffd', 'pipe'])
  expect(taken.files).toBe(1)
})

test('a file replaced by a pipe is gone from the tree', async () => {
  const at = await workspace()
  await writeFile(join(at.folder, 'file'), 'x')
  await takeAndCommit(at)
  await rm(join(at.folder, 'file'))
  execFileSync('mkfifo', [join(at.folder, 'file')])
  expect(await take(at, ['file'])).toMatchObject({ files: 0, unsettled: ['file'] })
})

test('a link that leads outside is kept as a link, and nothing behind it is read', async () => {
  const at = await workspace()
  const outside = await temporaryFolder()
  await writeFile(join(outside, 'secret'), 'secret')
  await symlink(outside, join(at.folder, 'link'))
  const taken = await takeAndCommit(at)
  expect(taken.files).toBe(1)
  const below = await take(at, ['link/secret'])
  expect(below.root.equals(taken.root)).toBe(true)
  for (const { bytes } of at.blocks.values()) expect(Buffer.from(bytes).includes('secret')).toBe(false)
})

test('a folder that turns into a link while its files are read does not lead out', async () => {
  const at = await workspace()
  const outside = await temporaryFolder()
  for (let file = 0; file < 40; file++) {
    await fill(at, { [`a/${file}`]: 'mine' })
    await writeFile(join(outside, `${file}`), 'secret')
  }
  const offered: Uint8Array[] = []
  const snapshot = await at.tree.snapshot('all', async ({ bytes }) => {
    offered.push(bytes)
    if (offered.length > 1) return
    await rename(join(at.folder, 'a'), join(at.folder, 'moved'))
    await symlink(outside, join(at.folder, 'a'))
  })
  expect(offered.some((bytes) => Buffer.from(bytes).includes('secret'))).toBe(false)
  expect(snapshot.unsettled.length).toBeGreaterThan(0)
})

test('paths that lead out are refused', async () => {
  const at = await workspace()
  for (const path of ['../x', '/x', 'a//b', 'a/../../b', '.', 'a\0']) {
    await expect(take(at, [path])).rejects.toMatchObject({ code: 'BAD_REQUEST' })
  }
})

test('the missing folder of a workspace that had one is an error, not an empty tree', async () => {
  const at = await workspace()
  await writeFile(join(at.folder, 'file'), 'x')
  await takeAndCommit(at)
  await rm(at.folder, { recursive: true })
  await expect(take(at)).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

test('a damaged index costs time, not data', async () => {
  const at = await workspace()
  await mkdir(join(at.folder, 'd'))
  for (const name of ['x', 'd/y', 'd/z']) await writeFile(join(at.folder, name), name)
  const { root } = await takeAndCommit(at)
  const keys: string[] = []
  for await (const [key] of at.index.entries({ prefix: '' })) keys.push(key)
  for (const key of keys) {
    await at.index.write({ put: [[key, Buffer.from('damaged')]] }, { durable: true })
    const again = { ...at, tree: at.reopened() }
    expect((await take(again, ['d/y'])).root.toString(), key).toBe(root.toString())
    const full = await take(again)
    expect(full).toMatchObject({ files: 3, bytes: 7 })
    await full.commit()
  }
})

test('a small write into a folder of thousands of entries makes a few small blocks', async () => {
  const at = await workspace()
  for (let file = 0; file < 4_000; file++) writeFileSync(join(at.folder, `${file}`), '')
  await takeAndCommit(at)
  await writeFile(join(at.folder, '77'), 'changed')
  const { offered } = await take(at, ['77'])
  expect(offered.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeLessThan(64 * 1024)
}, 60_000)

test('tree nodes of the past do not pile up', async () => {
  const at = await workspace()
  await writeFile(join(at.folder, 'other'), 'x')
  for (let round = 0; round < 200; round++) {
    const names = Array.from({ length: 20 }, (_, index) => `file ${index}`)
    for (const name of names) await writeFile(join(at.folder, name), `${name} ${round}`)
    if (round === 0) await fill(at, { 'deep/down/kept': 'kept' })
    await takeAndCommit(at, round === 0 ? 'all' : names)
  }
  let kept = 0
  for await (const _ of at.index.entries({ prefix: '' })) kept++
  expect(kept).toBeLessThan(5_000)
  expect(at.warnings, 'nothing in use was swept away').toEqual([])
  const { root } = await take(at)
  const b = await workspace()
  await b.tree.apply(root, async (cids) => {
    const blocks = []
    for (const cid of cids) blocks.push({ cid, bytes: (await at.tree.readBlock(cid)) ?? new Uint8Array() })
    return blocks
  })
  expect(await contents(b.folder)).toEqual(await contents(at.folder))
}, 60_000)

test('a signal ends a snapshot, and an error of the sink comes through', async () => {
  const at = await workspace()
  await writeFile(join(at.folder, 'file'), 'x')
  await expect(take(at, 'all', { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' })
  await expect(at.tree.snapshot('all', () => Promise.reject(new Error('no room')))).rejects.toThrow('no room')
  expect((await take(at)).files).toBe(1)
})

test('the sink gets one block at a time, children before parents, the root last', async () => {
  const at = await workspace()
  for (let file = 0; file < 30; file++) await fill(at, { [`d${file % 3}/${file}`]: Buffer.alloc(200_000, file) })
  const seen = new Set<string>()
  let busy = false
  let last = ''
  const { root } = await at.tree.snapshot('all', async (block) => {
    expect(busy).toBe(false)
    busy = true
    await new Promise(setImmediate)
    for (const child of childrenOf(block)) expect(seen).toContain(child.toString())
    last = block.cid.toString()
    seen.add(last)
    busy = false
  })
  expect(last).toBe(root.toString())
})

test('a file with two names is kept under both', async () => {
  const at = await workspace()
  await writeFile(join(at.folder, 'one'), 'same')
  await link(join(at.folder, 'one'), join(at.folder, 'two'))
  expect(await take(at)).toMatchObject({ files: 2, bytes: 8 })
})

/** Looks again at files that were written a moment ago, until the index trusts what it knows of them. */
async function settledIndex(at: Place): Promise<void> {
  while ((await takeAndCommit(at)).offered.length > 0);
}
