import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Site, site } from './harness.ts'

const LOCK_INFO = (scope: string): string =>
  `<?xml version="1.0"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:${scope}/></D:lockscope><D:locktype><D:write/></D:locktype><D:owner>me</D:owner></D:lockinfo>`

async function lock({ ask }: Site, path: string, headers = {}, scope = 'exclusive'): Promise<string> {
  const answer = await ask('LOCK', path, { headers: { timeout: 'Second-600', ...headers }, body: LOCK_INFO(scope) })
  expect(answer.status).toBeLessThan(300)
  return String(answer.headers['lock-token'])
}

const patch = (prop: string): string =>
  `<D:propertyupdate xmlns:D="DAV:" xmlns:Z="urn:z"><D:set><D:prop>${prop}</D:prop></D:set></D:propertyupdate>`
const find = (prop: string): string =>
  `<D:propfind xmlns:D="DAV:" xmlns:Z="urn:z"><D:prop>${prop}</D:prop></D:propfind>`

test('OPTIONS tells that this is WebDAV with locks', async () => {
  const { ask } = await site()
  const { status, headers } = await ask('OPTIONS', '/')
  expect([status, headers.dav]).toEqual([200, '1, 2'])
  expect(headers.allow).toContain('PROPFIND')
})

test('PROPFIND tells size, type and time of a folder and what it holds, by paths without a host', async () => {
  const { ask } = await site()
  await ask('MKCOL', '/d')
  const { headers } = await ask('PUT', '/d/a.txt', { body: 'abc', headers: { 'x-oc-mtime': '1500000000' } })
  const one = await ask('PROPFIND', '/d', { headers: { depth: '0', host: 'example.org:8' } })
  expect(one.text.match(/<href>[^<]*<\/href>/g)).toEqual(['<href>/d/</href>'])
  expect(one.text).toContain('<collection/>')
  const { text } = await ask('PROPFIND', '/d/', { headers: { depth: '1' } })
  expect(text.match(/<href>[^<]*<\/href>/g)).toEqual(['<href>/d/</href>', '<href>/d/a.txt</href>'])
  expect(text).toContain('<getcontentlength>3</getcontentlength>')
  expect(text).toContain('<getcontenttype>text/plain; charset=utf-8</getcontenttype>')
  expect(text).toContain('<getlastmodified>Fri, 14 Jul 2017 02:40:00 GMT</getlastmodified>')
  expect(text).toContain(`<getetag>${headers.etag}</getetag>`)
  expect((await ask('PROPFIND', '/missing', { headers: { depth: '0' } })).status).toBe(404)
})

test('PROPFIND of a large folder names everything in it exactly once', async () => {
  const { ask, folder } = await site({ context: { base: '/files' } })
  const names = Array.from({ length: 350 }, (_, n) => `name ${n} & <more>`)
  for (const name of names) await writeFile(join(folder, name), name)
  const { status, text } = await ask('PROPFIND', '/files/', { headers: { depth: '1' } })
  expect(status).toBe(207)
  const hrefs = [...text.matchAll(/<href>([^<]*)<\/href>/g)].map(([, href]) => decodeURIComponent(href ?? ''))
  expect(hrefs.sort()).toEqual(['/files/', ...names.map((name) => `/files/${name}`)].sort())
  expect(text.match(/<response>/g)).toHaveLength(351)
  expect(text.match(/<\/response>/g)).toHaveLength(351)
  expect(text.match(/<\/?multistatus/g)).toHaveLength(2)
})

test('PROPFIND of a whole tree, or of a folder with too much in it, is refused', async () => {
  const { ask } = await site({ limits: { listedEntriesMax: 2 } })
  for (const depth of [{}, { depth: 'infinity' }]) {
    const answer = await ask('PROPFIND', '/', { headers: depth })
    expect(answer.status).toBe(403)
    expect(answer.text).toContain('propfind-finite-depth')
  }
  for (const name of ['1', '2', '3']) await ask('PUT', `/${name}`, { body: name })
  expect((await ask('PROPFIND', '/', { headers: { depth: '1' } })).status).toBe(507)
})

