import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { site } from './harness.ts'

test('a file that was put can be read, replaced and removed, and each change is told', async () => {
  const { ask, told, folder } = await site()
  expect((await ask('PUT', '/a.txt', { body: 'one' })).status).toBe(201)
  expect((await ask('PUT', '/a.txt', { body: 'three' })).status).toBe(204)
  const read = await ask('GET', '/a.txt')
  expect(read).toMatchObject({ status: 200, text: 'three' })
  expect(read.headers['content-type']).toBe('text/plain; charset=utf-8')
  const head = await ask('HEAD', '/a.txt')
  expect(head).toMatchObject({ status: 200, text: '' })
  expect(head.headers['content-length']).toBe('5')
  expect((await ask('DELETE', '/a.txt')).status).toBe(204)
  expect((await ask('GET', '/a.txt')).status).toBe(404)
  expect((await ask('DELETE', '/a.txt')).status).toBe(404)
  expect(told).toEqual([['a.txt'], ['a.txt'], ['a.txt']])
  expect(await readdir(folder)).toEqual([])
})

test('folders are made, copied, moved and removed as a whole, and the paths that changed are told', async () => {
  const { ask, told, folder, leftovers } = await site()
  const to = (path: string, more = {}) => ({ headers: { destination: path, ...more } })
  expect((await ask('MKCOL', '/d')).status).toBe(201)
  expect((await ask('MKCOL', '/d')).status).toBe(405)
  expect((await ask('MKCOL', '/x/y')).status).toBe(409)
  expect((await ask('MKCOL', '/z', { body: 'no' })).status).toBe(415)
  await ask('PUT', '/d/f', { body: 'f' })
  expect((await ask('COPY', '/d/', to('/e/'))).status).toBe(201)
  expect((await ask('COPY', '/d/', to('/shallow', { depth: '0' }))).status).toBe(201)
  expect((await ask('MOVE', '/e', to('/g'))).status).toBe(201)
  expect((await ask('MOVE', '/d', to('/g', { overwrite: 'F' }))).status).toBe(412)
  await ask('PUT', '/g/old', { body: 'gone with the folder' })
  expect((await ask('MOVE', '/d', to('/g'))).status).toBe(204)
  expect((await ask('MOVE', '/g', to('/g/inside'))).status).toBe(403)
  expect((await ask('MOVE', '/g', to('/missing/g'))).status).toBe(409)
  expect((await ask('MOVE', '/g', to('http://elsewhere.example/g'))).status).toBe(502)
  expect(told).toEqual([['d'], ['d/f'], ['e'], ['shallow'], ['e', 'g'], ['g/old'], ['d', 'g']])
  expect((await readdir(folder, { recursive: true })).sort()).toEqual(['g', 'g/f', 'shallow'])
  expect((await ask('DELETE', '/g/')).status).toBe(204)
  expect((await ask('DELETE', '/')).status).toBe(403)
  expect((await readdir(folder)).sort()).toEqual(['shallow'])
  expect(await leftovers()).toEqual([])
})

test('a file can take the place of a folder by MOVE, and a folder that of a file', async () => {
  const { ask, folder } = await site()
  await ask('MKCOL', '/d')
  await ask('PUT', '/f', { body: 'f' })
  await ask('MKCOL', '/e')
  await ask('PUT', '/g', { body: 'g' })
  expect((await ask('MOVE', '/f', { headers: { destination: '/d' } })).status).toBe(204)
  expect((await ask('MOVE', '/e', { headers: { destination: '/g' } })).status).toBe(204)
  expect((await stat(join(folder, 'd'))).isFile()).toBe(true)
  expect((await stat(join(folder, 'g'))).isDirectory()).toBe(true)
})

test('PUT says what is wrong with where it should go', async () => {
  const { ask, told } = await site()
  await ask('MKCOL', '/d')
  await ask('PUT', '/f', { body: 'f' })
  told.length = 0
  expect((await ask('PUT', '/missing/f', { body: '' })).status).toBe(409)
  expect((await ask('PUT', '/f/f', { body: '' })).status).toBe(409)
  expect((await ask('PUT', '/d', { body: '' })).status).toBe(405)
  expect((await ask('PUT', '/new/', { body: '' })).status).toBe(409)
  expect((await ask('PUT', '/', { body: '' })).status).toBe(405)
  expect((await ask('PUT', '/f', { body: '', headers: { 'content-range': 'bytes 0-1/2' } })).status).toBe(400)
  expect((await ask('PUT', '/f', { body: '', headers: { 'content-encoding': 'gzip' } })).status).toBe(415)
  expect((await ask('POST', '/f', { body: '' })).status).toBe(405)
  expect((await ask('GET', '/f')).text).toBe('f')
  expect(told).toEqual([])
})

