import { mkdtemp, rm } from 'node:fs/promises'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createInstanceSocketServer, createSocketServer } from '../../../src/console/http-api.ts'
import { INSTANCE_ROUTES } from '../../../src/console/instance-routes.ts'
import type { Listener } from '../../../src/console/listener.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { silent } from '../../../src/core/log.ts'
import { drained, FakeCoordinator, FakeInstance, INSTANCE_STATUS, STATUS } from './fakes.ts'
import { ask, codeIn } from './harness.ts'

const deps = { clock: systemClock(), log: silent }

async function listenOn(server: Listener): Promise<{ socketPath: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'nd-console-'))
  const socketPath = join(folder, 'control.sock')
  onTestFinished(async () => {
    await server.close()
    await rm(folder, { recursive: true })
  })
  await server.listen({ path: socketPath })
  return { socketPath }
}

const lines = (text: string): unknown[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

test('the coordinator’s socket needs no token: its caller is the local admin, who may also stop it', async () => {
  const service = new FakeCoordinator()
  const at = await listenOn(createSocketServer({ service, ...deps }))
  expect((await ask(at, '/api/v1/status')).json).toEqual(STATUS)
  expect((await ask(at, '/api/v1/peers/alpha/revoke', { method: 'POST', body: { reason: 'gone' } })).status).toBe(200)
  expect((await ask(at, '/api/v1/stop', { method: 'POST' })).json).toEqual({})
  expect(service.calls).toEqual([
    ['revoke', { actor: 'local', role: 'admin' }, 'alpha', 'gone'],
    ['stop', { actor: 'local', role: 'admin' }]
  ])
  expect((await ask(at, '/')).status).toBe(404)
})

test('an instance’s drain comes one line per change', async () => {
  const service = new FakeInstance()
  const at = await listenOn(createInstanceSocketServer({ service, ...deps }))
  const answer = await ask(at, '/api/v1/drain', { method: 'POST', body: { deadlineMs: 1000, to: 'beta' } })
  expect(answer.headers['content-type']).toBe('application/x-ndjson')
  expect(lines(answer.text)).toEqual([{ ...drained, state: 'draining' }, drained])
  expect(service.calls).toEqual([['drain', { deadlineMs: 1000, to: 'beta' }]])
  const left = await ask(at, '/api/v1/leave', { method: 'POST' })
  expect(lines(left.text)).toMatchObject([{ state: 'left', removedFiles: 3 }])
})

test('a drain that is refused is an error; one that fails on the way ends with a line that says so', async () => {
  const service = new FakeInstance()
  const at = await listenOn(createInstanceSocketServer({ service, ...deps }))
  const refusal = new NodeDaemonError('REFUSED_BY_POLICY', 'no instance has room')
  service.drainSteps = [refusal]
  const refused = await ask(at, '/api/v1/drain', { method: 'POST' })
  expect(refused.status).toBe(409)
  expect(codeIn(refused)).toBe('REFUSED_BY_POLICY')
  service.drainSteps = [drained, refusal]
  const failed = await ask(at, '/api/v1/drain', { method: 'POST' })
  expect(lines(failed.text)).toEqual([
    drained,
    { error: { code: 'REFUSED_BY_POLICY', message: 'no instance has room', advice: null } }
  ])
})

test('who goes away while a drain is told aborts the telling', async () => {
  const service = new FakeInstance()
  const told = Promise.withResolvers<AbortSignal>()
  service.drain = async function* (...args: unknown[]) {
    const signal = args[1] as AbortSignal
    yield drained
    told.resolve(signal)
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    service.drainEnded.resolve()
  }
  const at = await listenOn(createInstanceSocketServer({ service, ...deps }))
  const first = Promise.withResolvers<void>()
  const outgoing = get({ ...at, path: '/api/v1/drain', method: 'POST', agent: false }, (incoming) => {
    incoming.once('data', () => first.resolve())
    incoming.on('error', () => undefined)
  })
  outgoing.on('error', () => undefined)
  await first.promise
  const signal = await told.promise
  expect(signal.aborted).toBe(false)
  outgoing.destroy()
  await service.drainEnded.promise
  expect(signal.aborted).toBe(true)
})

test('an instance tells its status and changes its limits within bounds', async () => {
  const service = new FakeInstance()
  const at = await listenOn(createInstanceSocketServer({ service, ...deps }))
  expect((await ask(at, '/api/v1/status')).json).toEqual(INSTANCE_STATUS)
  const change = (body: object) => ask(at, '/api/v1/settings', { method: 'PATCH', body })
  expect((await change({ uploadLimit: 1e7, capacity: null })).status).toBe(200)
  expect((await change({ uploadLimit: -1 })).status).toBe(400)
  expect((await change({ nothing: 1 })).status).toBe(400)
  expect(service.calls).toEqual([['changeSettings', { uploadLimit: 1e7, capacity: null }]])
  const { paths } = (await ask(at, '/api/v1/openapi.json')).json as { paths: Record<string, object> }
  const listed = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => method + path))
  expect(listed).toHaveLength(INSTANCE_ROUTES.length)
})

test('a socket or port in use is told as such', async () => {
  const at = await listenOn(createSocketServer({ service: new FakeCoordinator(), ...deps }))
  const second = createSocketServer({ service: new FakeCoordinator(), ...deps })
  await expect(second.listen({ path: at.socketPath })).rejects.toMatchObject({ code: 'PORT_IN_USE' })
})
