import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'

const GUESTBOOK = fileURLToPath(new URL('../../examples/upstream/guestbook.mjs', import.meta.url))

/** The example app as a process. Resolves with its address. */
async function guestbook(): Promise<string> {
  const child: ChildProcess = spawn(process.execPath, [GUESTBOOK, '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill())
  if (child.stdout === null) throw new Error('the app has no stdout')
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  return line.replace('listening on ', '')
}

test('an app of an operator: what it has answered is there after kill -9 of the home, where another instance offers it', async () => {
  const address = await guestbook()
  await using federation = await TestFederation.open()
  const offer = ['--service', 'files', '--service', `guestbook=${address}`]
  await Promise.all(['alpha', 'beta'].map((name) => federation.join(name, offer)))
  const declared = await federation.admin('services', 'add', 'guestbook', '--route', '/guestbook')
  expect([declared.code, declared.lines[0]?.acknowledge]).toEqual([0, 'replicated'])
  const ada = await federation.addUser('ada')
  expect((await ada.get('/guestbook/')).text).toContain('<ol></ol>')

  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const sign = (text: string) => ada.send('POST', '/guestbook/', { body: `text=${text}`, headers: form })
  const signed = [await sign('first'), await sign('second')]
  expect(signed.map(({ status }) => status)).toEqual([303, 303])
  await federation.kill(signed[1]?.by ?? '')
  const after = await ada.get('/guestbook/')
  expect(after.text).toContain('<li>first</li>\n<li>second</li>')
  expect([signed[1]?.by, after.by].sort()).toEqual(['alpha', 'beta'])
  await ada.save('/note.txt', 'the files are another workspace')
  expect((await federation.workspaces()).map(({ service }) => service).sort()).toEqual(['files', 'guestbook'])
  expect((await federation.admin('services', 'rm', 'guestbook', '--yes')).code).toBe(4)
})
