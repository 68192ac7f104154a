import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'
import { WebUser } from '../tools/web-user.ts'

const run = promisify(execFile)
const OWN = '/.well-known/node-daemon'
const SMALL = randomBytes(60_000)
/** A guest who has not come back for this long, and an eighth more, is gone. */
const TTL_MS = 6000

interface Usage {
  readonly user: string
  readonly quotaBytes: number
  readonly services: readonly { workspace: string; usedBytes: number; files: number; copies: number }[]
}

const usageOf = async (user: WebUser): Promise<Usage> =>
  JSON.parse((await user.get(`${OWN}/usage`, { headers: { accept: 'application/json' } })).text) as Usage
const foldersOf = (federation: TestFederation, name: string): Promise<string[]> =>
  readdir(join(federation.folder(name), 'workspaces'))

test('users see what they have, take it with them, save no more than they may, and lose it when it is removed', async () => {
  const flags = [
    '--anonymous',
    'yes',
    '--anonymous-quota',
    '100kB',
    '--quota',
    '300kB',
    '--anonymous-ttl',
    `${TTL_MS}ms`
  ]
  await using federation = await TestFederation.open(flags)
  await federation.join('alpha')
  await federation.join('beta')

  const guest = new WebUser('guest', federation.ready.http)
  await guest.get('/')
  await guest.save('/one.bin', SMALL)
  expect((await guest.put('/two.bin', SMALL)).status).toBe(507)
  const chunked = new ReadableStream({
    start(controller) {
      for (let part = 0; part < 60; part++) controller.enqueue(SMALL.subarray(0, 1000))
      controller.close()
    }
  })
  const streamed = await fetch(new URL('/three.bin', federation.ready.http), {
    method: 'PUT',
    headers: { cookie: guest.cookie ?? '', origin: federation.ready.http },
    body: chunked,
    duplex: 'half'
  } as RequestInit)
  expect(streamed.status).toBe(507)
  await guest.send('DELETE', '/one.bin')
  await guest.save('/two.bin', SMALL)
  expect((await usageOf(guest)).services).toMatchObject([{ usedBytes: 60_000, files: 1 }])

  const ada = await federation.addUser('ada')
  await ada.save('/one.bin', SMALL)
  await ada.send('MKCOL', '/folder')
  await ada.save('/folder/ü.txt', 'hello')
  await federation.settled()
  await federation.until('what she has is in three places', async () => (await usageOf(ada)).services[0]?.copies === 3)
  const archive = (await ada.get(`${OWN}/export/files.tar`)).body
  const folder = join(federation.root, 'exported')
  await mkdir(folder)
  await writeFile(join(folder, 'files.tar'), archive)
  await run('tar', ['-xf', 'files.tar'], { cwd: folder })
  expect((await readFile(join(folder, 'files/one.bin'))).equals(SMALL)).toBe(true)
  expect(await readFile(join(folder, 'files/folder/ü.txt'), 'utf8')).toBe('hello')

  expect((await ada.put('/large.bin', randomBytes(290_000))).status).toBe(507)
  await federation.admin('users', 'quota', 'ada', '1MB')
  await ada.save('/large.bin', randomBytes(290_000))

  const [hers] = (await usageOf(ada)).services
  const removed = await federation.admin('workspaces', 'rm', hers?.workspace ?? '', '--yes')
  expect(removed.code).toBe(0)
  expect((await usageOf(ada)).services).toEqual([])
  expect((await ada.get('/one.bin')).status).toBe(404)
  await ada.save('/again.txt', 'a new beginning')

  const guests = async (): Promise<number> => {
    const all = await federation.api.get<{ user: string }[]>('/workspaces')
    return all.filter(({ user }) => user.startsWith('guest:')).length
  }
  await federation.until('the guest has expired', async () => (await guests()) === 0)
  const [anew] = (await usageOf(ada)).services
  await federation.until('no instance has anything of what was removed', async () => {
    const folders = [...(await foldersOf(federation, 'alpha')), ...(await foldersOf(federation, 'beta'))]
    return new Set(folders).size === 1 && folders.includes(anew?.workspace ?? '')
  })
})
