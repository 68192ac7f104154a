import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import type { WorkspaceView } from '../../src/console/views.ts'
import { TestBrowser } from '../tools/browser.ts'
import { TestFederation } from '../tools/federation.ts'
import { row, upload } from '../tools/files-page.ts'
import { NotebookPage, PageRequests } from '../tools/notebook-page.ts'
import type { WebUser } from '../tools/web-user.ts'

const example = (name: string): string => fileURLToPath(new URL(`../../examples/${name}`, import.meta.url))
const HTML = { accept: 'text/html' }
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

test('notebooks and a wiki, each workspace with a process of its own, through a drain and kill -9', async () => {
  await using federation = await TestFederation.open()
  const wiki = example('wiki')
  const flags = [
    ...['--config', join(example('jupyter'), 'config.yaml'), '--service', 'files'],
    ...['--service', `lab=${await labCommand()}`, '--service', `wiki=command:sh ${wiki}/start.sh {port}`],
    ...[wiki, '/etc/dokuwiki', '/var/lib/dokuwiki/lib'].flatMap((path) => ['--app-read', `wiki=${path}`])
  ]
  await Promise.all(['alpha', 'beta'].map((name) => federation.join(name, flags)))
  await federation.admin('services', 'add', 'lab', '--route', '/lab')
  await federation.admin('services', 'add', 'wiki', '--route', '/wiki', '--scope', 'service')
  const [ada, bob] = [await federation.addUser('ada'), await federation.addUser('bob')]

  await begin(ada, '/lab/')
  const lab = await notebook(federation, ada)
  const secret = await lab.run('import os; print(os.environ["NODE_DAEMON_SECRET"])')
  expect(secret).toMatch(/^[0-9a-f]{64}\n$/)
  await lab.save('work.ipynb', '# kept')
  await workWhileItDrains(federation, ada)
  const again = await notebook(federation, ada)
  expect(await again.run('import os; print(os.environ["NODE_DAEMON_SECRET"])'), 'at its new home').toBe(secret)

  const page = { id: 'start', do: 'save', wikitext: 'It was a **dark** night', date: '0', prefix: '.', suffix: '' }
  const body = new URLSearchParams({ ...page, summary: '', sectok: '' }).toString()
  expect((await ada.send('POST', '/wiki/doku.php', { headers: FORM, body })).status).toBe(302)
  const read = await bob.get('/wiki/')
  expect([read.status, read.text]).toEqual([200, expect.stringContaining('a <strong>dark</strong> night')])
  const pids = await processes(join(federation.folder(read.by), 'apps'))
  expect(pids.length).toBeGreaterThan(0)
  await federation.kill(read.by)
  const still = await bob.get('/wiki/')
  expect([still.status, still.text]).toEqual([200, expect.stringContaining('a <strong>dark</strong> night')])
  expect([read.by, still.by].sort()).toEqual(['alpha', 'beta'])
  await federation.until('its apps have ended with it', () => Promise.resolve(pids.every((pid) => !isThere(pid))))
})

/** A browser saves in a notebook and on the page of files until others serve both, and finds all of it there. */
async function workWhileItDrains(federation: TestFederation, ada: WebUser): Promise<void> {
  await ada.save('/first.txt', 'first')
  const home = (await served(federation, 'lab')).homeName ?? ''
  const { id, homeName } = await served(federation, 'files')
  await federation.settled()
  if (homeName !== home) expect((await federation.admin('workspaces', 'move', id, '--to', home)).code).toBe(0)
  await using browser = await TestBrowser.start()
  const files = await browser.page()
  const requests = new PageRequests(files)
  await files.goto(`${federation.ready.http}/.well-known/node-daemon/sign-in`)
  await files.locator('#token').fill(ada.authorization.replace('Bearer ', ''))
  await files.locator('button[type="submit"]').click()
  await row(files, 'first.txt').waitFor()
  const lab = await NotebookPage.open(await browser.page(), `${federation.ready.http}/lab/notebooks/work.ipynb`)
  expect(await lab.run('print(6 * 7)')).toBe('42')
  expect(lab.sockets).toHaveLength(1)

  const names: string[] = []
  const lines: string[] = []
  const keepFiles = async (): Promise<void> => {
    while (requests.lastBy === home) {
      const name = `note-${names.length}.txt`
      await upload(files, name, Buffer.from(name))
      names.push(name)
    }
  }
  const keepLines = async (): Promise<void> => {
    for (let by = home; by === home; ) {
      const line = `# line ${lines.length}`
      const answer = await lab.save(line)
      expect(answer.status).toBe(200)
      lines.push(line)
      by = answer.by
    }
  }
  const drain = async (): Promise<void> => {
    const draining = federation.admin('peers', 'drain', home)
    await federation.until('the files are elsewhere', async () => (await served(federation, 'files')).homeName !== home)
    expect((await lab.save('# still here')).by, 'the drain leaves an open notebook to the last').toBe(home)
    const [other = ''] = (await federation.peers()).map(({ name }) => name).filter((name) => name !== home)
    const hurried = federation.admin('workspaces', 'move', (await served(federation, 'lab')).id, '--to', other)
    await keepLines()
    for (const { code, log } of await Promise.all([hurried, draining])) expect(code, log).toBe(0)
  }
  await Promise.all([drain(), keepFiles()])
  await federation.until('its page has connected again', async () =>
    lab.sockets.slice(1).includes(lab.sockets[0] ?? '')
  )
  expect([...requests.troubles, ...lab.requests.troubles]).toEqual([])
  await lab.reload()
  expect(await lab.run('print(6 * 9)')).toBe('54')
  expect(names).not.toEqual([])
  for (const name of names) expect((await ada.read(`/${name}`)).toString()).toBe(name)
  await files.reload()
  for (const name of names) await row(files, name).waitFor()
  const { text, by } = await ada.get('/lab/api/contents/work.ipynb')
  expect(by).not.toBe(home)
  for (const line of ['# kept', '# still here', ...lines]) expect(text).toContain(line)
  expect((await federation.admin('peers', 'resume', home)).code).toBe(0)
}

