import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { Flags } from './command.ts'

/** What a first join says of this machine's part, and every later start must know. Limits are kept by the daemon itself. */
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
 * Keeps the flags of a first join in the data folder's `config.yaml`, so that `join` alone goes on with them. A file that is
 * there is its owner's, and stays as it is.
 *
 * @returns its path; null where there was nothing to keep, or there is a file already
 */
export async function keepFlags(folder: string, flags: Flags): Promise<string | null> {
  const said = KEPT.flatMap((name) => {
    const texts = flags[name]
    return texts === undefined ? [] : [[name, texts.length === 1 ? texts[0] : texts] as const]
  })
  if (said.length === 0) return null
  const path = join(folder, 'config.yaml')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  try {
    await writeFile(path, stringify(Object.fromEntries(said)), { flag: 'wx', mode: 0o600 })
    return path
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return null
    throw error
  }
}
