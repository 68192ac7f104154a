import { mkdir, writeFile } from 'node:fs/promises'
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Budget } from '../../../src/apps/files/budget.ts'
import { replyOf } from '../../../src/apps/files/dav-messages.ts'
import { FILES_LIMITS } from '../../../src/apps/files/limits.ts'
import { Memory } from '../../../src/apps/files/memory.ts'
import { systemClock } from '../../../src/core/clock.ts'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import { PATH_LIMITS } from '../../../src/worktree/paths.ts'
import { site } from './harness.ts'

const nested = (levels: number, name = 'd'): string => Array.from({ length: levels }, () => name).join('/')

test('a path of more names than every instance can keep is refused', async () => {
  const { ask, folder } = await site()
  await mkdir(join(folder, nested(PATH_LIMITS.names - 1)), { recursive: true })
  expect((await ask('PUT', `/${nested(PATH_LIMITS.names - 1)}/f`, { body: 'x' })).status).toBe(201)
  expect((await ask('MKCOL', `/${nested(PATH_LIMITS.names)}/e`)).status).toBe(414)
})

test.each(['MOVE', 'COPY'])('a %s that would make paths too long changes nothing', async (method) => {
  const { ask, folder, leftovers } = await site()
  await mkdir(join(folder, 'a', nested(200)), { recursive: true })
  await mkdir(join(folder, 'b', nested(100)), { recursive: true })
  const headers = { destination: `/b/${nested(100)}/a` }
  expect((await ask(method, '/a', { headers })).status).toBe(414)
  expect((await ask('GET', `/a/${nested(200)}/`)).status).toBe(200)
  expect((await ask('GET', `/b/${nested(100)}/a/`)).status).toBe(404)
  expect((await ask(method, '/a', { headers: { destination: `/b/${nested(40)}/a` } })).status).toBe(201)
  expect(await leftovers()).toEqual([])
})

test('a long MOVE counts bytes too, and a rename within the limits goes through', async () => {
  const { ask, folder } = await site()
  const long = nested(11, 'n'.repeat(250))
  await mkdir(join(folder, 'a', long), { recursive: true })
  await writeFile(join(folder, 'a', long, 'f'), 'x')
  expect((await ask('MOVE', '/a', { headers: { destination: '/renamed' } })).status).toBe(201)
  const destination = `/${'x'.repeat(255)}`
  await mkdir(join(folder, destination))
  const deeper = { destination: `${destination}/${'y'.repeat(255)}` }
  expect((await ask('MOVE', '/renamed', { headers: deeper })).status).toBe(414)
})

test('the text of a property cannot hold up the server', { timeout: 5_000 }, () => {
  const text = `<a>${'timeout '.repeat(30_000)}${'href '.repeat(30_000)}</a>`
  const answer = `${text}<D:timeout>Second-9.25</D:timeout><timeout xmlns="DAV:">Second-8.5</timeout>`
  const response = new ServerResponse(new IncomingMessage(new Socket()))
  const told = `${text}<D:timeout>Second-9</D:timeout><timeout xmlns="DAV:">Second-8</timeout>`
  expect(replyOf(response, answer).body === told).toBe(true)
})

test('users who fill the memory for locks and properties do not take it from others', async () => {
  const limits = { ...FILES_LIMITS, rememberedBytesPerWorkspaceMax: 10_000, rememberedBytesMax: 30_000 }
  const memory = new Memory(systemClock(), limits)
  const note = (workspace: string, bytes: number): Promise<void> =>
    memory.use(workspace as WorkspaceId, async ({ properties }) => {
      properties.change('f', [{ name: 'n', value: 'x'.repeat(bytes) }])
    })
  const notes = (workspace: string): Promise<number> =>
    memory.use(workspace as WorkspaceId, async ({ properties }) => properties.of('f').size)
  await note('small', 10)
  for (let index = 0; index < 20; index++) await note(`greedy-${index}`, 4_800)
  await note('late', 10)
  expect(await notes('small')).toBe(1)
  expect(await notes('late')).toBe(1)
  await expect(note('late', 6_000)).rejects.toMatchObject({ status: 507 })
})

test('a budget never counts more than its bound, whatever room is made', () => {
  const budget = new Budget(10, { makeRoom: () => undefined })
  expect(budget.take(10)).toBe(true)
  expect(budget.take(1)).toBe(false)
  expect(budget.used).toBe(10)
})
