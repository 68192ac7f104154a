import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'

const PRELOAD = fileURLToPath(new URL('../tools/shifted-clock.cjs', import.meta.url))
const YEAR_MS = 365 * 86_400_000

test.each([10, -10])('an instance whose clock is off by %i years is told so, serves, and hands over', async (years) => {
  await using federation = await TestFederation.open()
  const env = { NODE_OPTIONS: `--require ${PRELOAD}`, CLOCK_SHIFT_MS: String(years * YEAR_MS) }
  const program = federation.start('alpha', ['join', federation.ready.http, '--name', 'alpha'], undefined, env)
  const { code } = await program.event('pending')
  await federation.api.send('POST', '/peers/alpha/approve', { code: String(code) })
  const warning = await program.event('warning')
  expect(String(warning.text)).toContain(years > 0 ? 'ahead of' : 'behind')
  await program.event('serving')
  const ada = await federation.addUser('ada')
  await ada.save('/note.txt', 'kept')
  await federation.join('beta')
  const drain = await federation.command('alpha', 'drain')
  expect(drain).toMatchObject({ code: 0 })
  expect((await ada.get('/note.txt')).text).toBe('kept')
})
