import { request } from 'node:http'
import type { Socket } from 'node:net'
import { type Duplex, duplexPair } from 'node:stream'
import { expect, test } from 'vitest'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { silent } from '../../../src/core/log.ts'
import { Ingress, type IngressDeps, type IngressTarget } from '../../../src/routing/ingress.ts'
import { type Answer, answerTo } from './federation.ts'

const WORKSPACE = 'a'.repeat(32)
const GOOD = {
  'x-workspace-id': WORKSPACE,
  'x-node-daemon-epoch': '3',
  'x-node-daemon-service': 'files',
  'x-remote-user': 'user:alice'
}

/** One request on a stream of its own that is no socket. */
async function ask(serve: IngressDeps['serve'], headers: Record<string, string | string[]>): Promise<Answer> {
  await using ingress = new Ingress({ serve, log: silent })
  const [near, far] = duplexPair() as [Duplex, Duplex]
  ingress.accept(far)
  const opened = request({ createConnection: () => near as Socket, headers, path: '/' })
  const answer = answerTo(opened)
  opened.end()
  return await answer
}

test('an app learns whose workspace it serves', async () => {
  const targets: IngressTarget[] = []
  const serve: IngressDeps['serve'] = async (_request, response, target) => {
    targets.push(target)
    response.end('ok')
  }
  await ask(serve, GOOD)
  await ask(serve, { 'x-node-daemon-service': 'files', 'x-forwarded-prefix': '/lab/files' })
  expect(targets).toEqual([
    { workspace: WORKSPACE, epoch: 3, service: 'files', prefix: '', user: 'user:alice' },
    { workspace: null, epoch: 0, service: 'files', prefix: '/lab/files', user: null }
  ])
})

test.each([
  [{ ...GOOD, 'x-workspace-id': '../../etc' }],
  [{ ...GOOD, 'x-workspace-id': [WORKSPACE, WORKSPACE] }],
  [{ ...GOOD, 'x-node-daemon-epoch': '0' }],
  [{ ...GOOD, 'x-node-daemon-epoch': '1e3' }],
  [{ ...GOOD, 'x-node-daemon-epoch': '' }],
  [{ ...GOOD, 'x-node-daemon-service': 'Files!' }],
  [{ ...GOOD, 'x-remote-user': 'root' }],
  [{ 'x-node-daemon-service': 'files', 'x-node-daemon-epoch': '3' }],
  [{ 'x-workspace-id': WORKSPACE, 'x-node-daemon-service': 'files' }],
  [{ 'x-workspace-id': WORKSPACE, 'x-node-daemon-epoch': '3' }],
  [{}]
])('%j does not reach an app', async (headers) => {
  let served = false
  const answer = await ask(async () => {
    served = true
  }, headers)
  expect(answer.status).toBe(400)
  expect(served).toBe(false)
})

test.each([
  [new NodeDaemonError('NOT_HOME', 'elsewhere'), 421, '1'],
  [new NodeDaemonError('NO_SPACE', 'full'), 507, undefined],
  [new NodeDaemonError('FORBIDDEN', 'no'), 403, undefined],
  [new Error('secret detail'), 500, undefined]
])('%s is answered with %i', async (error, status, moved) => {
  const answer = await ask(async (_request, response) => {
    response.setHeader('x-half-done', '1')
    throw error
  }, GOOD)
  expect(answer.status).toBe(status)
  expect(answer.headers['x-node-daemon-moved']).toBe(moved)
  expect(answer.headers).not.toHaveProperty('x-half-done')
  expect(answer.text).not.toContain('secret')
})

test('an app that fails in the middle of its answer cuts it off', async () => {
  const failing = ask(async (_request, response) => {
    response.write('half')
    throw new Error('broke')
  }, GOOD)
  await expect(failing).rejects.toThrow(/aborted|hang up/)
})

test('a stream that comes after closing is refused', async () => {
  const ingress = new Ingress({ serve: async () => undefined, log: silent })
  await ingress.close()
  const [, far] = duplexPair() as [Duplex, Duplex]
  ingress.accept(far)
  expect(far.destroyed).toBe(true)
})