test('the answer to a change waits until the change is acknowledged', async () => {
  const { promise: acknowledged, resolve: acknowledge } = Promise.withResolvers<void>()
  const { promise: asked, resolve: ask_ } = Promise.withResolvers<readonly string[]>()
  const wrote = async (paths: readonly string[]): Promise<void> => {
    ask_(paths)
    await acknowledged
  }
  const { ask } = await site({ context: { wrote } })
  let answered = false
  const put = ask('PUT', '/a', { body: 'a' }).then((answer) => {
    answered = true
    return answer
  })
  expect(await asked).toEqual(['a'])
  expect((await ask('GET', '/a')).text).toBe('a')
  expect(answered).toBe(false)
  acknowledge()
  expect((await put).status).toBe(201)
})

test('a change that cannot be acknowledged is answered with 503 and the reason, and stays', async () => {
  const wrote = async (): Promise<void> => {
    throw new NodeDaemonError('OUT_OF_REACH', 'the coordinator is out of reach')
  }
  const { ask, folder, leftovers } = await site({ context: { wrote } })
  for (const [method, path, headers] of [
    ['PUT', '/a', {}],
    ['MKCOL', '/d', {}],
    ['COPY', '/a', { destination: '/b' }],
    ['MOVE', '/b', { destination: '/c' }],
    ['DELETE', '/a', {}]
  ] as const) {
    const answer = await ask(method, path, { headers })
    expect(answer.status, method).toBe(503)
    expect(answer.headers['retry-after'], method).toMatch(/^\d+$/)
    expect(answer.text, method).toContain('the coordinator is out of reach')
  }
  expect((await readdir(folder)).sort()).toEqual(['c', 'd'])
  expect(await leftovers()).toEqual([])
})

test('an upload that is cut leaves the old file whole, and nothing beside it', async () => {
  const { port, folder, told, leftovers } = await site({ context: { expectsContinue: true } })
  await writeFile(join(folder, 'a'), 'the old text')
  const cut = async (head: string, part: string): Promise<void> => {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write(head)
    const [data] = (await once(socket, 'data')) as [Buffer]
    expect(data.toString()).toContain('100 Continue')
    socket.end(part)
    await once(socket, 'close')
  }
  await cut('PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n', 'the new te')
  await cut('PUT /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n', '5\r\nhello\r\n')
  expect(await leftovers()).toEqual([])
  expect(await readdir(folder)).toEqual(['a'])
  expect(await readFile(join(folder, 'a'), 'utf8')).toBe('the old text')
  expect(told).toEqual([])
})

test('of uploads to one path at the same time one wins, whole', async () => {
  const { ask } = await site()
  const bodies = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(300_000))
  const answers = await Promise.all(bodies.map((body) => ask('PUT', '/same', { body })))
  expect(answers.map(({ status }) => status).sort()).toEqual([201, 204, 204, 204])
  expect(bodies).toContain((await ask('GET', '/same')).text)
})

test('of creations with If-None-Match at the same time exactly one succeeds', async () => {
  const { ask, leftovers } = await site()
  const headers = { 'if-none-match': '*' }
  const answers = await Promise.all([1, 2, 3, 4].map((n) => ask('PUT', '/once', { body: `${n}`, headers })))
  expect(answers.map(({ status }) => status).sort()).toEqual([201, 412, 412, 412])
  expect(await leftovers()).toEqual([])
})

test('entity tags differ between uploads of the same size, and conditions on them hold', async () => {
  const { ask } = await site()
  const first = (await ask('PUT', '/a', { body: '1' })).headers.etag ?? ''
  const second = (await ask('PUT', '/a', { body: '2' })).headers.etag ?? ''
  expect(first).not.toBe(second)
  const read = await ask('GET', '/a')
  expect(read.headers.etag).toBe(second)
  expect((await ask('GET', '/a', { headers: { 'if-none-match': `"x", ${second}` } })).status).toBe(304)
  expect((await ask('GET', '/a', { headers: { 'if-none-match': first } })).status).toBe(200)
  expect((await ask('GET', '/a', { headers: { 'if-modified-since': read.headers['last-modified'] } })).status).toBe(304)
  expect((await ask('PUT', '/a', { body: '3', headers: { 'if-match': first } })).status).toBe(412)
  expect((await ask('PUT', '/b', { body: '3', headers: { 'if-match': '*' } })).status).toBe(412)
  expect((await ask('DELETE', '/a', { headers: { 'if-match': first } })).status).toBe(412)
  const past = 'Mon, 01 Jan 2001 00:00:00 GMT'
  expect((await ask('PUT', '/a', { body: '3', headers: { 'if-unmodified-since': past } })).status).toBe(412)
  expect((await ask('PUT', '/a', { body: '4', headers: { 'if-match': second } })).status).toBe(204)
  expect((await ask('GET', '/a')).text).toBe('4')
})

