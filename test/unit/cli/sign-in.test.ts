import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readConfig } from '../../../src/cli/config.ts'
import { readSettings } from '../../../src/cli/settings.ts'
import { SIGN_IN_SETTINGS, signInOptions } from '../../../src/cli/sign-in.ts'

const NO_PROXY = { 'trust-proxy': [] as readonly string[] }

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sign-in-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const options = (flags: Record<string, string[]>, more = NO_PROXY): ReturnType<typeof signInOptions> =>
  signInOptions({ ...readSettings(SIGN_IN_SETTINGS, { flags, env: {}, file: null }), ...more })

async function fromFile(text: string): Promise<ReturnType<typeof signInOptions>> {
  const path = join(folder, 'config.yaml')
  await writeFile(path, text)
  const file = await readConfig(path, SIGN_IN_SETTINGS, { required: true })
  return signInOptions({ ...readSettings(SIGN_IN_SETTINGS, { flags: {}, env: {}, file }), ...NO_PROXY })
}

test('one provider by three flags', () => {
  const { signIn } = options({
    'oidc-issuer': ['https://id.example.org/realms/lab'],
    'oidc-client-id': ['us'],
    'oidc-client-secret-file': ['/etc/a secret']
  })
  expect(signIn).toEqual([
    {
      name: 'oidc',
      label: 'id.example.org',
      kind: 'oidc',
      issuer: 'https://id.example.org/realms/lab',
      clientId: 'us',
      clientSecretFile: '/etc/a secret',
      scopes: ['openid', 'profile'],
      subjectClaim: 'sub',
      usernameClaim: 'preferred_username',
      endpoints: null,
      allow: []
    }
  ])
})

test('several providers in the config file, GitHub by its name alone', async () => {
  const { signIn } = await fromFile(`
sign-in:
  - name: lab
    label: The Lab of Ada
    issuer: https://id.example.org
    client-id: us
    allow: ['@example.org', bob]
  - { name: hub, kind: github, client-id: '12', client-secret-file: /etc/hub }
  - name: own
    kind: oauth2
    client-id: us
    authorize-url: https://git.example.org/authorize
    token-url: https://git.example.org/token
    userinfo-url: https://git.example.org/api/user
    scopes: [read_user, email]
    username-claim: username
`)
  expect(signIn).toMatchObject([
    { name: 'lab', label: 'The Lab of Ada', scopes: ['openid', 'profile', 'email'], allow: ['@example.org', 'bob'] },
    {
      name: 'hub',
      kind: 'oauth2',
      label: 'GitHub',
      clientId: '12',
      endpoints: { userinfo: 'https://api.github.com/user' }
    },
    { name: 'own', issuer: 'https://git.example.org', scopes: ['read_user', 'email'], usernameClaim: 'username' }
  ])
})

test.each([
  ['an issuer without TLS', 'name=lab client-id=us issuer=http://id.example.org'],
  ['no issuer', 'name=lab client-id=us'],
  ['no client id', 'name=lab issuer=https://id.example.org'],
  ['a name with a slash', 'name=a/b client-id=us issuer=https://id.example.org'],
  ['a word of no meaning', 'name=lab client-id=us issuer=https://id.example.org secret=x'],
  ['a word twice', 'name=lab name=hub client-id=us issuer=https://id.example.org'],
  ['OAuth2 without its addresses', 'name=lab kind=oauth2 client-id=us'],
  ['OAuth2 that lets in by address', 'name=hub kind=github client-id=us allow=@example.org'],
  ['no words at all', 'lab'],
  ['half an object', '{"name":'],
  ['a property of every object', '__proto__=x name=lab']
])('%s is refused', (_what, words) => {
  expect(() => options({ 'sign-in': [words] })).toThrow(expect.objectContaining({ code: 'BAD_USAGE' }))
})

test('two providers of one name are refused, and half a provider', () => {
  const one = 'name=oidc client-id=us issuer=https://id.example.org'
  const flags = { 'oidc-issuer': ['https://id.example.org'], 'oidc-client-id': ['us'] }
  expect(() => options({ ...flags, 'sign-in': [one] })).toThrow(/two sign-in providers/)
  expect(() => options({ 'oidc-client-secret-file': ['/etc/x'] })).toThrow(/needs its issuer/)
})

test('a header that names the user is trusted only from a proxy that is named', () => {
  expect(() => options({ 'trust-user-header': ['X-Remote-User'] })).toThrow(/anybody could name any user/)
  const proxied = { 'trust-proxy': ['10.0.0.1'] }
  expect(options({ 'trust-user-header': ['X-Remote-User'] }, proxied).trustUserHeader).toBe('x-remote-user')
  for (const name of ['Host', 'Cookie', 'Authorization', 'X-Forwarded-For', 'a b', 'x_user', '']) {
    expect(() => options({ 'trust-user-header': [name] }, proxied), name).toThrow(/cannot be the header/)
  }
})
