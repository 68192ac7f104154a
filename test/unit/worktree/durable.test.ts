import { execFileSync } from 'node:child_process'
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeDurable } from '../../../src/worktree/durable.ts'
import { nodeFileSystem } from '../../../src/worktree/node-file-system.ts'
import { fill, temporaryFolder } from './support.ts'

test('files, folders, links, pipes and what is gone can be made durable, few and many', async () => {
  const folder = await temporaryFolder()
  await fill({ folder }, { 'a/b/file': 'x', 'a/other': 'y' })
  await symlink('/dev/zero', join(folder, 'link'))
  execFileSync('mkfifo', [join(folder, 'a/pipe')])
  const few = ['a/b/file', 'a', 'link', 'a/pipe', 'gone', 'a/gone/too', '']
  await makeDurable(nodeFileSystem, folder, few)
  await makeDurable(nodeFileSystem, folder, [...few, ...Array.from({ length: 20 }, (_, index) => `gone ${index}`)])
})

test('a disk that cannot be synced is an error', async () => {
  await expect(makeDurable(nodeFileSystem, '/proc/1/fd', ['x'])).rejects.toMatchObject({ code: 'UNEXPECTED' })
})