test.each([
  ['no XML', 'hello'],
  ['XML that is not closed', '<D:propfind xmlns:D="DAV:">'],
  ['another document', '<a/>'],
  ['an empty prop', '<D:propertyupdate xmlns:D="DAV:"><D:set/></D:propertyupdate>'],
  ['an entity', '<!DOCTYPE a [<!ENTITY b "b">]><propfind xmlns="DAV:"><prop>&b;</prop></propfind>'],
  ['deep nesting', '<a>'.repeat(15_000)]
])('a body with %s is refused, and the next request is served', async (_what, body) => {
  const { ask } = await site()
  await ask('PUT', '/a', { body: 'a' })
  for (const method of ['PROPFIND', 'PROPPATCH', 'LOCK']) {
    expect((await ask(method, '/a', { headers: { depth: '0' }, body })).status, method).toBe(400)
  }
  expect((await ask('GET', '/a')).text).toBe('a')
})

test('a body that is too large or packed is refused', async () => {
  const { ask } = await site({ limits: { xmlBytesMax: 1000 } })
  const headers = { depth: '0' }
  const body = ' '.repeat(1001)
  expect((await ask('PROPFIND', '/', { headers, body })).status).toBe(413)
  const chunked = { ...headers, 'transfer-encoding': 'chunked' }
  expect((await ask('PROPFIND', '/', { headers: chunked, body })).status).toBe(413)
  const packed = { ...headers, 'content-encoding': 'gzip' }
  expect((await ask('PROPFIND', '/', { headers: packed, body: 'x' })).status).toBe(415)
})

test('properties that a client sets are found, go along with the file and end with it', async () => {
  const { ask, told } = await site()
  await ask('PUT', '/a', { body: 'a' })
  told.length = 0
  const set = await ask('PROPPATCH', '/a', { body: patch('<Z:colour>blue</Z:colour>') })
  expect(set.status).toBe(207)
  expect(set.text).toContain('200 OK')
  expect(told).toEqual([])
  const colour = async (path: string): Promise<boolean> => {
    const answer = await ask('PROPFIND', path, { headers: { depth: '0' }, body: find('<Z:colour/>') })
    return answer.text.includes('>blue</')
  }
  expect(await colour('/a')).toBe(true)
  await ask('COPY', '/a', { headers: { destination: '/b' } })
  await ask('MOVE', '/b', { headers: { destination: '/c' } })
  expect(await colour('/c')).toBe(true)
  await ask('DELETE', '/c')
  await ask('PUT', '/c', { body: 'another' })
  expect(await colour('/c')).toBe(false)
  expect(await colour('/a')).toBe(true)
})

test('PROPPATCH changes all or nothing', async () => {
  const { ask } = await site()
  await ask('PUT', '/a', { body: 'a' })
  const answer = await ask('PROPPATCH', '/a', { body: patch('<Z:colour>blue</Z:colour><D:getetag>x</D:getetag>') })
  expect(answer.text).toContain('403 Forbidden')
  expect(answer.text).toContain('424 Failed Dependency')
  const found = await ask('PROPFIND', '/a', { headers: { depth: '0' }, body: find('<Z:colour/>') })
  expect(found.text).toContain('404 Not Found')
})

test('properties of one name in several namespaces are several properties', async () => {
  const { ask } = await site()
  await ask('PUT', '/a', { body: 'a' })
  const three = ['urn:1', 'urn:2', 'urn:3']
  const body = patch(three.map((uri) => `<name xmlns="${uri}">value of ${uri}</name>`).join(''))
  expect((await ask('PROPPATCH', '/a', { body })).text).toContain('200 OK')
  const wanted = find(three.map((uri) => `<name xmlns="${uri}"/>`).join(''))
  const { text } = await ask('PROPFIND', '/a', { headers: { depth: '0' }, body: wanted })
  for (const uri of three) expect(text).toContain(`>value of ${uri}</`)
})

