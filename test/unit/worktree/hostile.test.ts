import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import { fileNode, sizeOf } from '../../../src/content/encode.ts'
import { buildFile, buildLink } from '../../../src/content/file.ts'
import { buildFolder, type Entry } from '../../../src/content/folder.ts'
import { type Block, blockOf, DAG_PB_CODEC, RAW_CODEC } from '../../../src/core/blocks.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { planTree } from '../../../src/worktree/plan.ts'
import { TreeIndex } from '../../../src/worktree/tree-index.ts'
import { contents, place, temporaryFolder } from './support.ts'

const METADATA = { mode: 0o755, mtime: { secs: 0n, nsecs: 0 } }

/** The name of a link as dag-pb writes it. */
const nameField = (name: string): Buffer =>
  Buffer.concat([Buffer.from([0x12, Buffer.byteLength(name)]), Buffer.from(name)])

/** Blocks made by someone who does not play by the rules. */
class Forge {
  readonly blocks = new Map<string, Block>()
  readonly add = (block: Block): void => {
    this.blocks.set(block.cid.toString(), block)
  }

  readonly fetch = async (cids: readonly CID[]): Promise<Block[]> =>
    cids.map((cid) => this.blocks.get(cid.toString())).filter((block) => block !== undefined)

  async file(text: string): Promise<CID> {
    async function* source(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(text)
    }
    return (await buildFile(source(), METADATA, this.add)).cid
  }

  /** A file of petabytes that is made of a few blocks. */
  async huge(): Promise<CID> {
    const leaf = blockOf(RAW_CODEC, Buffer.alloc(1_000_000))
    this.add(leaf)
    let links = Array.from({ length: 100 }, () => ({ cid: leaf.cid, size: 1_000_000, totalBytes: 1_000_000 }))
    for (let level = 0; level < 3; level++) {
      const { block, totalBytes } = fileNode(links, null)
      this.add(block)
      const size = sizeOf(links)
      links = Array.from({ length: 100 }, () => ({ cid: block.cid, size, totalBytes }))
    }
    const { block } = fileNode(links, METADATA)
    this.add(block)
    return block.cid
  }

  link(target: string): CID {
    const block = buildLink(target, METADATA)
    this.add(block)
    return block.cid
  }

  async folder(entries: Readonly<Record<string, CID>>): Promise<CID> {
    const list: Entry[] = Object.entries(entries).map(([name, cid]) => ({ name, cid, totalBytes: 1 }))
    return (await buildFolder(list, METADATA, this.add)).cid
  }

  /** A folder in which one name is written over with another of the same length. */
  async misnamed(name: string, cid: CID): Promise<CID> {
    const honest = 'x'.repeat(Buffer.byteLength(name))
    const root = await this.folder({ [honest]: cid })
    const bytes = Buffer.from(this.blocks.get(root.toString())?.bytes ?? [])
    bytes.write(name, bytes.indexOf(nameField(honest)) + 2)
    const forged = blockOf(DAG_PB_CODEC, bytes)
    this.add(forged)
    return forged.cid
  }
}

test('names that lead out of the folder are refused before anything is written', async () => {
  for (const name of ['..', '.', '../evil', '/evil', 'a/b', 'a\0b']) {
    const forge = new Forge()
    const root = await forge.misnamed(name, await forge.file('evil'))
    const { tree, folder } = await place()
    await expect(tree.apply(root, forge.fetch), name).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await contents(folder)).toEqual({})
  }
})

test('a link and a folder of the same name do not lead out', async () => {
  const outside = await temporaryFolder()
  await writeFile(join(outside, 'file'), 'untouched')
  const forge = new Forge()
  const inner = await forge.folder({ file: await forge.file('evil') })
  const root = await forge.folder({ aa: forge.link(outside), ab: inner })
  const bytes = Buffer.from(forge.blocks.get(root.toString())?.bytes ?? [])
  bytes.write('aa', bytes.indexOf(nameField('ab')) + 2)
  const forged = blockOf(DAG_PB_CODEC, bytes)
  forge.add(forged)
  const { tree } = await place()
  await expect(tree.apply(forged.cid, forge.fetch)).rejects.toMatchObject({ code: 'INTEGRITY' })
  expect(Object.keys(await contents(outside))).toEqual(['file'])
})

test('a link in the tree is made, and nothing is written behind it in a later tree', async () => {
  const outside = await temporaryFolder()
  const forge = new Forge()
  const { tree, folder } = await place()
  await tree.apply(await forge.folder({ d: forge.link(outside) }), forge.fetch)
  await tree.apply(await forge.folder({ d: await forge.folder({ file: await forge.file('mine') }) }), forge.fetch)
  expect(Object.keys(await contents(folder))).toEqual(['d', 'd/file'])
  expect(await contents(outside)).toEqual({})
})

test('what is no entry of a folder is refused', async () => {
  const forge = new Forge()
  const raw = blockOf(RAW_CODEC, Buffer.from('raw'))
  forge.add(raw)
  const { tree } = await place()
  for (const root of [raw.cid, await forge.file('a file'), forge.link('x'), await forge.folder({ raw: raw.cid })]) {
    await expect(tree.apply(root, forge.fetch)).rejects.toMatchObject({ code: 'INTEGRITY' })
  }
})

test('a few blocks that describe endlessly many folders are refused', async () => {
  const forge = new Forge()
  const empty = await forge.folder({})
  let cid = empty
  for (let level = 0; level < 40; level++) cid = await forge.folder({ left: cid, right: cid })
  const index = new TreeIndex(memoryKeyValue())
  for (const block of forge.blocks.values()) await index.keepNode(block)
  const plan = planTree(empty, cid, index, async () => undefined, undefined, 10_000)
  await expect(plan).rejects.toMatchObject({ code: 'TOO_LARGE' })
})

test('a file larger than the disk is refused before anything is written', async () => {
  const forge = new Forge()
  const root = await forge.folder({ file: await forge.huge() })
  const { tree, folder } = await place()
  await expect(tree.apply(root, forge.fetch)).rejects.toMatchObject({ code: 'NO_SPACE' })
  expect(await contents(folder)).toEqual({})
})
