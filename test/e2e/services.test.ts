import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import type { ServiceView } from '../../src/console/service-views.ts'
import { TestFederation } from '../tools/federation.ts'

const GUESTBOOK = fileURLToPath(new URL('../../examples/upstream/guestbook.mjs', import.meta.url))
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

/** The example app as a process. Resolves with its address. */
async function guestbook(): Promise<string> {
  const child: ChildProcess = spawn(process.execPath, [GUESTBOOK, '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill())
  if (child.stdout === null) throw new Error('the app has no stdout')
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  return line.replace('listening on ', '')
}

test('one workspace for all users of a service goes on after kill -9, and only where the service runs as it is declared', async () => {
  const address = await guestbook()
  const declared = 'name=book route=/book scope=service version=2.1'
  await using federation = await TestFederation.open([
    '--services',
    declared,
    '--services',
    'name=lab route=/lab scope=group'
  ])
  const offers = (version: string): string[] => [
    ...['--service', `book=${address}`, '--service-version', `book=${version}`],
    ...['--service', 'files', '--service', 'lab=files']
  ]
  await Promise.all(
    Object.entries({ alpha: '2.1', beta: '2.4', gamma: '1.9' }).map(([name, version]) =>
      federation.join(name, offers(version))
    )
  )
  const [ada, bob] = [await federation.addUser('ada'), await federation.addUser('bob')]

  const first = await ada.send('POST', '/book/', { body: 'text=of-ada', headers: FORM })
  const second = await bob.send('POST', '/book/', { body: 'text=of-bob', headers: FORM })
  expect([first.status, second.status, second.by]).toEqual([303, 303, first.by])
  await federation.until('the standby that can run it', async () => {
    const [shared] = await federation.workspaces()
    return shared?.standbys.length === 1 && shared.receipts === 2
  })
  await federation.kill(first.by)
  const after = await bob.get('/book/')
  expect(after.text).toContain('<li>of-ada</li>\n<li>of-bob</li>')
  expect([first.by, after.by].sort()).toEqual(['alpha', 'beta'])
  const [shared] = await federation.workspaces()
  expect(shared).toMatchObject({ service: 'book', user: 'service:book', homeName: after.by, standbys: [] })

  const { lines } = await federation.admin('services', 'ls')
  const book = (lines[0] as unknown as ServiceView[]).find(({ name }) => name === 'book')
  expect(book).toMatchObject({ scope: 'service', version: '2.1', instances: 1, workspaces: 1 })
  expect(book?.warnings).toContain('gamma offers it and cannot run it: it has version 1.9, and 2.1 is declared')
  expect(book?.warnings).toContain(`only ${after.by} offers it: when that goes away, nobody takes over`)

  // A group shares files by WebDAV, with the built-in app under another name.
  await federation.api.send('POST', '/groups', { name: 'club' })
  await federation.api.send('POST', '/groups/club/grant', { user: 'ada', rights: 'write' })
  expect((await federation.admin('groups', 'grant', 'club', 'bob', '--rights', 'read')).code).toBe(0)
  expect((await ada.send('PUT', '/lab/club/note.txt', { body: 'ours' })).status).toBe(201)
  expect((await bob.get('/lab/club/note.txt')).text).toBe('ours')
  expect((await bob.send('PROPFIND', '/lab/club/', { headers: { depth: '1' } })).text).toContain('/lab/club/note.txt')
  expect((await bob.send('PUT', '/lab/club/note.txt', { body: 'mine' })).status).toBe(403)
})
