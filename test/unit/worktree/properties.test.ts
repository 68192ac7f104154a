import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, lutimes, mkdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { exporter, type UnixFSEntry } from 'ipfs-unixfs-exporter'
import { CID } from 'multiformats/cid'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { faultOfName } from '../../../src/content/names.ts'
import { silent } from '../../../src/core/log.ts'
import { workerReader } from '../../../src/worktree/worker-reader.ts'
import { Blocks, noise } from '../content/support.ts'
import { contents, type Place, supplier, take, takeAndCommit, workspace } from './support.ts'

/** As the instance reads: in threads. */
const reader = workerReader({ log: silent })
afterAll(() => reader.close())

interface Item {
  readonly name: string
  readonly mode: number
  readonly us: number
  readonly what:
    | { readonly kind: 'file'; readonly size: number; readonly seed: string }
    | { readonly kind: 'link'; readonly target: string }
    | { readonly kind: 'folder'; readonly items: readonly Item[] }
}

const ODD = [
  '..a',
  '-',
  ' ',
  '\\',
  'a\\',
  'a\nb',
  '"',
  '*',
  '%2F',
  'é',
  'e\u0301',
  '\u202e',
  '😀',
  'CON',
  '\ufffd',
  '\u0001'
]
const name = fc
  .oneof(
    fc.constantFrom(...ODD),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
    fc.constant('n'.repeat(255))
  )
  .filter((text) => faultOfName(text) === null)
const target = fc.oneof(
  fc.constantFrom('a', '..', '../../etc/passwd', '/dev/null', 'no where', './', 't'.repeat(4000)),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((text) => !text.includes('\0'))
)
const { items } = fc.letrec<{ items: Item[]; item: Item }>((tie) => ({
  items: fc.uniqueArray(tie('item'), { maxLength: 6, selector: (item) => item.name }),
  item: fc.record({
    name,
    mode: fc.integer({ min: 0, max: 0o7777 }),
    us: fc.integer({ min: -1e15, max: 4e15 }),
    what: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.record({
        kind: fc.constant('file' as const),
        size: fc.constantFrom(0, 1, 8192, 65_536, 300_000, 1_200_000),
        seed: fc.constantFrom('a', 'b', 'c')
      }),
      fc.record({ kind: fc.constant('link' as const), target }),
      fc.record({ kind: fc.constant('folder' as const), items: tie('items') })
    )
  })
}))

/** Folders last, from the inside out: what is made in them changes their times. */
async function build(folder: string, list: readonly Item[]): Promise<void> {
  for (const { name: own, mode, us, what } of list) {
    const path = join(folder, own)
    const time = String((us + 0.5) / 1e6)
    if (what.kind === 'link') {
      await symlink(what.target, path)
      await lutimes(path, time, time)
      continue
    }
    if (what.kind === 'file') await writeFile(path, noise(what.size, what.seed))
    else {
      await mkdir(path)
      await build(path, what.items)
    }
    await chmod(path, mode)
    await utimes(path, time, time)
  }
}

async function sameElsewhere(a: Place): Promise<void> {
  const taken = await takeAndCommit(a)
  expect(taken.unsettled).toEqual([])
  const b = await workspace({}, reader)
  await b.tree.apply(taken.root, supplier(a).fetch)
  expect(await contents(b.folder)).toEqual(await contents(a.folder))
  const again = await take(b, 'all', { forget: true })
  expect(again.root.toString(), 'the same tree has the same root').toBe(taken.root.toString())
}

test('any tree is the same elsewhere, byte for byte, with modes, times and links, and has the same root', async () => {
  await fc.assert(
    fc.asyncProperty(items, async (list) => {
      const a = await workspace({}, reader)
      await build(a.folder, list)
      await sameElsewhere(a)
    }),
    { numRuns: 40 }
  )
})

