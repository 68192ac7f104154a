import { expect, test } from 'vitest'
import { requireProgram, runTool } from '../tools/debian.ts'
import { TestFederation } from '../tools/federation.ts'
import { FileTree } from '../tools/file-tree.ts'

const FILES = 300
const CHANGES = 100
const SEED = 20_251
const WHOLE_MS = 180_000
const FLAGS = ['--transfers=16', '--checkers=8', '--retries=1', '--stats=0']
const WITH_EMPTY_FOLDERS = '--create-empty-src-dirs'

test(
  'rclone copies 300 files in and out by WebDAV, then syncs changes and deletions, without a difference',
  async ({ signal }) => {
    const program = requireProgram('/usr/bin/rclone', 'rclone')
    await using federation = await TestFederation.open()
    await federation.join('alpha')
    await federation.join('beta')
    const { token } = await federation.api.send<{ token: string }>('POST', '/users', { name: 'ada' })
    const tree = await FileTree.make(await federation.spare('tree'), SEED, FILES)
    const out = await federation.spare('out')

    const env = {
      RCLONE_CONFIG: federation.folder('rclone.conf'),
      RCLONE_CACHE_DIR: federation.folder('rclone-cache'),
      RCLONE_CONFIG_DOOR_TYPE: 'webdav',
      RCLONE_CONFIG_DOOR_URL: federation.ready.http,
      RCLONE_CONFIG_DOOR_VENDOR: 'owncloud',
      RCLONE_CONFIG_DOOR_BEARER_TOKEN: token
    }
    const rclone = (...args: readonly string[]): Promise<string> =>
      runTool(program, [...args, ...FLAGS], { signal, env })
    const expectSame = async (): Promise<void> => {
      expect(await rclone('check', tree.root, 'door:')).toContain(' 0 differences found')
      expect(await runTool('/usr/bin/diff', ['-r', tree.root, out], { signal })).toBe('')
    }

    await rclone('copy', tree.root, 'door:', WITH_EMPTY_FOLDERS)
    await rclone('copy', 'door:', out, WITH_EMPTY_FOLDERS)
    await expectSame()

    await tree.change(CHANGES)
    await rclone('sync', tree.root, 'door:', WITH_EMPTY_FOLDERS)
    await rclone('sync', 'door:', out, WITH_EMPTY_FOLDERS)
    await expectSame()

    await federation.settled()
    expect((await federation.workspaces())[0]?.files).toBe(tree.paths.length)
  },
  WHOLE_MS
)
