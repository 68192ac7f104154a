import { mkdir } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { requireProgram, runTool } from '../tools/debian.ts'
import { TestFederation } from '../tools/federation.ts'
import { FileTree } from '../tools/file-tree.ts'

const FILES = 2000
const SEED = 20_251
const WHOLE_MS = 180_000

test(
  'rclone copies a tree of 2,000 files in and out by WebDAV, and syncs changes and deletions, without a difference',
  async () => {
    const program = requireProgram('/usr/bin/rclone', 'rclone')
    await using federation = await TestFederation.open()
    await federation.join('alpha')
    await federation.join('beta')
    const { token } = await federation.api.send<{ token: string }>('POST', '/users', { name: 'ada' })
    const tree = await FileTree.make(await federation.spare('tree'), SEED, FILES)

    const env = {
      RCLONE_CONFIG: federation.folder('rclone.conf'),
      RCLONE_CACHE_DIR: federation.folder('rclone-cache'),
      RCLONE_CONFIG_DOOR_TYPE: 'webdav',
      RCLONE_CONFIG_DOOR_URL: federation.ready.http,
      RCLONE_CONFIG_DOOR_VENDOR: 'owncloud',
      RCLONE_CONFIG_DOOR_BEARER_TOKEN: token
    }
    const rclone = async (...args: readonly string[]): Promise<string> => {
      const startedAt = performance.now()
      const said = await runTool(program, [...args, '--transfers=16', '--checkers=8', '--retries=1'], {
        ms: WHOLE_MS,
        env
      })
      console.log(`rclone ${args[0]}: ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
      return said
    }
    const expectSame = async (name: string): Promise<void> => {
      expect(await rclone('check', tree.root, 'door:')).toContain(' 0 differences found')
      const out = await federation.spare(name)
      await rclone('copy', 'door:', out, '--create-empty-src-dirs')
      expect(await runTool('/usr/bin/diff', ['-r', tree.root, out], { ms: WHOLE_MS })).toBe('')
    }
    await mkdir(federation.folder('rclone-cache'))

    await rclone('copy', tree.root, 'door:', '--create-empty-src-dirs')
    await expectSame('out')
    await tree.change(100)
    await rclone('sync', tree.root, 'door:', '--create-empty-src-dirs')
    await expectSame('out-after-changes')
    await federation.settled()
  },
  WHOLE_MS
)
