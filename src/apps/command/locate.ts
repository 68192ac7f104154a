import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { UpstreamTarget } from '../upstream/target.ts'

/** Where an app answers, for as long as it is not closed. */
export interface Located {
  readonly target: UpstreamTarget
  close(): Promise<void>
}

/** Names a file without opening it (open(2) on Linux). */
const O_PATH = 0o10000000

/**
 * The socket that an app made in a folder in which it may put anything. What is reached is that very socket, whatever the
 * app puts in its place later: a link might lead to the sockets of others. Null where there is none, or something else.
 */
export async function locateSocket(path: string): Promise<Located | null> {
  const file = await open(path, O_PATH | constants.O_NOFOLLOW).catch(() => null)
  if (file === null) return null
  if ((await file.stat()).isSocket()) {
    return { target: { socketPath: `/proc/self/fd/${file.fd}` }, close: () => file.close() }
  }
  await file.close()
  return null
}

/** A port of this machine. */
export async function locatePort(host: string, port: number): Promise<Located> {
  return { target: { host, port }, close: async () => undefined }
}
