import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { site } from './harness.ts'

const METHODS = ['GET', 'PUT', 'DELETE', 'MKCOL', 'COPY', 'MOVE', 'PROPFIND', 'PROPPATCH', 'LOCK', 'UNLOCK'] as const

const HOSTILE: readonly (readonly [string, string])[] = [
  ['a NUL', '/a%00b'],
  ['a parent', '/../a'],
  ['a parent, encoded', '/%2e%2e/a'],
  ['a parent in the middle', '/d/../../a'],
  ['a dot', '/./a'],
  ['an empty name', '/d//a'],
  ['an encoded slash', '/d%2Fa'],
  ['an encoded way out', '/..%2f..%2fa'],
  ['bytes that are not UTF-8', '/%ff'],
  ['an overlong encoding', '/%c0%ae%c0%ae/a'],
  ['half an escape', '/a%4'],
  ['a broken escape', '/a%zz'],
  ['a name of 256 bytes', `/${'n'.repeat(256)}`],
  ['a name of 256 bytes in other letters', `/${encodeURIComponent('é'.repeat(128))}`]
]

test.each(HOSTILE)('%s is refused by every method, as source and as destination', async (_what, path) => {
  const { ask, told, folder, outside } = await site()
  await ask('PUT', '/known', { body: 'known' })
  for (const method of METHODS) {
    const answer = await ask(method, path, { headers: { depth: '0', destination: '/other' } })
    expect(answer.status, method).toBe(400)
    expect(answer.text, method).not.toBe('')
  }
  for (const method of ['COPY', 'MOVE']) {
    expect((await ask(method, '/known', { headers: { destination: path } })).status, method).toBe(400)
  }
  expect(told).toEqual([['known']])
  expect(await readdir(folder)).toEqual(['known'])
  expect((await readdir(outside)).sort()).toEqual(['staging', 'workspace'])
})

test('a path that is too long is refused', async () => {
  const { ask } = await site()
  expect((await ask('GET', `/${'abcdefg/'.repeat(400)}`)).status).toBe(414)
})

const NAMES = [
  'plain',
  'with space',
  ' leading and trailing ',
  'new\nline',
  'tab\tand\u0001control',
  '.hidden',
  '...',
  'back\\slash',
  '%41',
  '100%',
  'a+b&c=d?e#f;g',
  '<script>alert(1)<!--',
  '"quoted" \'too\'',
  'é ü ß 漢字 🙂',
  'e\u0301',
  '__proto__',
  'constructor',
  'n'.repeat(255)
]

test('every name that a file system can hold goes through PUT, GET, PROPFIND and DELETE unchanged', async () => {
  const { ask, folder, told } = await site()
  for (const name of NAMES) {
    const path = `/${encodeURIComponent(name)}`
    expect((await ask('PUT', path, { body: name })).status, name).toBe(201)
    expect((await ask('GET', path)).text, name).toBe(name)
  }
  expect((await readdir(folder)).sort()).toEqual([...NAMES].sort())
  const listing = await ask('PROPFIND', '/', { headers: { depth: '1' } })
  expect(listing.status).toBe(207)
  const hrefs = [...listing.text.matchAll(/<href>([^<]*)<\/href>/g)].map(([, href]) => href ?? '')
  expect(
    hrefs
      .slice(1)
      .map((href) => decodeURIComponent(href.slice(1)))
      .sort()
  ).toEqual([...NAMES].sort())
  for (const href of hrefs.slice(1)) expect((await ask('DELETE', href)).status, href).toBe(204)
  expect(await readdir(folder)).toEqual([])
  expect(told).toHaveLength(2 * NAMES.length)
})

test('what lies outside the base is not found, and links in answers carry the base', async () => {
  const { ask, folder } = await site({ context: { base: '/files' } })
  expect((await ask('PUT', '/files/a', { body: 'a' })).status).toBe(201)
  for (const path of ['/', '/a', '/filesystem', '/other/a']) expect((await ask('GET', path)).status, path).toBe(404)
  const headers = { destination: '/files/b' }
  expect((await ask('MOVE', '/files/a', { headers })).status).toBe(201)
  expect((await ask('MOVE', '/files/b', { headers: { destination: '/b' } })).status).toBe(404)
  expect((await ask('PROPFIND', '/files/', { headers: { depth: '1' } })).text).toContain('<href>/files/b</href>')
  expect((await ask('GET', '/files')).text).toContain('href="/files/b"')
  expect(await readdir(folder)).toEqual(['b'])
})

