import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { keepFlags } from '../../../src/cli/join-config.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'join-config-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

test('what the first join says of services and hooks is there for every later start', async () => {
  const path = await keepFlags(folder, {
    service: ['files', 'notes=http://127.0.0.1:8080'],
    'before-snapshot': ['files=pg_dump'],
    contact: ['ada@example.org']
  })
  expect(path).toBe(join(folder, 'config.yaml'))
  const text = await readFile(join(folder, 'config.yaml'), 'utf8')
  expect(text).toBe('service:\n  - files\n  - notes=http://127.0.0.1:8080\nbefore-snapshot: files=pg_dump\n')
})

test('what a later join says takes the place of what was kept, and nothing else in the file changes', async () => {
  const path = join(folder, 'config.yaml')
  await writeFile(path, '# mine\nkeep: 1d\nservice: files\nlabel: { zone: cellar }\n')
  expect(await keepFlags(folder, { service: ['files', 'wiki=http://127.0.0.1:8080'] })).toBe(path)
  const text = '# mine\nkeep: 1d\nservice:\n  - files\n  - wiki=http://127.0.0.1:8080\nlabel: { zone: cellar }\n'
  expect(await readFile(path, 'utf8')).toBe(text)
  expect(await keepFlags(folder, { service: ['files', 'wiki=http://127.0.0.1:8080'] })).toBeNull()
  expect(await readFile(path, 'utf8')).toBe(text)
})

test('nothing is written where nothing was said', async () => {
  expect(await keepFlags(folder, { contact: ['ada@example.org'] })).toBeNull()
})
