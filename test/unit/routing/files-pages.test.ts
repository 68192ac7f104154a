import { describe, expect, test } from 'vitest'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import type { ServiceName, UserId } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { SessionCookies } from '../../../src/routing/cookie.ts'
import type { Belonging, BelongingsBook } from '../../../src/routing/own/belongings.ts'
import { filesPages } from '../../../src/routing/own/files-pages.ts'
import { ownPages } from '../../../src/routing/own/own-pages.ts'
import { ALICE, ALICES, COOKIE_KEYS, Federation, FILES } from './federation.ts'

const BASE = '/.well-known/node-daemon'
const GUEST = `guest:${'c'.repeat(32)}` as UserId
const cookieOf = (user: UserId): string =>
  new SessionCookies(COOKIE_KEYS, { secure: false }).issue(user, Date.now()).split(';')[0] ?? ''

const HERS: Belonging = {
  service: FILES,
  workspace: ALICES,
  files: 3,
  usedBytes: 1_500_000,
  savedAtMs: Date.UTC(2026, 4, 1, 12, 30),
  copies: 3,
  unsavedAgeMs: 0,
  expiresAtMs: null
}

class Book implements BelongingsBook {
  readonly all = new Map<UserId, Belonging[]>([[ALICE, [HERS]]])
  readonly removed: string[] = []
  exported = 0
  broken = false

  async of(user: UserId): Promise<readonly Belonging[]> {
    return this.all.get(user) ?? []
  }

  quotaBytes(): number {
    return 2_000_000
  }

  async export(user: UserId, service: ServiceName, form: string): Promise<AsyncIterable<Uint8Array>> {
    if (!this.all.has(user)) throw new NodeDaemonError('NOT_FOUND', `You have saved nothing in ${service}.`)
    const { broken } = this
    this.exported += 1
    return (async function* () {
      yield Buffer.from(`${form} of ${user}`)
      if (broken) throw new NodeDaemonError('INCOMPLETE', 'a block is damaged')
    })()
  }

  async remove(user: UserId, service: ServiceName): Promise<void> {
    this.removed.push(`${user} ${service}`)
    this.all.delete(user)
  }
}

async function start(): Promise<{ fed: Federation; book: Book; own: string }> {
  const book = new Book()
  const fed = await Federation.start({
    ownPages: ownPages(filesPages({ belongings: book, log: silent }, { secure: false }))
  })
  return { fed, book, own: `http://127.0.0.1:${fed.port}` }
}

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
const SURE = `service=files&sure=${ALICES}`

describe('usage', () => {
  test('tells people what they have, when it was saved, and in how many places', async () => {
    const { fed } = await start()
    await using _ = fed
    const { status, text, headers } = await fed.ask('GET', `${BASE}/usage`, { headers: { accept: 'text/html' } })
    expect(status).toBe(200)
    for (const part of ['You are alice.', 'You use 1.5 MB of 2.0 MB', '2026-05-01 12:30 UTC', 'in 3 places']) {
      expect(text).toContain(part)
    }
    expect(headers['cache-control']).toBe('no-store')
    expect(fed.alpha.seen).toEqual([])
  })

  test('tells programs the same as JSON', async () => {
    const { fed } = await start()
    await using _ = fed
    const { text } = await fed.ask('GET', `${BASE}/usage`, { headers: { accept: 'application/json' } })
    expect(JSON.parse(text)).toEqual({
      user: ALICE,
      quotaBytes: 2_000_000,
      usedBytes: 1_500_000,
      services: [
        {
          service: 'files',
          workspace: ALICES,
          files: 3,
          usedBytes: 1_500_000,
          copies: 3,
          unsavedAgeMs: 0,
          quotaBytes: 2_000_000,
          savedAt: '2026-05-01T12:30:00.000Z',
          expiresAt: null
        }
      ]
    })
  })

  test('a guest sees what is theirs alone, and when it goes; a newcomer has nothing', async () => {
    const { fed, book } = await start()
    await using _ = fed
    book.all.set(GUEST, [{ ...HERS, usedBytes: 5, files: 1, copies: 1, expiresAtMs: Date.UTC(2027, 0, 2) }])
    const guest = await fed.send('GET', `${BASE}/usage`, { headers: { cookie: cookieOf(GUEST) } })
    expect(guest.text).toMatch(/You are a guest.*5 bytes.*in one place.*2027-01-02/s)
    expect((await fed.send('GET', `${BASE}/usage`)).text).toContain('You have saved nothing yet.')
    const refused = await fed.send('GET', `${BASE}/usage`, { headers: { authorization: 'Bearer wrong' } })
    expect([refused.status, refused.text.includes('1.5 MB')]).toEqual([401, false])
  })
})

