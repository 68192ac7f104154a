import { expect, test } from 'vitest'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import type { Disk } from '../../../src/store/disk.ts'
import { openRepository } from '../../../src/store/main-repository.ts'
import { memoryDisk } from '../../../src/store/memory-disk.ts'
import { memoryIndex } from '../../../src/store/memory-index.ts'
import { accept, depsOf, headAfter, snapshot, workspace } from './support.ts'

const A = workspace('a')

test('writing goes on by itself after a write failed that could not be taken back either', async () => {
  let broken = false
  const inner = memoryDisk()
  const orFail = <T>(work: () => Promise<T>): Promise<T> =>
    broken ? Promise.reject(new NodeDaemonError('UNEXPECTED', 'the disk is away')) : work()
  const disk: Disk = {
    append: (path, parts) => orFail(() => inner.append(path, parts)),
    truncate: (path, length) => orFail(() => inner.truncate(path, length)),
    sync: (path) => inner.sync(path),
    syncFolder: (path) => inner.syncFolder(path),
    rename: (from, to) => inner.rename(from, to),
    read: (path, offset, length) => inner.read(path, offset, length),
    list: (path) => inner.list(path),
    size: (path) => inner.size(path),
    remove: (path) => inner.remove(path),
    makeFolder: (path) => inner.makeFolder(path),
    freeBytes: () => inner.freeBytes(),
    close: () => inner.close()
  }
  const repository = await openRepository(depsOf(disk, memoryIndex()))
  const first = await snapshot({ file: 'one' })
  const one = await headAfter(null, first.root, { workspace: A, epoch: 1 })
  await repository.publish(one, first.blocks, accept)
  const second = await snapshot({ file: 'two' })
  const two = await headAfter(one, second.root, { workspace: A, epoch: 1 })
  broken = true
  await expect(repository.publish(two, second.blocks, accept)).rejects.toMatchObject({ code: 'UNEXPECTED' })
  broken = false
  await repository.publish(two, second.blocks, accept)
  await repository.close()
  const again = await openRepository(depsOf(inner, memoryIndex()))
  expect((await again.tip(A))?.tip.cid.toString()).toBe(two.cid.toString())
  for (const { cid } of second.blocks) expect(await again.read(A, cid)).not.toBeNull()
  await again.close()
})