test.each([
  ['bytes=0-1', 206, '01', 'bytes 0-1/10'],
  ['bytes=8-', 206, '89', 'bytes 8-9/10'],
  ['bytes=-3', 206, '789', 'bytes 7-9/10'],
  ['bytes=-99', 206, '0123456789', 'bytes 0-9/10'],
  ['bytes=5-99', 206, '56789', 'bytes 5-9/10'],
  ['bytes=10-', 416, undefined, 'bytes */10'],
  ['bytes=-0', 416, undefined, 'bytes */10'],
  ['bytes=3-2', 200, '0123456789', undefined],
  ['bytes=0-1,3-4', 200, '0123456789', undefined],
  ['lines=1-2', 200, '0123456789', undefined]
])('range %s', async (range, status, text, contentRange) => {
  const { ask } = await site()
  await ask('PUT', '/a', { body: '0123456789' })
  const answer = await ask('GET', '/a', { headers: { range } })
  expect(answer.status).toBe(status)
  expect(answer.headers['content-range']).toBe(contentRange)
  if (text !== undefined) expect(answer.text).toBe(text)
  const stale = await ask('GET', '/a', { headers: { range, 'if-range': '"other"' } })
  expect(stale).toMatchObject({ status: 200, text: '0123456789' })
})

test('a large file comes back whole and in parts, and a reader that leaves does no harm', async () => {
  const { ask, port } = await site()
  const body = Buffer.alloc(3_000_000, 'some text that repeats ')
  await ask('PUT', '/large', { body })
  expect((await ask('GET', '/large')).body.equals(body)).toBe(true)
  const part = await ask('GET', '/large', { headers: { range: 'bytes=1000000-1999999' } })
  expect(part.body.equals(body.subarray(1_000_000, 2_000_000))).toBe(true)
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write('GET /large HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(socket, 'data')
  socket.destroy()
  expect((await ask('HEAD', '/large')).headers['content-length']).toBe('3000000')
})

test('the time that a sync client gives is kept', async () => {
  const { ask, folder } = await site()
  const answer = await ask('PUT', '/a', { body: 'a', headers: { 'x-oc-mtime': '1500000000' } })
  expect(answer.headers['x-oc-mtime']).toBe('accepted')
  expect((await stat(join(folder, 'a'))).mtimeMs).toBe(1_500_000_000_000)
  const without = await ask('PUT', '/b', { body: 'b', headers: { 'x-oc-mtime': 'yesterday' } })
  expect(without.headers['x-oc-mtime']).toBeUndefined()
})

test('files and folders have plain modes, and a replaced file keeps its own', async () => {
  const { ask, folder } = await site()
  await ask('PUT', '/a', { body: 'a' })
  await ask('MKCOL', '/d')
  await ask('PUT', '/run', { body: 'x' })
  await chmod(join(folder, 'run'), 0o755)
  await ask('PUT', '/run', { body: 'y' })
  const modes = await Promise.all(['a', 'd', 'run'].map(async (name) => (await stat(join(folder, name))).mode & 0o777))
  expect(modes).toEqual([0o644, 0o755, 0o755])
})

test('a client that asks to continue is told so once the upload is wanted, and not otherwise', async () => {
  const { port } = await site({ context: { expectsContinue: true } })
  const first = async (path: string): Promise<string> => {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write(`PUT ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n`)
    const [data] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    return data.toString().split('\r\n')[0] ?? ''
  }
  expect(await first('/a')).toBe('HTTP/1.1 100 Continue')
  expect(await first('/missing/a')).toBe('HTTP/1.1 409 Conflict')
})

test("a newcomer's workspace reads as an empty folder and takes no changes", async () => {
  const { ask, told } = await site({ context: { workspace: null, folder: '/nonexistent' } })
  expect((await ask('GET', '/', { headers: { accept: 'application/json' } })).text).toContain('"entries":[]')
  expect((await ask('GET', '/a')).status).toBe(404)
  expect((await ask('PROPFIND', '/', { headers: { depth: '1' } })).status).toBe(207)
  expect((await ask('PUT', '/a', { body: 'a' })).status).toBe(503)
  expect(told).toEqual([])
})

test('what users uploaded is sandboxed and never sniffed', async () => {
  const { ask } = await site()
  await ask('PUT', '/page.html', { body: '<script>1</script>' })
  const { headers } = await ask('GET', '/page.html')
  expect(headers['content-security-policy']).toMatch(/^sandbox; default-src 'none'/)
  expect(headers['x-content-type-options']).toBe('nosniff')
  expect((await ask('GET', '/missing')).headers['content-security-policy']).toMatch(/^sandbox/)
})

test('one copy makes no more entries than it may, and leaves nothing of what it began', async () => {
  const { ask, folder, leftovers } = await site({ limits: { copiedEntriesMax: 3 } })
  await mkdir(join(folder, 'd'))
  for (const name of ['1', '2', '3']) await writeFile(join(folder, 'd', name), name)
  const answer = await ask('COPY', '/d', { headers: { destination: '/e' } })
  expect(answer.status).toBe(507)
  expect(await readdir(folder)).toEqual(['d'])
  expect(await leftovers()).toEqual([])
})

test('after close, requests are refused', async () => {
  const { ask, leftovers } = await site()
  await leftovers()
  expect((await ask('GET', '/')).status).toBe(503)
})
