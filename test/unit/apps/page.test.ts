import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { sizeText } from '../../../src/core/size-text.ts'
import { site } from './harness.ts'

const policyHash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

test('a folder is a page that lists what is in it and who served it', async () => {
  const { ask } = await site()
  await ask('MKCOL', '/sub%20folder')
  await ask('PUT', '/sub%20folder/a.txt', { body: 'x'.repeat(1234) })
  const { headers, text } = await ask('GET', '/sub%20folder', { headers: { accept: 'text/html,*/*' } })
  expect(headers['content-type']).toBe('text/html; charset=utf-8')
  expect(text).toContain('href="/sub%20folder/a.txt"')
  expect(text).toContain('1.2 kB')
  expect(text).toContain('<span id="served">alpha</span>')
  expect(text).toMatch(/<a id="user" href="\/\.well-known\/node-daemon\/sign-in"[^>]*>alice<\/a>/)
  expect((await ask('HEAD', '/')).text).toBe('')
})

test('only the script and the style of the page itself may run', async () => {
  const { ask } = await site()
  const { headers, text } = await ask('GET', '/')
  const policy = String(headers['content-security-policy'])
  const script = /<script>([\s\S]*)<\/script>/.exec(text)?.[1] ?? ''
  const style = /<style>([\s\S]*)<\/style>/.exec(text)?.[1] ?? ''
  expect(policy).toContain(`script-src ${policyHash(script)};`)
  expect(policy).toContain(`style-src ${policyHash(style)};`)
  expect(policy).toContain("default-src 'none'")
  expect(policy).toContain("frame-ancestors 'none'")
  expect(policy).not.toContain('unsafe')
  expect(text).not.toMatch(/\son\w+=|\sstyle=/)
  expect(() => new Function(script)).not.toThrow()
})

test('names cannot break out of the page', async () => {
  const { ask, folder } = await site({ context: { served: '<b>alpha', userLabel: '"><i>' } })
  const evil = '"><script>alert(1)<%2Fscript>\'&'
  await writeFile(join(folder, evil), '')
  await mkdir(join(folder, `${evil}d`))
  for (const path of ['/', `/${encodeURIComponent(`${evil}d`)}/`]) {
    const { text } = await ask('GET', path)
    expect(text.match(/<script/g)).toHaveLength(1)
    expect(text).not.toContain('<b>')
    expect(text).not.toContain('<i>')
    expect(text).toContain('&quot;&gt;&lt;script&gt;alert(1)')
  }
})

test('a program gets the list as JSON, and is told when it is not all of it', async () => {
  const { ask } = await site({ limits: { listedEntriesMax: 2, shownEntriesMax: 2 } })
  for (const name of ['b', 'a']) await ask('PUT', `/${name}`, { body: name })
  const headers = { accept: 'application/json' }
  const all = JSON.parse((await ask('GET', '/', { headers })).text)
  expect(all).toMatchObject({ path: '', servedBy: 'alpha', truncated: false })
  expect(all.entries).toMatchObject([
    { name: 'a', type: 'file', sizeBytes: 1 },
    { name: 'b', type: 'file', sizeBytes: 1 }
  ])
  await ask('PUT', '/c', { body: 'c' })
  const some = JSON.parse((await ask('GET', '/', { headers })).text)
  expect(some.truncated).toBe(true)
  expect(some.entries).toHaveLength(2)
  expect((await ask('GET', '/')).text).toContain('Only 2 entries are shown')
})

test.each([
  [0, '0 bytes'],
  [1, '1 byte'],
  [999, '999 bytes'],
  [1000, '1.0 kB'],
  [1_550_000, '1.6 MB'],
  [123_400_000, '123 MB'],
  [999_960, '1.0 MB']
])('%d bytes read as %s', (bytes, text) => {
  expect(sizeText(bytes)).toBe(text)
})
