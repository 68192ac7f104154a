import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Scratch } from '../scratch.ts'
import { freePort, startServer } from '../system.ts'
import type { PlainProxy } from './proxies.ts'

/** HAProxy as a plain reverse proxy in one thread, with connections to its upstream kept alive; `/moved` it redirects itself. */
export async function startHaproxy(scratch: Scratch, program: string, upstreamPort: number): Promise<PlainProxy> {
  const port = await freePort()
  const config = `
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s
  http-reuse always
frontend users
  bind 127.0.0.1:${port}
  http-request redirect location http://127.0.0.1:${upstreamPort}/small.txt code 307 if { path /moved }
  default_backend app
backend app
  server app 127.0.0.1:${upstreamPort}
`
  const path = join(scratch.folder, 'haproxy.cfg')
  await writeFile(path, config)
  const { pid } = await startServer(scratch, program, ['-f', path, '-db', '-q'], port)
  return { url: `http://127.0.0.1:${port}`, pid }
}