test('no link is followed, whether it leads out, in or nowhere, as the file or on the way to it', async () => {
  const { ask, folder, outside, told } = await site()
  await mkdir(join(outside, 'secret'))
  await writeFile(join(outside, 'secret', 'file'), 'secret')
  await writeFile(join(folder, 'mine'), 'mine')
  await symlink(join(outside, 'secret', 'file'), join(folder, 'file-link'))
  await symlink('../secret', join(folder, 'folder-link'))
  await symlink('mine', join(folder, 'inner-link'))
  await symlink('nowhere', join(folder, 'dangling'))
  for (const path of ['/file-link', '/folder-link', '/folder-link/file', '/inner-link', '/dangling', '/folder-link/']) {
    expect((await ask('GET', path)).status, `GET ${path}`).toBe(403)
    expect((await ask('PUT', path, { body: 'overwritten' })).status, `PUT ${path}`).toBe(
      path === '/folder-link/' ? 409 : 403
    )
  }
  for (const [method, path, destination] of [
    ['PUT', '/folder-link/new', ''],
    ['MKCOL', '/folder-link/new', ''],
    ['DELETE', '/folder-link/file', ''],
    ['COPY', '/folder-link/file', '/stolen'],
    ['MOVE', '/folder-link/file', '/stolen'],
    ['COPY', '/mine', '/folder-link/file'],
    ['MOVE', '/mine', '/folder-link/file'],
    ['PROPFIND', '/folder-link/file', ''],
    ['LOCK', '/folder-link/new', '']
  ] as const) {
    const answer = await ask(method, path, { headers: { depth: '0', ...(destination && { destination }) } })
    expect(answer.status, `${method} ${path}`).toBe(403)
  }
  expect(await readdir(join(outside, 'secret'))).toEqual(['file'])
  expect(await readFile(join(outside, 'secret', 'file'), 'utf8')).toBe('secret')
  expect(await readFile(join(folder, 'mine'), 'utf8')).toBe('mine')
  expect(told).toEqual([])
})

test('links are listed, moved, copied along and removed as links', async () => {
  const { ask, folder, outside } = await site()
  await writeFile(join(outside, 'secret'), 'secret')
  await mkdir(join(folder, 'd'))
  await symlink(join(outside, 'secret'), join(folder, 'd', 'link'))
  expect((await ask('PROPFIND', '/d', { headers: { depth: '1' } })).text).toContain('<href>/d/link</href>')
  expect((await ask('GET', '/d/', { headers: { accept: 'application/json' } })).text).toContain('"type":"link"')
  expect((await ask('COPY', '/d', { headers: { destination: '/e' } })).status).toBe(201)
  expect(await readlink(join(folder, 'e', 'link'))).toBe(join(outside, 'secret'))
  expect((await ask('DELETE', '/d/link')).status).toBe(204)
  expect((await ask('DELETE', '/e')).status).toBe(204)
  expect(await readFile(join(outside, 'secret'), 'utf8')).toBe('secret')
})

test('pipes are not opened', async () => {
  const { ask, folder } = await site()
  await promisify(execFile)('mkfifo', [join(folder, 'pipe')])
  expect((await ask('GET', '/pipe')).status).toBe(403)
  expect((await ask('PUT', '/pipe', { body: 'x' })).status).toBe(403)
  expect((await ask('COPY', '/pipe', { headers: { destination: '/copy' } })).status).toBe(403)
  expect((await ask('DELETE', '/pipe')).status).toBe(204)
})

test('files whose names are not UTF-8 go along with their folder', async () => {
  const { ask, folder } = await site()
  await mkdir(join(folder, 'd'))
  const odd = Buffer.concat([Buffer.from(join(folder, 'd', 'odd-')), Buffer.from([0xff])])
  await writeFile(odd, 'odd')
  expect((await ask('PROPFIND', '/d', { headers: { depth: '1' } })).status).toBe(207)
  expect((await ask('COPY', '/d', { headers: { destination: '/e' } })).status).toBe(201)
  expect(await readdir(join(folder, 'e'), 'buffer')).toHaveLength(1)
  expect((await ask('DELETE', '/d')).status).toBe(204)
  await expect(stat(join(folder, 'd'))).rejects.toThrow('ENOENT')
})
