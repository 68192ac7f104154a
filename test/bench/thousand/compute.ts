import { rename, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { sha256 } from '../../tools/web-user.ts'
import { pause } from '../system.ts'
import { answerParent } from '../worker.ts'

/** An app that takes its time: what is put is worked on for 200 ms, and the result is written into the user's files. */
export interface ToCompute {
  readonly kind: 'listen'
}

export interface ComputeListening {
  readonly port: number
}

const WORK_MS = 200

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part)
  return Buffer.concat(parts)
}

/** The result of some work: it names whose it is. */
const resultOf = (user: string, body: Buffer): string => `${user} ${sha256(body)}\n`

async function compute(request: IncomingMessage): Promise<string> {
  const { 'x-workspace-dir': folder, 'x-remote-user': user } = request.headers
  if (request.method !== 'PUT' || typeof folder !== 'string') throw new Error('this app takes work of users')
  const name = `result-${sha256(request.url ?? '').slice(0, 16)}`
  const result = resultOf(String(user), await bodyOf(request))
  await pause(WORK_MS)
  await writeFile(join(folder, `.${name}`), result)
  await rename(join(folder, `.${name}`), join(folder, name))
  return result
}

const server = createServer((request, response) => {
  compute(request).then(
    (result) => response.writeHead(201, { 'content-length': Buffer.byteLength(result) }).end(result),
    (error: unknown) => response.writeHead(500).end(String(error))
  )
})
server.keepAliveTimeout = 60_000

answerParent<ToCompute>(
  async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
    return { port: (server.address() as AddressInfo).port }
  },
  async () => {
    server.closeAllConnections()
  }
)
