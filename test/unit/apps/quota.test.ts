import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Allowance, allowanceOf } from '../../../src/apps/allowance.ts'
import { type Site, site } from './harness.ts'

/** A workspace in which so many bytes are used of so many. */
async function bounded(usedBytes: number, limitBytes: number): Promise<Site & { allowance: Allowance }> {
  const room = {
    usedBytes,
    take(bytes: number) {
      room.usedBytes += bytes
    }
  }
  const allowance = allowanceOf(room, limitBytes, { take: () => true })
  return { ...(await site({ context: { allowance } })), allowance }
}

const CHUNKED = { 'transfer-encoding': 'chunked' }

describe('an upload that does not fit', () => {
  test('is refused before its body is sent, where its length is told', async () => {
    const at = await bounded(90, 100)
    const outgoing = request({ port: at.port, method: 'PUT', path: '/new.txt', headers: { 'content-length': 11 } })
    outgoing.flushHeaders()
    const [response] = await once(outgoing, 'response')
    outgoing.destroy()
    expect(response.statusCode).toBe(507)
    expect([await readdir(at.folder), at.told]).toEqual([[], []])
  })

  test('is cut where it passes the bound, and the old file stays whole', async () => {
    const at = await bounded(4, 100)
    await writeFile(join(at.folder, 'old.txt'), 'good')
    const answer = await at.ask('PUT', '/old.txt', { headers: CHUNKED, body: Buffer.alloc(4096) })
    expect([answer.status, answer.text]).toEqual([507, expect.stringContaining('100 bytes may be used here')])
    expect(await readFile(join(at.folder, 'old.txt'), 'utf8')).toBe('good')
    expect(await at.leftovers()).toEqual([])
  })

  test('is taken once there is room: a file that is replaced makes room for its own size', async () => {
    const at = await bounded(100, 100)
    await writeFile(join(at.folder, 'old.txt'), 'x'.repeat(50))
    expect((await at.ask('PUT', '/old.txt', { body: 'y'.repeat(51) })).status).toBe(507)
    expect((await at.ask('PUT', '/old.txt', { body: 'y'.repeat(50) })).status).toBe(204)
    expect((await at.ask('PUT', '/old.txt', { headers: CHUNKED, body: 'z' })).status).toBe(204)
    expect((await at.ask('PUT', '/other.txt', { body: '' })).status).toBe(507)
  })

  test('counts with those that are on their way at the same time', async () => {
    const at = await bounded(0, 1000)
    const first = request({ port: at.port, method: 'PUT', path: '/first', headers: { 'content-length': 800 } })
    first.write('x')
    const answered = new Promise<number>((resolve) =>
      first.on('response', (response) => resolve(response.statusCode ?? 0))
    )
    await expect.poll(() => at.allowance.usedBytes).toBe(800)
    expect((await at.ask('PUT', '/second', { body: Buffer.alloc(300) })).status).toBe(507)
    expect((await at.ask('PUT', '/second', { body: Buffer.alloc(200) })).status).toBe(201)
    first.end(Buffer.alloc(799))
    expect(await answered).toBe(201)
  })
})

describe('in a full workspace', () => {
  test('nothing new is made, and what makes room goes on', async () => {
    const at = await bounded(100, 100)
    await mkdir(join(at.folder, 'sub'))
    await writeFile(join(at.folder, 'a.txt'), 'a')
    const copy = { destination: '/b.txt' }
    const answers = [
      await at.ask('MKCOL', '/folder'),
      await at.ask('COPY', '/a.txt', { headers: copy }),
      await at.ask('COPY', '/sub', { headers: { destination: '/empty' } }),
      await at.ask('LOCK', '/lock.txt', { body: LOCK }),
      await at.ask('MOVE', '/a.txt', { headers: copy }),
      await at.ask('DELETE', '/b.txt')
    ]
    expect(answers.map(({ status }) => status)).toEqual([507, 507, 507, 507, 201, 204])
    expect(await readdir(at.folder)).toEqual(['sub'])
  })

  test('a copy of many files ends where the room does, and leaves nothing', async () => {
    const at = await bounded(0, 25)
    await mkdir(join(at.folder, 'many'))
    for (const name of ['a', 'b', 'c']) await writeFile(join(at.folder, 'many', name), 'x'.repeat(10))
    expect((await at.ask('COPY', '/many', { headers: { destination: '/again' } })).status).toBe(507)
    expect([await readdir(at.folder), await at.leftovers()]).toEqual([['many'], []])
  })
})

describe('a WebDAV client', () => {
  const QUOTA = '<propfind xmlns="DAV:"><prop><quota-available-bytes/><quota-used-bytes/></prop></propfind>'

  test('is told of a folder what is used and what is left', async () => {
    const at = await bounded(30, 100)
    const { status, text } = await at.ask('PROPFIND', '/', { headers: { depth: '0' }, body: QUOTA })
    expect(status).toBe(207)
    expect(text).toMatch(/quota-available-bytes[^>]*>70</)
    expect(text).toMatch(/quota-used-bytes[^>]*>30</)
  })

  test('cannot set it, and is not told of a file', async () => {
    const at = await bounded(30, 100)
    await writeFile(join(at.folder, 'a.txt'), 'a')
    const file = await at.ask('PROPFIND', '/a.txt', { headers: { depth: '0' }, body: QUOTA })
    expect(file.text).not.toMatch(/quota-used-bytes[^>]*>30</)
    const set = '<set><prop><quota-available-bytes>9</quota-available-bytes></prop></set>'
    const patch = await at.ask('PROPPATCH', '/', { body: `<propertyupdate xmlns="DAV:">${set}</propertyupdate>` })
    expect(patch.text).toContain('403')
  })
})

const LOCK =
  '<lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype><owner>ada</owner></lockinfo>'
