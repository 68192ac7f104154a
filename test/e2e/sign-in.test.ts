import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { TestBrowser } from '../tools/browser.ts'
import { TestFederation } from '../tools/federation.ts'
import { CLIENT, IdentityProvider } from '../tools/identity-provider.ts'
import { WebUser } from '../tools/web-user.ts'

const TEST_MS = 90_000
const PAGES = '/.well-known/node-daemon'

test(
  'a guest signs in at a provider and keeps what they began; by session, by token and on another device it is the same workspace',
  async () => {
    await using provider = await IdentityProvider.start()
    provider.accounts.set('ada', { subject: 'subject-1', name: 'Ada' })
    const settings = ['--oidc-issuer', provider.issuer, '--oidc-client-id', CLIENT.id]
    await using federation = await TestFederation.bare(settings)
    const secret = join(federation.root, 'secret')
    await writeFile(secret, `${CLIENT.secret}\n`, { mode: 0o600 })
    settings.push('--oidc-client-secret-file', secret)
    const { http } = await federation.startCoordinator()
    provider.register(`${http}${PAGES}/sign-in/oidc/callback`)
    await federation.join('alpha')
    await using browser = await TestBrowser.start()

    const page = await browser.page()
    await page.goto(http)
    const bytes = Buffer.from('begun as a guest')
    await page.locator('#chooser').setInputFiles({ name: 'a.txt', mimeType: 'text/plain', buffer: bytes })
    await page.locator('#state', { hasText: 'All saved' }).waitFor()
    await page.locator('#user').click()
    await page.locator('h1', { hasText: 'Sign in to' }).waitFor()
    await browser.pictures(page, 'sign-in')
    await page.locator('a.primary').click()
    await page.locator('input[name="name"]').fill('ada')
    await page.locator('button').click()
    await page.locator('h1', { hasText: 'Keep what you began' }).waitFor()
    await browser.pictures(page, 'keep')
    await page.locator('button.primary').click()
    await page.locator('.good').waitFor()
    await page.locator('a.button', { hasText: 'Go on' }).click()
    await page.locator('tr:has([data-name="a.txt"])').waitFor()

    const [workspace, ...more] = await federation.workspaces()
    expect(more).toEqual([])
    expect(workspace).toMatchObject({ user: 'user:ada', state: 'serving' })
    expect(await federation.api.get('/users')).toMatchObject([{ name: 'ada', source: 'oidc', workspaces: 1 }])

    // The coordinator starts anew: the session goes on.
    await federation.kill('coordinator')
    await federation.startCoordinator()
    await page.goto(http)
    await page.locator('tr:has([data-name="a.txt"])').waitFor()

    const cookie = (await page.context().cookies(http)).find(({ name }) => name === 'nd_session')
    const thief = new WebUser('thief', http, { cookie: `nd_session=${cookie?.value}` })
    expect((await thief.send('GET', '/a.txt')).status).toBe(200)
    await page.locator('#user').click()
    await page.locator('button', { hasText: 'Sign out' }).click()
    await page.locator('h1', { hasText: 'signed out' }).waitFor()
    expect((await thief.send('GET', '/a.txt')).status).toBe(401)

    // A new token would have ended the session.
    const { token } = await federation.api.send<{ token: string }>('POST', '/users/ada/token')
    const program = new WebUser('ada', http, { authorization: `Bearer ${token}` })
    expect((await program.send('GET', '/a.txt')).text).toBe('begun as a guest')
    expect(browser.complaints).toEqual([])
  },
  TEST_MS
)