test('the time of last change can be set as rclone and Windows do, and that is a change', async () => {
  const { ask, folder, told } = await site()
  await ask('PUT', '/a', { body: 'a' })
  told.length = 0
  await ask('PROPPATCH', '/a', { body: patch('<D:lastmodified>1500000000</D:lastmodified>') })
  expect((await stat(join(folder, 'a'))).mtimeMs).toBe(1_500_000_000_000)
  const windows =
    '<W:Win32LastModifiedTime xmlns:W="urn:schemas-microsoft-com:">Thu, 01 Jan 2015 00:00:00 GMT</W:Win32LastModifiedTime>'
  await ask('PROPPATCH', '/a', { body: patch(windows) })
  expect((await stat(join(folder, 'a'))).mtimeMs).toBe(Date.UTC(2015, 0, 1))
  expect(told).toEqual([['a'], ['a']])
  const bad = await ask('PROPPATCH', '/a', { body: patch('<D:lastmodified>soon</D:lastmodified>') })
  expect(bad.text).toContain('403 Forbidden')
})

test('what a workspace makes the server remember is bounded', async () => {
  const { ask } = await site({ limits: { rememberedBytesPerWorkspaceMax: 4000 } })
  await ask('PUT', '/a', { body: 'a' })
  const value = 'v'.repeat(1000)
  expect((await ask('PROPPATCH', '/a', { body: patch(`<Z:one>${value}</Z:one>`) })).status).toBe(207)
  expect((await ask('PROPPATCH', '/a', { body: patch(`<Z:two>${value}</Z:two>`) })).status).toBe(507)
  const statuses: number[] = []
  for (let n = 0; n < 5; n++) {
    statuses.push((await ask('LOCK', '/a', { headers: { depth: '0' }, body: LOCK_INFO('shared') })).status)
  }
  expect(statuses[0]).toBe(200)
  expect(statuses.at(-1)).toBe(507)
})

test('a lock keeps everybody out who does not show its token, until it is given up', async () => {
  const server = await site()
  const { ask } = server
  await ask('PUT', '/a', { body: 'a' })
  const token = await lock(server, '/a')
  const without = [
    await ask('PUT', '/a', { body: 'b' }),
    await ask('DELETE', '/a'),
    await ask('MOVE', '/a', { headers: { destination: '/b' } }),
    await ask('PROPPATCH', '/a', { body: patch('<Z:c>1</Z:c>') }),
    await ask('LOCK', '/a', { body: LOCK_INFO('exclusive') })
  ]
  expect(without.map(({ status }) => status)).toEqual([423, 423, 423, 423, 423])
  const headers = { if: `(${token})` }
  expect((await ask('PUT', '/a', { body: 'b', headers: { ...headers, 'x-test-user': 'user:bob' } })).status).toBe(423)
  expect((await ask('GET', '/a')).text).toBe('a')
  expect((await ask('COPY', '/a', { headers: { destination: '/copy' } })).status).toBe(201)
  expect((await ask('PUT', '/a', { body: 'b', headers })).status).toBe(204)
  expect((await ask('UNLOCK', '/a', { headers: { 'lock-token': '<urn:uuid:other>' } })).status).toBe(409)
  const bob = { 'lock-token': token, 'x-test-user': 'user:bob' }
  expect((await ask('UNLOCK', '/a', { headers: bob })).status).toBe(403)
  expect((await ask('UNLOCK', '/a', { headers: { 'lock-token': token } })).status).toBe(204)
  expect((await ask('PUT', '/a', { body: 'c' })).status).toBe(204)
  expect((await ask('PUT', '/a', { body: 'd', headers })).status).toBe(412)
})

