import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { parseDocument } from 'yaml'
import type { Flags } from './command.ts'

/** What a join says of this machine's part, and every later start must know. Limits are kept by the daemon itself. */
const KEPT = [
  'service',
  'service-version',
  'listen',
  'public-url',
  'route',
  'ingress',
  'trust-proxy',
  'label',
  'before-snapshot',
  'after-snapshot',
  'busy',
  'hook-timeout',
  'hook-interval',
  'keep',
  'on-stop',
  'stop-deadline'
] as const

/**
 * Keeps what a `join` was told by flags in the data folder's `config.yaml`, so that `join` alone goes on with it. It takes the
 * place of what stood there under the same names; all else in that file, and its comments, stay.
 *
 * @returns its path, once that is on disk; null where the file says all of it already
 */
export async function keepFlags(folder: string, flags: Flags): Promise<string | null> {
  const said = KEPT.flatMap((name) => {
    const texts = flags[name]
    return texts === undefined ? [] : [[name, texts.length === 1 ? texts[0] : texts] as const]
  })
  const path = join(folder, 'config.yaml')
  const file = parseDocument(await textAt(path), { logLevel: 'error' })
  const known: unknown = file.toJS({ maxAliasCount: 16 })
  const before = new Map(Object.entries(known ?? {}))
  const changed = said.filter(([name, texts]) => !isDeepStrictEqual(before.get(name), texts))
  if (changed.length === 0) return null
  for (const [name, texts] of changed) file.set(name, texts)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await writeFile(`${path}.new`, file.toString(), { mode: 0o600, flush: true })
  await rename(`${path}.new`, path)
  return path
}

async function textAt(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}
