import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer, request as httpRequest, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { NOTHING_USED } from '../../../src/apps/allowance.ts'
import type { AppRequestContext } from '../../../src/apps/app.ts'
import { filesApp } from '../../../src/apps/files/files.ts'
import type { FilesLimits } from '../../../src/apps/files/limits.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { workspaceId } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly text: string
}

export interface Site {
  readonly port: number
  /** The workspace. */
  readonly folder: string
  /** The folder in which workspace and staging lie. */
  readonly outside: string
  /** What `wrote` was told, in order. */
  readonly told: string[][]
  ask(
    method: string,
    path: string,
    options?: { headers?: OutgoingHttpHeaders; body?: string | Buffer }
  ): Promise<Answer>
  /** Waits until all is tidied up; the names that are left in the staging folder. */
  leftovers(): Promise<string[]>
}

/** A real server over a temporary workspace, gone when the test is over. */
export async function site(
  options: { context?: Partial<AppRequestContext>; limits?: Partial<FilesLimits> } = {}
): Promise<Site> {
  const outside = await mkdtemp(join(tmpdir(), 'nd-files-'))
  const [folder, staging] = [join(outside, 'workspace'), join(outside, 'staging')]
  await mkdir(folder)
  await mkdir(staging)
  const told: string[][] = []
  const app = filesApp({ clock: systemClock(), random: systemRandom(), log: silent, limits: options.limits ?? {} })
  const context: AppRequestContext = {
    workspace: workspaceId(new Uint8Array(16)),
    folder,
    staging,
    user: 'user:alice',
    userLabel: 'alice',
    served: 'alpha',
    base: '',
    wrote: async (paths) => void told.push([...paths]),
    settled: async () => undefined,
    allowance: NOTHING_USED,
    ...options.context
  }
  const server = createServer((request, response) => {
    const user = request.headers['x-test-user']
    void app.handle(request, response, typeof user === 'string' ? { ...context, user } : context)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    await app.close()
    await rm(outside, { recursive: true, force: true })
  })
  const leftovers = async (): Promise<string[]> => {
    await app.close()
    return readdir(staging)
  }
  return { port, folder, outside, told, leftovers, ask: (method, path, more) => ask(port, method, path, more) }
}

/** One request with exactly this method and target, which `fetch` would tidy up. */
function ask(
  port: number,
  method: string,
  path: string,
  { headers = {}, body }: { headers?: OutgoingHttpHeaders; body?: string | Buffer } = {}
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sized = body !== undefined && headers['transfer-encoding'] === undefined
    const length = sized ? { 'content-length': Buffer.byteLength(body) } : {}
    const request = httpRequest(
      { host: '127.0.0.1', port, method, path, headers: { ...length, ...headers }, agent: false },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const all = Buffer.concat(chunks)
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: all, text: all.toString() })
        })
      }
    )
    request.on('error', reject)
    request.end(body)
  })
}
