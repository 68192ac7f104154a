import { expect, test } from 'vitest'
import { codeIn, startAdmin } from './harness.ts'

const signInWith = (body: object) => ({ method: 'POST', headers: { 'content-type': 'application/json' }, body })

test('a link signs in once', async () => {
  const { ask } = await startAdmin()
  const first = await ask('/session', signInWith({ link: 'one-use' }))
  expect(first.status).toBe(200)
  expect(first.json).toMatchObject({ name: 'root', role: 'admin', csrf: expect.any(String) })
  const second = await ask('/session', signInWith({ link: 'one-use' }))
  expect(second.status).toBe(401)
  expect(second.headers['set-cookie']).toBeUndefined()
})

test('the cookie is out of reach of scripts and of other sites', async () => {
  const plain = await startAdmin()
  const [cookie] = (await plain.ask('/session', signInWith({ token: 'token-viewer' }))).headers['set-cookie'] ?? []
  expect(cookie).toMatch(/^nd_console=id-0; Path=\/; HttpOnly; SameSite=Strict$/)
  const secure = await startAdmin({ secure: true })
  const [overTls] = (await secure.ask('/session', signInWith({ token: 'token-viewer' }))).headers['set-cookie'] ?? []
  expect(overTls).toMatch(/; Secure$/)
})

test('the session is told without its CSRF token, and is over once it is ended', async () => {
  const { ask, signIn } = await startAdmin()
  const { cookie, csrf } = await signIn('operator')
  const told = await ask('/session', { headers: { cookie } })
  expect(told.json).toEqual({ name: 'olga', role: 'operator' })
  expect((await ask('/session', { method: 'DELETE', headers: { cookie } })).status).toBe(403)
  const ended = await ask('/session', { method: 'DELETE', headers: { cookie, 'x-nd-csrf': csrf } })
  expect(ended.status).toBe(200)
  expect(String(ended.headers['set-cookie'])).toMatch(/^nd_console=; .*Max-Age=0/)
  expect((await ask('/api/v1/status', { headers: { cookie } })).status).toBe(401)
})

test('a token for metrics opens no console', async () => {
  const { ask, accounts } = await startAdmin()
  const answer = await ask('/session', signInWith({ token: 'token-metrics' }))
  expect(answer.status).toBe(403)
  expect(accounts.sessions.size).toBe(0)
})

test.each([{}, { token: '' }, { token: 'x'.repeat(257) }, { token: 'token-admin', link: 'one-use' }, []])(
  'a sign-in with %j is no sign-in',
  async (body) => {
    const { ask } = await startAdmin()
    const answer = await ask('/session', signInWith(body))
    expect(codeIn(answer)).toBe('BAD_REQUEST')
  }
)

test('a form of another page cannot sign in: the body must be called JSON', async () => {
  const { ask } = await startAdmin()
  const asForm = { method: 'POST', headers: { 'content-type': 'text/plain' }, body: { token: 'token-admin' } }
  expect((await ask('/session', asForm)).status).toBe(400)
})
