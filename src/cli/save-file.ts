import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { NodeDaemonError } from '../core/errors.ts'
import type { Context } from './context.ts'
import { standingAt, unwritable } from './file-trouble.ts'

/** The name that stands for stdout. */
const STDOUT = '-'

/** Begins to give the bytes. Is told by the signal that nobody takes them any more. */
export type Source = (signal: AbortSignal) => AsyncIterable<Uint8Array> | Iterable<Uint8Array>

/**
 * Writes bytes to a new file, which is durable on return and whole or not there, or to stdout for `-`. Resolves with how
 * many bytes it were.
 *
 * @throws NodeDaemonError `NOT_FOUND` there is no such folder; `BAD_USAGE` there is such a file already; bytes are asked on a terminal, or among JSON
 */
export async function saveFile(context: Context, path: string, source: Source): Promise<number> {
  const stopped = new AbortController()
  const stopListening = context.terminal.onSignal(() => stopped.abort())
  try {
    if (path === STDOUT) return await toStdout(context, source(stopped.signal))
    return await toFile(context, path, source(stopped.signal))
  } catch (error) {
    if (stopped.signal.aborted) throw new NodeDaemonError('ABORTED', 'interrupted', { advice: 'no file was left' })
    throw error
  } finally {
    stopListening()
  }
}

async function toFile(context: Context, path: string, parts: ReturnType<Source>): Promise<number> {
  const there = await standingAt(path)
  if (there !== null) {
    const what = there.isDirectory() ? 'is a folder' : 'exists already'
    throw new NodeDaemonError('BAD_USAGE', `${path} ${what}`, {
      advice: 'name another file'
    })
  }
  const partial = `${path}.${Buffer.from(context.random.bytes(6)).toString('hex')}.part`
  try {
    const bytes = await write(partial, parts)
    await rename(partial, path)
    await syncFolder(dirname(path))
    return bytes
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}

async function write(path: string, parts: ReturnType<Source>): Promise<number> {
  // Users' data: nobody else may read it.
  await using file = await open(path, 'wx', 0o600).catch((error: unknown) => {
    throw unwritable(dirname(path), error)
  })
  let bytes = 0
  for await (const part of parts) {
    await file.writeFile(part)
    bytes += part.length
  }
  await file.sync()
  return bytes
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r')
  await folder.sync()
}

async function toStdout({ terminal, print }: Context, parts: ReturnType<Source>): Promise<number> {
  if (terminal.outIsTty || print.json) {
    throw new NodeDaemonError('BAD_USAGE', 'bytes cannot be shown here', {
      advice: 'name a file, or leave out --json and redirect the output'
    })
  }
  let bytes = 0
  for await (const part of parts) {
    await terminal.outBytes(part)
    bytes += part.length
  }
  return bytes
}
