import { chmod, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Listener } from '../console/listener.ts'

/** Listens in a daemon's own folder, for its user alone. A socket that a process of before has left makes way. */
export async function listenInFolder(socket: Listener, folder: string): Promise<void> {
  const path = join(folder, 'control.sock')
  await rm(path, { force: true })
  await socket.listen({ path })
  await chmod(path, 0o600)
}
