import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { RepositoryView } from '../../src/console/views.ts'
import { TestFederation } from '../tools/federation.ts'
import { sha256 } from '../tools/web-user.ts'

const FILE_BYTES = 200_000_000
const SHARE_BEFORE_THE_KILL = 0.4

/** Bytes that a process has written so far, to sockets and files together. */
async function bytesWritten(pid: number): Promise<number> {
  return Number(/^wchar: (\d+)$/m.exec(await readFile(`/proc/${pid}/io`, 'utf8'))?.[1])
}

test('a sync that was cut in the middle goes on where it stopped', async () => {
  await using federation = await TestFederation.open(['--standbys', '0', '--failover-after', '1m'])
  const first = await federation.join('alpha', ['--upload-limit', '40MB/s'])
  const ada = await federation.addUser('ada')
  await ada.save('/small.txt', 'small')
  const before = await federation.workspaceOf(ada)
  const bytes = randomBytes(FILE_BYTES)
  await writeFile(join(await federation.filesOf(ada, 'alpha'), 'large.bin'), bytes)

  const stored = async (): Promise<number> => (await federation.api.get<RepositoryView>('/repo/stats')).storedBytes
  await federation.until('a part is sent', async () => (await stored()) > FILE_BYTES * SHARE_BEFORE_THE_KILL)
  const sentBefore = await bytesWritten(first.pid)
  await federation.kill('alpha')
  expect((await federation.workspaceOf(ada)).head, 'it was cut in the middle').toEqual(before.head)

  const second = await federation.resume('alpha', ['--upload-limit', '1GB/s'])
  await federation.until('the file is in a head', async () => (await federation.workspaceOf(ada)).files === 2, 60_000)
  const sent = sentBefore + (await bytesWritten(second.pid))
  console.info(`${(sentBefore / 1e6).toFixed(1)} MB before the cut, ${(sent / 1e6).toFixed(1)} MB in all`)
  expect(sent).toBeGreaterThan(FILE_BYTES)
  expect(sent).toBeLessThan(FILE_BYTES * 1.05)
  expect(await stored()).toBeLessThan(FILE_BYTES * 1.05)

  await federation.join('beta')
  expect((await federation.command('alpha', 'drain')).code).toBe(0)
  const answer = await ada.get('/large.bin')
  expect([answer.status, answer.by, sha256(answer.body)]).toEqual([200, 'beta', sha256(bytes)])
})