async function served(federation: TestFederation, service: string): Promise<WorkspaceView> {
  const found = (await federation.workspaces()).find((one) => one.service === service)
  if (found === undefined) throw new Error(`there is no workspace of ${service}`)
  return found
}

/** As the example's config.yaml says it. */
async function labCommand(): Promise<string> {
  const text = await readFile(join(example('jupyter'), 'config.yaml'), 'utf8')
  const [, words = ''] = /lab=(command:[^#]*)# While/.exec(text) ?? []
  return words.replaceAll(/\s+/g, ' ').trim()
}

/** Somebody without a workspace of the service is offered to begin, and does. */
async function begin(user: WebUser, path: string): Promise<void> {
  const [, action = ''] = /method="post" action="([^"]+)"/.exec((await user.get(path, { headers: HTML })).text) ?? []
  expect((await user.send('POST', `${path}${action}`)).status).toBe(303)
}

/** A user's notebook, with a kernel. */
async function notebook(federation: TestFederation, user: WebUser) {
  const page = await user.get('/lab/tree')
  expect([page.status, page.text]).toEqual([200, expect.stringContaining('Jupyter')])
  const [cookie = '', token = ''] = /_xsrf=([^;]+)/.exec(user.cookie ?? '') ?? []
  const headers = { cookie, 'x-xsrftoken': token, 'content-type': 'application/json' }
  const kernel = await user.send('POST', '/lab/api/kernels', { headers, body: '{}' })
  expect(kernel.status).toBe(201)
  const { id } = JSON.parse(kernel.text) as { id: string }
  const channels = new URL(`/lab/api/kernels/${id}/channels`, federation.ready.http.replace('http', 'ws'))
  return {
    run: (code: string) => printed(new WebSocket(channels, { headers: user.headers } as never), code),
    async save(path: string, source: string) {
      const content = {
        cells: [{ cell_type: 'code', metadata: {}, source, outputs: [], execution_count: null }],
        metadata: {},
        nbformat: 4,
        nbformat_minor: 4
      }
      const body = JSON.stringify({ type: 'notebook', content })
      const answer = await user.send('PUT', `/lab/api/contents/${path}`, { headers, body })
      expect(answer.status).toBe(201)
      return answer
    }
  }
}

/** What a kernel prints for a cell. */
function printed(socket: WebSocket, code: string): Promise<string> {
  const header = { msg_id: 'one', msg_type: 'execute_request', session: 'test', username: '', version: '5.3', date: '' }
  const ask = { header, parent_header: {}, metadata: {}, content: { code, silent: false }, channel: 'shell' }
  return new Promise((resolve, reject) => {
    socket.onerror = () => reject(new Error('no connection with the kernel'))
    socket.onopen = () => socket.send(JSON.stringify(ask))
    socket.onmessage = ({ data }) => {
      const { msg_type, content } = JSON.parse(String(data)) as { msg_type: string; content: { text?: string } }
      if (msg_type !== 'stream') return
      socket.onclose = () => resolve(content.text ?? '')
      socket.close()
    }
  })
}

/** The processes of apps that run, as the daemon notes them. */
async function processes(apps: string): Promise<number[]> {
  const names = await readdir(apps, { recursive: true })
  return names.flatMap((name) => [...(/process-(\d+)\.json$/.exec(name) ?? [])].slice(1).map(Number))
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
