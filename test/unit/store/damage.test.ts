import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { codeOf, NodeDaemonError } from '../../../src/core/errors.ts'
import type { SignedHead } from '../../../src/core/records.ts'
import type { Disk } from '../../../src/store/disk.ts'
import { openRepository } from '../../../src/store/main-repository.ts'
import { memoryDisk } from '../../../src/store/memory-disk.ts'
import { memoryIndex } from '../../../src/store/memory-index.ts'
import { nodeDisk } from '../../../src/store/node-disk.ts'
import { levelIndex } from '../../../src/store/open-repository.ts'
import { packPath } from '../../../src/store/pack-files.ts'
import type { MainRepository } from '../../../src/store/repository.ts'
import { accept, depsOf, headAfter, sealOf, snapshot, temporaryFolder, workspace } from './support.ts'

const A = workspace('a')
const TEXTS = ['one', 'two', 'three', 'four']

async function publish(
  repository: MainRepository,
  previous: SignedHead | null,
  text: string,
  epoch = 1
): Promise<SignedHead> {
  const { root, blocks } = await snapshot({ same: 'same', own: text })
  const head = await headAfter(previous, root, { workspace: A, epoch })
  await repository.publish(head, blocks, accept)
  return head
}

/** Two heads, a seal, two heads of the next epoch, each in a commit of its own; and where the last commit begins. */
async function filled(disk: Disk): Promise<{ heads: SignedHead[]; lastCommit: number }> {
  const repository = await openRepository(depsOf(disk, memoryIndex()))
  const one = await publish(repository, null, 'one')
  const two = await publish(repository, one, 'two')
  await repository.seal(A, 1, sealOf(A, 1))
  const three = await publish(repository, two, 'three', 2)
  const lastCommit = (await disk.size(packPath(1))) ?? 0
  const four = await publish(repository, three, 'four', 2)
  await repository.close()
  return { heads: [one, two, three, four], lastCommit }
}

test('whatever byte of the packs rots and the index is lost too: the tip stays, and no byte that is read is wrong', {
  timeout: 120_000
}, async () => {
  const disk = memoryDisk()
  const { heads, lastCommit } = await filled(disk)
  const bytes = await disk.read(packPath(1), 0, 1_000_000)
  const made = await Promise.all(TEXTS.map((own) => snapshot({ same: 'same', own })))
  const good = made.flatMap(({ blocks }) => blocks)
  const last = heads.at(-1)
  for (let offset = 0; offset < lastCommit; offset += 3) {
    const copy = memoryDisk()
    await copy.makeFolder('repository/packs')
    await copy.append(packPath(1), [bytes])
    copy.flip(packPath(1), offset)
    const repository = await openRepository(depsOf(copy, memoryIndex()))
    const what = `byte ${offset} of ${bytes.length}`
    expect((await repository.tip(A))?.tip.cid.toString(), what).toBe(last?.cid.toString())
    for (const { cid, bytes: content } of good) {
      const found = await repository.read(A, cid)
      if (found !== null) expect(Buffer.from(found).equals(content), what).toBe(true)
    }
    await repository.close()
  }
})

async function onDisk(): Promise<{ folder: string; disk: Disk; open: () => Promise<MainRepository> }> {
  const folder = await temporaryFolder()
  const disk = nodeDisk(folder)
  onTestFinished(() => disk.close())
  const open = async (): Promise<MainRepository> => {
    const repository = await openRepository(depsOf(disk, levelIndex(join(folder, 'repository/index'))))
    onTestFinished(() => repository.close())
    return repository
  }
  return { folder, disk, open }
}

test('an index that does not open is built anew', async () => {
  const { folder, open } = await onDisk()
  const first = await open()
  const head = await publish(first, null, 'one')
  await first.close()
  const index = join(folder, 'repository/index')
  for (const name of await readdir(index))
    if (name.startsWith('MANIFEST')) await writeFile(join(index, name), 'garbage')

  const second = await open()
  expect((await second.tip(A))?.tip.cid.equals(head.cid)).toBe(true)
})

test('packs that were put back from an older backup are taken as they are', async () => {
  const { disk, open } = await onDisk()
  const first = await open()
  const one = await publish(first, null, 'one')
  await first.close()
  const backup = await disk.read(packPath(1), 0, 1_000_000)
  const again = await open()
  const two = await publish(again, one, 'two')
  await again.close()
  await disk.remove(packPath(1))
  await disk.append(packPath(1), [backup])

  const restored = await open()
  expect((await restored.tip(A))?.tip.cid.equals(one.cid)).toBe(true)
  expect(await restored.head(two.cid)).toBeNull()
  expect(await restored.missing(A, [two.value.root])).toEqual([two.value.root])
})

test('packs without a folder begin anew, and an index without packs says nothing', async () => {
  const { folder, open } = await onDisk()
  const first = await open()
  await publish(first, null, 'one')
  await first.close()
  await rm(join(folder, 'repository/packs'), { recursive: true })
  const second = await open()
  expect(await second.tip(A)).toBeNull()
  await publish(second, null, 'anew')
})

test('a row of the index that is damaged while it runs is answered with "try again", and then it is mended', async () => {
  const index = memoryIndex()
  let damaged = false
  const place = {
    ...index,
    open: async () => {
      const level = await index.open()
      damaged = false
      return {
        ...level,
        getMany: async (keys: readonly string[]) => {
          if (damaged) throw new NodeDaemonError('INTEGRITY', 'damaged', { data: { damagedRow: keys[0] } })
          return await level.getMany(keys)
        }
      }
    }
  }
  const repository = await openRepository(depsOf(memoryDisk(), place))
  const head = await publish(repository, null, 'one')
  damaged = true
  expect(await repository.missing(A, [head.value.root]).then(() => 'none', codeOf)).toBe('BUSY')
  expect(await repository.missing(A, [head.value.root])).toEqual([])
  await publish(repository, head, 'two')
  await repository.close()
})
