import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { standingAt } from '../../../src/cli/file-trouble.ts'
import { codeOf } from '../../../src/core/errors.ts'

test('only what is missing counts as nothing: what cannot be looked at may be there', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'node-daemon-cli-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'file'), '')
  await symlink('nowhere', join(folder, 'link'))
  expect((await standingAt(join(folder, 'file')))?.isFile()).toBe(true)
  expect((await standingAt(join(folder, 'link')))?.isSymbolicLink()).toBe(true)
  expect(await standingAt(join(folder, 'none'))).toBeNull()
  expect(await standingAt(join(folder, 'file', 'below'))).toBeNull()
  expect(await standingAt(join(folder, 'x'.repeat(300))).catch(codeOf)).toBe('BAD_USAGE')
})
