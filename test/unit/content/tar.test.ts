import { execFile } from 'node:child_process'
import { lstat, mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { CID } from 'multiformats/cid'
import { expect, onTestFinished, test } from 'vitest'
import { buildFile, buildLink } from '../../../src/content/file.ts'
import { buildFolder, type Entry } from '../../../src/content/folder.ts'
import type { Metadata } from '../../../src/content/metadata.ts'
import { tarOf } from '../../../src/content/tar.ts'
import type { Block } from '../../../src/core/blocks.ts'
import { codeOf, NodeDaemonError } from '../../../src/core/errors.ts'
import { seeded } from '../store/support.ts'

const run = promisify(execFile)
const at = (secs: number, nsecs = 0, mode = 0o644): Metadata => ({ mode, mtime: { secs: BigInt(secs), nsecs } })

class Tree {
  readonly blocks = new Map<string, Block>()
  readonly sink = (block: Block): void => void this.blocks.set(block.cid.toString(), block)
  readonly load = async (cid: CID): Promise<Uint8Array> => {
    const block = this.blocks.get(cid.toString())
    if (block === undefined) throw new NodeDaemonError('INCOMPLETE', `${cid} is missing`)
    return block.bytes
  }

  async file(name: string, bytes: Uint8Array, metadata = at(1_700_000_000)): Promise<Entry> {
    const source = (async function* () {
      yield bytes
    })()
    return { name, ...(await buildFile(source, metadata, this.sink)) }
  }

  link(name: string, target: string): Entry {
    const block = buildLink(target, at(1_700_000_000, 0, 0o777))
    this.sink(block)
    return { name, cid: block.cid, totalBytes: block.bytes.length }
  }

  async folder(name: string, entries: readonly Entry[], metadata = at(1_700_000_000, 0, 0o755)): Promise<Entry> {
    return { name, ...(await buildFolder(entries, metadata, this.sink)) }
  }
}

/** Where the tar of this machine puts what is in the archive. */
async function extracted(root: CID, load: Tree['load']): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nd-tar-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const pieces: Uint8Array[] = []
  for await (const piece of tarOf(root, 'files', load)) pieces.push(piece)
  const archive = Buffer.concat(pieces)
  expect(archive.length % 512).toBe(0)
  const done = run('tar', ['-xpf', '-', '-C', folder])
  done.child.stdin?.end(archive)
  await done
  return join(folder, 'files')
}

test('what is in a folder comes out of the archive as it was: names, contents, links, modes, times', async () => {
  const tree = new Tree()
  const large = seeded(1).bytes(1_500_000)
  const longName = 'n'.repeat(240)
  const inner = await tree.folder('a folder', [
    await tree.file('übung ☂.txt', Buffer.from('rain')),
    await tree.file(longName, Buffer.from('long'), at(1, 250_000_000, 0o600)),
    tree.link('away', `../${'t'.repeat(150)}`),
    await tree.folder('empty', [])
  ])
  const root = await tree.folder('', [
    inner,
    await tree.file('large.bin', large, at(1_700_000_001, 123_456_000, 0o755)),
    await tree.file('nothing', new Uint8Array(0)),
    await tree.file('block', seeded(2).bytes(512)),
    tree.link('short', 'nothing')
  ])
  const folder = await extracted(root.cid, tree.load)
  expect((await readdir(folder)).sort()).toEqual(['a folder', 'block', 'large.bin', 'nothing', 'short'])
  expect((await readFile(join(folder, 'large.bin'))).equals(large)).toBe(true)
  expect(await readFile(join(folder, 'a folder', 'übung ☂.txt'), 'utf8')).toBe('rain')
  expect(await readFile(join(folder, 'a folder', longName), 'utf8')).toBe('long')
  expect(await readdir(join(folder, 'a folder', 'empty'))).toEqual([])
  expect([await readlink(join(folder, 'short')), await readlink(join(folder, 'a folder', 'away'))]).toEqual([
    'nothing',
    `../${'t'.repeat(150)}`
  ])
  const [big, long] = [await lstat(join(folder, 'large.bin')), await lstat(join(folder, 'a folder', longName))]
  expect([big.mode & 0o777, long.mode & 0o777, (await lstat(join(folder, 'nothing'))).size]).toEqual([0o755, 0o600, 0])
  expect([Math.round(big.mtimeMs * 1000), Math.round(long.mtimeMs * 1000)]).toEqual([1_700_000_001_123_456, 1_250_000])
})

test('a folder of many entries comes out whole', async () => {
  const tree = new Tree()
  const entries: Entry[] = []
  for (let index = 0; index < 2000; index++) entries.push(await tree.file(`${index}.txt`, Buffer.from(String(index))))
  const root = await tree.folder('', entries)
  const folder = await extracted(root.cid, tree.load)
  expect((await readdir(folder)).length).toBe(2000)
  expect(await readFile(join(folder, '1234.txt'), 'utf8')).toBe('1234')
})

test('where a block is missing the archive ends with an error, and not as if it were whole', async () => {
  const tree = new Tree()
  const root = await tree.folder('', [await tree.file('large.bin', seeded(1).bytes(1_500_000))])
  const [leaf] = [...tree.blocks.keys()]
  tree.blocks.delete(leaf ?? '')
  const outcome = extracted(root.cid, tree.load).then(() => 'whole', codeOf)
  expect(await outcome).toBe('INCOMPLETE')
})
