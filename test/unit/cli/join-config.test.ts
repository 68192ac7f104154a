import { mkdtemp, readFile, rm } from 'node:fs/promises'
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

test('a file that its owner wrote stays as it is', async () => {
  expect(await keepFlags(folder, { keep: ['1d'] })).not.toBeNull()
  expect(await keepFlags(folder, { keep: ['9d'] })).toBeNull()
  expect(await readFile(join(folder, 'config.yaml'), 'utf8')).toBe('keep: 1d\n')
})

test('nothing is written where nothing was said', async () => {
  expect(await keepFlags(folder, { contact: ['ada@example.org'] })).toBeNull()
})
