import { randomBytes } from 'node:crypto'
import { lstat, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'
import { sha256, urlPath } from '../tools/web-user.ts'

const MIB = 1024 * 1024

describe('what was acknowledged', () => {
  test('is read back byte for byte after home and coordinator were killed at once and the home was wiped', async () => {
    await using federation = await TestFederation.open(['--standbys', '0'])
    await federation.join('alpha')
    const ada = await federation.addUser('ada')
    const bytes = randomBytes(3 * MIB + 17)
    const files = Array.from({ length: 20 }, (_, index) => ({ path: `/note-${index}.txt`, text: `note ${index}` }))
    for (const { path, text } of files) expect((await ada.put(path, text)).status).toBe(201)
    expect((await ada.put('/large.bin', bytes)).status).toBe(201)
    federation.program('alpha').kill('SIGKILL')
    federation.program('coordinator').kill('SIGKILL')
    await Promise.all([federation.program('alpha').ended(), federation.program('coordinator').ended()])
    await rm(federation.folder('alpha'), { recursive: true })

    await federation.startCoordinator()
    await federation.join('beta')
    const answer = await ada.get('/large.bin')
    expect([answer.status, answer.by, sha256(answer.body)]).toEqual([200, 'beta', sha256(bytes)])
    for (const { path, text } of files) expect((await ada.read(path)).toString(), path).toBe(text)
  })

  test('keeps strange names, folders that are empty, and a file that became a folder', async () => {
    await using federation = await TestFederation.open()
    await federation.join('alpha')
    const ada = await federation.addUser('ada')
    const names = [
      'with space and  two.txt',
      'größe-日本語-🦀.txt',
      'e\u0301 decomposed.txt',
      'two\nlines\r.txt',
      'x'.repeat(255),
      'ü'.repeat(127),
      '.hidden',
      '..two-dots',
      '-rf',
      'percent%20sign#hash?question&amp',
      'back\\slash',
      'ends in a dot.',
      ' '
    ]
    for (const name of names) expect((await ada.put(urlPath(name), `of ${name}`)).status, name).toBe(201)
    expect((await ada.put(urlPath('y'.repeat(256)), 'too long')).status).toBe(400)
    expect((await ada.send('MKCOL', '/empty/')).status).toBe(201)
    expect((await ada.send('MKCOL', '/empty/deeper/')).status).toBe(201)
    await ada.save('/becomes', 'a file at first')
    expect((await ada.send('DELETE', '/becomes')).status).toBe(204)
    expect((await ada.send('MKCOL', '/becomes/')).status).toBe(201)
    await ada.save('/becomes/inside.txt', 'a file below')

    await federation.join('beta')
    await federation.settled()
    await federation.kill('alpha')
    for (const name of names) {
      const answer = await ada.get(urlPath(name))
      expect([answer.status, answer.text, answer.by], name).toEqual([200, `of ${name}`, 'beta'])
    }
    const folder = await federation.filesOf(ada, 'beta')
    expect((await lstat(join(folder, 'empty', 'deeper'))).isDirectory()).toBe(true)
    expect((await ada.read('/becomes/inside.txt')).toString()).toBe('a file below')
  })

  test('may be a file of 50 MB, whole or in part', async () => {
    await using federation = await TestFederation.open()
    await federation.join('alpha')
    const ada = await federation.addUser('ada')
    const bytes = randomBytes(50_000_000)
    expect((await ada.put('/large.bin', bytes)).status).toBe(201)
    await federation.join('beta')
    await federation.settled()
    await federation.kill('alpha')
    const answer = await ada.get('/large.bin')
    expect([answer.status, answer.by, sha256(answer.body)]).toEqual([200, 'beta', sha256(bytes)])
    const part = await ada.get('/large.bin', { headers: { range: 'bytes=40000000-40000009' } })
    expect([part.status, part.body.equals(bytes.subarray(40_000_000, 40_000_010))]).toEqual([206, true])
  })
})

test('a link that leads out of the workspace is never followed, and moves as a link', async () => {
  await using federation = await TestFederation.open()
  await federation.join('alpha')
  const ada = await federation.addUser('ada')
  await ada.save('/plain.txt', 'plain')
  const outside = join(await federation.spare('outside'), 'secret.txt')
  await writeFile(outside, 'secret of the volunteer')
  const before = await federation.workspaceOf(ada)
  const home = await federation.filesOf(ada, 'alpha')
  await symlink(outside, join(home, 'link.txt'))
  await symlink(federation.root, join(home, 'folder'))
  await federation.until('the links are in a head', async () => {
    const { head } = await federation.workspaceOf(ada)
    return (head?.sequence ?? 0) > (before.head?.sequence ?? 0)
  })

  await federation.join('beta')
  await federation.settled()
  const moved = await federation.admin('workspaces', 'move', before.id, '--to', 'beta')
  expect(moved.code, moved.log).toBe(0)
  const there = await federation.filesOf(ada, 'beta')
  expect(await readlink(join(there, 'link.txt'))).toBe(outside)
  expect(await readlink(join(there, 'folder'))).toBe(federation.root)
  for (const path of ['/link.txt', '/folder/', '/folder/beta/identity.key', '/folder/spare-outside/secret.txt']) {
    const answer = await ada.get(path)
    expect(answer.status, path).toBeGreaterThanOrEqual(400)
    expect(answer.text, path).not.toContain('secret of the volunteer')
  }
  expect((await ada.put('/folder/new.txt', 'x')).status).toBeGreaterThanOrEqual(400)
  expect(await readFile(outside, 'utf8')).toBe('secret of the volunteer')
  expect((await ada.read('/plain.txt')).toString()).toBe('plain')
})
