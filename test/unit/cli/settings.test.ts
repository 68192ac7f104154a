import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readConfig } from '../../../src/cli/config.ts'
import { type ConfigFile, flagOnly, list, maybe, readSettings, toggle, value } from '../../../src/cli/settings.ts'
import { duration, label, size, whole } from '../../../src/cli/values.ts'

const SETTINGS = {
  hold: value('<time>', 'hold', duration, 30_000, '30s'),
  capacity: maybe('<size>', 'capacity', size),
  label: list('<k=v>', 'labels', label),
  'accept-terms': toggle('terms'),
  users: flagOnly(value('<n>', 'users', whole(1, 9), 1, '1'))
} as const

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nd-settings-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function config(text: string): Promise<ConfigFile | null> {
  const path = join(folder, 'config.yaml')
  await writeFile(path, text)
  return await readConfig(path, SETTINGS, { required: true })
}

test('a flag beats the environment, which beats the file, which beats the default', async () => {
  const file = await config('hold: 3s\n')
  const env = { NODE_DAEMON_HOLD: '2s' }
  const flags = { hold: ['1s'] }
  expect(readSettings(SETTINGS, { flags, env, file }).hold).toBe(1000)
  expect(readSettings(SETTINGS, { flags: {}, env, file }).hold).toBe(2000)
  expect(readSettings(SETTINGS, { flags: {}, env: {}, file }).hold).toBe(3000)
  expect(readSettings(SETTINGS, { flags: {}, env: {}, file: null }).hold).toBe(30_000)
})

test('an empty environment variable says nothing', () => {
  expect(readSettings(SETTINGS, { flags: {}, env: { NODE_DAEMON_HOLD: '' }, file: null }).hold).toBe(30_000)
})

test('lists come from repeated flags, commas in the environment, and lists or maps in the file', async () => {
  const expected = [
    ['a', '1'],
    ['b', '2']
  ]
  const read = (sources: Partial<Parameters<typeof readSettings>[1]>): unknown =>
    readSettings(SETTINGS, { flags: {}, env: {}, file: null, ...sources }).label
  expect(read({ flags: { label: ['a=1', 'b=2'] } })).toEqual(expected)
  expect(read({ env: { NODE_DAEMON_LABEL: 'a=1, b=2' } })).toEqual(expected)
  expect(read({ file: await config('label: [a=1, b=2]\n') })).toEqual(expected)
  expect(read({ file: await config('label:\n  a: 1\n  b: 2\n') })).toEqual(expected)
})

test('numbers and booleans of the file are read like their texts', async () => {
  const file = await config('capacity: 1000\naccept-terms: true\n')
  const values = readSettings(SETTINGS, { flags: {}, env: {}, file })
  expect(values.capacity).toBe(1000)
  expect(values['accept-terms']).toBe(true)
})

test('what may only be a flag is not taken from the environment', () => {
  expect(readSettings(SETTINGS, { flags: {}, env: { NODE_DAEMON_USERS: '5' }, file: null }).users).toBe(1)
})

test('a wrong value is told with the place where it stands', async () => {
  const file = await config('hold: soon\n')
  expect(() => readSettings(SETTINGS, { flags: { hold: ['soon'] }, env: {}, file })).toThrow(
    expect.objectContaining({ code: 'BAD_USAGE', message: expect.stringMatching(/^--hold: /) })
  )
  expect(() => readSettings(SETTINGS, { flags: {}, env: { NODE_DAEMON_HOLD: 'soon' }, file })).toThrow(
    expect.objectContaining({ code: 'BAD_CONFIG', message: expect.stringMatching(/^NODE_DAEMON_HOLD: /) })
  )
  expect(() => readSettings(SETTINGS, { flags: {}, env: {}, file })).toThrow(
    expect.objectContaining({ code: 'BAD_CONFIG', message: expect.stringMatching(/^hold in .*config\.yaml: /) })
  )
})

test.each([
  ['an unknown key, by its name', 'hodl: 3s\n', /unknown key "hodl"/],
  ['a key that only a flag may say', 'users: 3\n', /unknown key "users"/],
  ['a name of every object', 'constructor: 3\n', /unknown key "constructor"/],
  ['a list where one value stands', 'hold: [1s, 2s]\n', /hold/],
  ['a document that is no map', '- a\n- b\n', /keys and values/],
  ['no YAML', 'hold: "3s\n', /config\.yaml/],
  ['very many aliases', `a: &a [1]\nb: [${'*a,'.repeat(50)}]\n`, /config\.yaml/]
])('a config file is refused for %s', async (_what, text, message) => {
  await expect(config(text)).rejects.toMatchObject({ code: 'BAD_CONFIG', message: expect.stringMatching(message) })
})

test('an empty file says nothing; a missing one is an error only where it was asked for', async () => {
  expect((await config(''))?.values.size).toBe(0)
  const missing = join(folder, 'missing.yaml')
  expect(await readConfig(missing, SETTINGS, { required: false })).toBeNull()
  await expect(readConfig(missing, SETTINGS, { required: true })).rejects.toMatchObject({ code: 'BAD_CONFIG' })
})
