import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'
import { sha256 } from '../tools/web-user.ts'

const FILE_BYTES = 100_000_000

/** Bytes that a process has written so far, to sockets and files together. */
async function bytesWritten(pid: number): Promise<number> {
  return Number(/^wchar: (\d+)$/m.exec(await readFile(`/proc/${pid}/io`, 'utf8'))?.[1])
}

test('what a user uploads is not sent back over the uplink of the instance', async () => {
  await using federation = await TestFederation.open(['--standbys', '0'])
  const instance = await federation.join('alpha')
  const ada = await federation.addUser('ada')
  await ada.save('/small.txt', 'small')
  const before = await bytesWritten(instance.pid)
  const content = randomBytes(FILE_BYTES)
  await ada.save('/large.bin', content)
  // It writes the file to its disk once. All else is what it sends, and its own notes.
  const beside = (await bytesWritten(instance.pid)) - before - FILE_BYTES
  console.info(`${(beside / 1e3).toFixed(0)} kB beside a file of ${FILE_BYTES / 1e6} MB`)
  expect(beside).toBeLessThan(FILE_BYTES * 0.01)
  const { head, files } = await federation.workspaceOf(ada)
  expect([files, head?.sequence]).toEqual([2, 2])

  await federation.join('beta')
  await federation.kill('alpha')
  const answer = await federation.until('it is served again', async () => {
    const again = await ada.get('/large.bin')
    return again.status === 200 ? again : null
  })
  expect([answer.by, sha256(answer.body)]).toEqual(['beta', sha256(content)])
})
