// A guestbook as an app behind node-daemon. What it takes: find the user's folder in each request, write there, then answer.
// usage: node guestbook.mjs [PORT]
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'

const ENTRY_BYTES_MAX = 64 * 1024
const PORT = Number(process.argv[2] ?? 8080)
const ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escaped = (text) => text.replace(/[&<>"']/g, (character) => ESCAPES[character])

async function bodyOf(request) {
  const chunks = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    if (bytes > ENTRY_BYTES_MAX) throw Object.assign(new Error('too long'), { status: 413 })
    chunks.push(chunk)
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8')).get('text') ?? ''
}

/** Under another name first: whoever looks meanwhile, a snapshot too, sees the whole entry or none. */
async function add(folder, text) {
  await mkdir(join(folder, 'entries'), { recursive: true })
  const name = `${new Date().toISOString().replaceAll(':', '-')}-${process.pid}.txt`
  await writeFile(join(folder, `.${name}`), text)
  await rename(join(folder, `.${name}`), join(folder, 'entries', name))
}

async function entriesOf(folder) {
  if (folder === undefined) return []
  const names = await readdir(join(folder, 'entries')).catch(() => [])
  return Promise.all(names.sort().map((name) => readFile(join(folder, 'entries', name), 'utf8')))
}

function page(user, entries) {
  const list = entries.map((text) => `<li>${escaped(text)}</li>`).join('\n')
  return `<!doctype html><title>Guestbook</title><h1>Guestbook of ${escaped(user)}</h1>
<ol>${list}</ol><form method="post"><input name="text" autofocus><button>Sign</button></form>\n`
}

async function answer(request, response) {
  // A visitor who has saved nothing yet has no folder; the first change makes it, and comes with it.
  const folder = request.headers['x-workspace-dir']
  const user = request.headers['x-remote-user'] ?? 'a guest'
  if (request.method === 'POST') {
    await add(folder, await bodyOf(request))
    response.writeHead(303, { location: request.url }).end()
    return
  }
  const html = page(user, await entriesOf(folder))
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(html)
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error)
    if (!response.headersSent) response.writeHead(error.status ?? 500)
    response.end()
  })
})
server.listen(PORT, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`))