test('a lock on a folder covers what is in it, and what would come into it', async () => {
  const server = await site()
  const { ask } = server
  await ask('MKCOL', '/d')
  await ask('PUT', '/d/a', { body: 'a' })
  await ask('PUT', '/x', { body: 'x' })
  const token = await lock(server, '/d')
  expect((await ask('PUT', '/d/a', { body: 'b' })).status).toBe(423)
  expect((await ask('PUT', '/d/new', { body: 'b' })).status).toBe(423)
  expect((await ask('MKCOL', '/d/e')).status).toBe(423)
  expect((await ask('MOVE', '/x', { headers: { destination: '/d/x' } })).status).toBe(423)
  expect((await ask('PUT', '/d/new', { body: 'b', headers: { if: `</d> (${token})` } })).status).toBe(201)
  await ask('UNLOCK', '/d', { headers: { 'lock-token': token } })
  await lock(server, '/d/a')
  expect((await ask('LOCK', '/', { body: LOCK_INFO('exclusive') })).status).toBe(207)
  expect((await ask('DELETE', '/d')).status).toBe(423)
  expect((await ask('MOVE', '/d', { headers: { destination: '/e' } })).status).toBe(423)
})

test('a lock with depth 0 on a folder keeps its list of names, not what is in the files', async () => {
  const server = await site()
  const { ask } = server
  await ask('MKCOL', '/d')
  await ask('PUT', '/d/a', { body: 'a' })
  await lock(server, '/d', { depth: '0' })
  expect((await ask('PUT', '/d/a', { body: 'b' })).status).toBe(204)
  expect((await ask('PUT', '/d/new', { body: 'b' })).status).toBe(423)
  expect((await ask('DELETE', '/d/a')).status).toBe(423)
})

test('locking a free name makes an empty file, which is told', async () => {
  const server = await site()
  const { ask, told } = server
  const token = await lock(server, '/new')
  expect(told).toEqual([['new']])
  expect((await ask('GET', '/new')).text).toBe('')
  expect((await ask('PUT', '/new', { body: 'n' })).status).toBe(423)
  expect((await ask('PUT', '/new', { body: 'n', headers: { if: `(${token})` } })).status).toBe(204)
  const missing = await ask('LOCK', '/missing/new', { body: LOCK_INFO('exclusive') })
  expect(missing.status).toBe(409)
})

test('a lock can be renewed, and one without an owner is granted', async () => {
  const server = await site()
  const { ask } = server
  const token = await lock(server, '/a')
  const renewed = await ask('LOCK', '/a', { headers: { if: `(${token})`, timeout: 'Second-1200' } })
  expect(renewed.status).toBe(200)
  expect(renewed.text).toMatch(/<timeout>Second-1[12]\d\d<\/timeout>/)
  const body = LOCK_INFO('exclusive').replace(/<D:owner>.*<\/D:owner>/, '')
  expect((await ask('LOCK', '/b', { body })).status).toBe(201)
})

test('locks end with their file', async () => {
  const server = await site()
  const { ask } = server
  const token = await lock(server, '/a')
  expect((await ask('DELETE', '/a', { headers: { if: `(${token})` } })).status).toBe(204)
  expect((await ask('PUT', '/a', { body: 'free again' })).status).toBe(201)
})

test.each([
  ['(["{etag}"])', 204],
  ['(["other"])', 412],
  ['(Not ["{etag}"])', 412],
  ['(["other"]) (["{etag}"])', 204],
  ['(<urn:uuid:none>)', 412],
  ['(Not <DAV:no-lock>)', 204],
  ['</b> (<DAV:no-lock>)', 412],
  ['<http://x/a> (["{etag}"])', 204],
  ['nonsense', 400],
  ['()', 400],
  [' ', 400]
])('If: %s', async (template, status) => {
  const { ask } = await site()
  const { headers } = await ask('PUT', '/a', { body: 'a' })
  const value = template.replace('"{etag}"', String(headers.etag))
  expect((await ask('PUT', '/a', { body: 'b', headers: { if: value } })).status).toBe(status)
})
