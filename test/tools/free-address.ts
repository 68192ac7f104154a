import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'

/** `127.0.0.1:PORT`, at which nobody listens now: for a program that must be told where, and tell others, before it starts. */
export async function freeAddress(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return `127.0.0.1:${port}`
}