test('wrong tokens are counted, as at a service', async () => {
  const book = new Book()
  await using fed = await Federation.start({
    ownPages: ownPages(filesPages({ belongings: book, log: silent }, { secure: false })),
    options: { trustProxy: ['127.0.0.0/8'] }
  })
  const headers = { authorization: 'Bearer wrong', 'x-forwarded-for': '192.0.2.9' }
  const answers = new Set<number>()
  for (let count = 0; count < 40; count++) answers.add((await fed.send('GET', `${BASE}/usage`, { headers })).status)
  expect([...answers]).toEqual([401, 429])
  expect((await fed.send('GET', '/', { headers })).status).toBe(429)
})

describe('export', () => {
  test('gives one’s own files as an archive, in either form', async () => {
    const { fed } = await start()
    await using _ = fed
    for (const form of ['tar', 'car']) {
      const answer = await fed.ask('GET', `${BASE}/export/files.${form}`)
      expect([answer.status, answer.text]).toEqual([200, `${form} of ${ALICE}`])
      expect(answer.headers['content-disposition']).toBe(`attachment; filename="files.${form}"`)
    }
  })

  test('one who asks whether there is one takes nothing', async () => {
    const { fed, book } = await start()
    await using _ = fed
    expect((await fed.ask('HEAD', `${BASE}/export/files.tar`)).status).toBe(200)
    expect((await fed.ask('HEAD', `${BASE}/export/other.tar`)).status).toBe(404)
    expect(book.exported).toBe(0)
  })

  test.each(['files.zip', 'files', '../files.tar', 'other%2f.tar', 'files.tar/x'])('%s is no archive', async (name) => {
    const { fed } = await start()
    await using _ = fed
    expect((await fed.ask('GET', `${BASE}/export/${name}`)).status).toBe(404)
  })

  test('gives nothing to who has nothing, or does not say who they are', async () => {
    const { fed } = await start()
    await using _ = fed
    const path = `${BASE}/export/files.tar`
    expect((await fed.send('GET', path, { headers: { cookie: cookieOf(GUEST) } })).status).toBe(404)
    expect((await fed.send('GET', path)).status).toBe(404)
    expect((await fed.send('GET', path, { headers: { authorization: 'Bearer wrong' } })).status).toBe(401)
  })

  test('one that cannot be ended is cut off, and does not look whole', async () => {
    const { fed, book } = await start()
    await using _ = fed
    book.broken = true
    await expect(fed.ask('GET', `${BASE}/export/files.tar`)).rejects.toThrow()
  })
})

describe('delete', () => {
  test('asks first, then removes what it asked about', async () => {
    const { fed, book, own } = await start()
    await using _ = fed
    const asked = await fed.ask('GET', `${BASE}/delete?service=files`)
    expect([asked.status, asked.text.includes(ALICES), book.removed]).toEqual([200, true, []])
    const headers = { ...FORM, origin: own }
    const done = await fed.ask('POST', `${BASE}/delete`, { headers, body: SURE })
    expect([done.status, done.headers.location, book.removed]).toEqual([303, `${BASE}/usage`, [`${ALICE} files`]])
  })

  test('takes no form of another site, and none that was asked about something else', async () => {
    const { fed, book, own } = await start()
    await using _ = fed
    book.all.set(GUEST, [HERS])
    const post = async (more: Record<string, string>, body = SURE): Promise<number> =>
      (await fed.send('POST', `${BASE}/delete`, { headers: { ...FORM, cookie: cookieOf(GUEST), ...more }, body }))
        .status
    expect(await post({ origin: 'http://evil.example' })).toBe(403)
    expect(await post({})).toBe(403)
    expect(await post({ origin: own }, `service=files&sure=${'0'.repeat(32)}`)).toBe(409)
    expect(await post({ origin: own }, `service=notes&sure=${ALICES}`)).toBe(404)
    expect(book.removed).toEqual([])
    expect(await post({ origin: own })).toBe(303)
  })

  test('a program with a token needs no page', async () => {
    const { fed, book } = await start()
    await using _ = fed
    const headers = { ...FORM, accept: 'application/json' }
    const done = await fed.ask('POST', `${BASE}/delete`, { headers, body: SURE })
    expect([done.status, JSON.parse(done.text)]).toEqual([200, { service: 'files', workspace: ALICES, removed: true }])
    expect(book.removed).toHaveLength(1)
  })
})
