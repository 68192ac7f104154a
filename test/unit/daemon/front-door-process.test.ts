import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { silent } from '../../../src/core/log.ts'
import { runFrontDoor } from '../../../src/daemon/front-door.ts'
import type { FrontDoorProcessOptions } from '../../../src/daemon/front-door-options.ts'
import { run } from '../cli/fake-terminal.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'front-door-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const start = (options: Partial<FrontDoorProcessOptions>) =>
  runFrontDoor(
    {
      data: folder,
      coordinator: null,
      http: { host: '127.0.0.1', port: 0 },
      name: 'north',
      contact: '',
      listen: ['/ip4/127.0.0.1/tcp/0'],
      announce: null,
      trustProxy: [],
      tls: null,
      code: null,
      acceptTerms: false,
      pid: process.pid,
      ...options
    },
    { log: silent, report: () => undefined, interactive: true, confirm: async () => true }
  )

async function listening() {
  const server = createServer((socket) => socket.destroy())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { port, [Symbol.asyncDispose]: async () => void server.close() }
}

test('a front door whose port is taken says so before it asks anybody to let it in', async () => {
  await using taken = await listening()
  await expect(start({ http: { host: '127.0.0.1', port: taken.port } })).rejects.toMatchObject({
    code: 'PORT_IN_USE',
    advice: 'choose another --http'
  })
})

test('a front door that knows no coordinator says how one is named', async () => {
  const { finished } = await start({})
  await expect(finished).rejects.toMatchObject({
    code: 'BAD_USAGE',
    advice: expect.stringContaining('node-daemon front-door --coordinator')
  })
})

test('status tells how a front door is, and stop ends it', async () => {
  await using nobody = await listening()
  const { finished } = await start({ coordinator: `http://127.0.0.1:${nobody.port}` })
  const status = await run(['status', '--data', folder])
  expect(status).toMatchObject({ code: 0, stderr: '' })
  expect(status.stdout).toMatch(/Front door +north, (joining|unreachable)/)
  expect(status.stdout).toMatch(new RegExp(`Process +${process.pid}`))
  expect(await run(['stop', '--data', folder])).toMatchObject({ code: 0 })
  await finished
  const after = await run(['stop', '--data', folder])
  expect(after.code).toBe(5)
  expect(after.stderr).toContain('node-daemon front-door')
})