test('so is one with a deep path, a file of several MiB, and empty folders in empty folders', async () => {
  const deep = Array.from({ length: 200 }, (_, level) => `level ${level}`)
    .join('/')
    .slice(0, 2_500)
  const a = await workspace({ 'large file': noise(9_000_001), [`${deep}/file`]: 'deep' }, reader)
  await mkdir(join(a.folder, 'empty/empty/empty'), { recursive: true })
  await chmod(join(a.folder, 'empty/empty'), 0o500)
  await sameElsewhere(a)
})

test('a folder that grows into a HAMT and shrinks again has the root of one that is built anew', async () => {
  // 48 KiB are about 205 entries of this length.
  const nameOf = (entry: number): string => `${entry}`.padEnd(200, '.')
  const step = fc.record({ from: fc.nat(15), count: fc.integer({ min: 1, max: 15 }), gone: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 5 }), async (steps) => {
      const at = await workspace({}, reader)
      for (let entry = 0; entry < 198; entry++) await writeFile(join(at.folder, nameOf(1000 + entry)), '')
      await takeAndCommit(at)
      for (const { from, count, gone } of steps) {
        const names = Array.from({ length: count }, (_, entry) => nameOf(from + entry))
        for (const one of names) {
          if (gone) await rm(join(at.folder, one), { force: true })
          else await writeFile(join(at.folder, one), one)
        }
        const { root } = await takeAndCommit(at, names)
        expect(root.toString()).toBe((await take(at, 'all', { forget: true })).root.toString())
        await takeAndCommit(at)
      }
    }),
    { numRuns: 15 }
  )
})

test('the exporter of IPFS reads what a snapshot wrote', async () => {
  const files: Record<string, string | Buffer> = { 'a/b/c.txt': 'text', empty: '', 'large.bin': noise(3_000_000) }
  for (let file = 0; file < 1_500; file++) files[`many/${file}`] = `${file}`
  const at = await workspace(files, reader)
  const { root } = await take(at)
  const blocks = new Blocks()
  for (const block of at.blocks.values()) await blocks.sink(block)
  const found: Record<string, string> = {}
  const walk = async (path: string, entry: UnixFSEntry): Promise<void> => {
    if (entry.type === 'directory') {
      for await (const child of entry.entries()) {
        await walk(path === '' ? child.name : `${path}/${child.name}`, await exporter(child.cid, blocks.blockstore))
      }
      return
    }
    if (entry.type !== 'file' && entry.type !== 'raw') throw new Error(`a ${entry.type}`)
    const parts = []
    for await (const part of entry.content()) parts.push(part)
    found[path] = Buffer.concat(parts).toString('latin1')
  }
  await walk('', await exporter(CID.parse(root.toString()), blocks.blockstore))
  const there: Record<string, string> = {}
  for (const path of Object.keys(files)) there[path] = (await readFile(join(at.folder, path))).toString('latin1')
  expect(found).toEqual(there)
})

test('a file that somebody writes to all the time is taken as it is and named; once they stop, it settles', async () => {
  const at = await workspace({ quiet: 'quiet', busy: noise(64 * 1024 * 1024) }, reader)
  const program = `
    const { openSync, writeSync } = require('node:fs')
    const file = openSync(process.argv[1], 'r+')
    process.stdout.write('writing')
    for (let byte = 0; ; byte++) writeSync(file, Buffer.from([byte]), 0, 1, byte % 1e6)`
  const writer = spawn(process.execPath, ['-e', program, join(at.folder, 'busy')])
  onTestFinished(() => void writer.kill('SIGKILL'))
  await once(writer.stdout, 'data')
  const busy = await take(at)
  expect(busy.unsettled).toEqual(['busy'])
  expect(busy).toMatchObject({ files: 2, bytes: 64 * 1024 * 1024 + 5 })
  await busy.commit()
  writer.kill('SIGKILL')
  await once(writer, 'exit')
  const { unsettled, root } = await take(at)
  expect(unsettled).toEqual([])
  expect(root.toString()).toBe((await take(at, 'all', { forget: true })).root.toString())
})
