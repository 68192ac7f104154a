import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'

test('files that are gone when their home starts again are fetched, and not taken for deleted', async () => {
  await using federation = await TestFederation.open()
  await federation.join('alpha')
  const ada = await federation.addUser('ada')
  await ada.save('/note.txt', 'kept')
  await federation.settled(0)
  await federation.kill('alpha')
  await rm(join(federation.folder('alpha'), 'workspaces'), { recursive: true })
  await federation.resume('alpha')
  expect((await ada.read('/note.txt')).toString()).toBe('kept')
})

test('files that are taken away while they are served come back; nobody is told that they do not exist', async () => {
  await using federation = await TestFederation.open()
  await federation.join('alpha')
  const ada = await federation.addUser('ada')
  await ada.save('/note.txt', 'kept')
  await federation.settled(0)
  await rm(await federation.filesOf(ada, 'alpha'), { recursive: true })
  const answer = await ada.get('/note.txt')
  expect([answer.status, answer.text]).toEqual([200, 'kept'])
})

test('an old copy of an instance does not bring back old files, and two with one key do not fight', async () => {
  await using federation = await TestFederation.open()
  await federation.join('alpha')
  const ada = await federation.addUser('ada')
  await ada.save('/note.txt', 'old')
  await federation.settled(0)
  await federation.kill('alpha')
  const copy = federation.folder('copy')
  await cp(federation.folder('alpha'), copy, { recursive: true, filter: (path) => !path.endsWith('.sock') })
  const original = await federation.resume('alpha')
  for (const text of ['newer', 'newest']) await ada.save('/note.txt', text)
  await federation.settled(0)

  const second = federation.start('copy', ['join'], copy)
  await second.event('serving')
  expect((await original.ended()).code).toBe(1)
  expect(original.log).toContain('another process runs with the key of this instance')
  expect((await ada.read('/note.txt')).toString()).toBe('newest')
})
