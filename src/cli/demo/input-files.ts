import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { messageOf, NodeDaemonError } from '../../core/errors.ts'

export interface InputFile {
  /** With `/` between its parts. */
  readonly path: string
  readonly bytes: Uint8Array
  readonly sha256: string
}

const FILES_MAX = 300
const FILE_BYTES_MAX = 8_000_000
const TOTAL_BYTES_MAX = 50_000_000
const DEPTH_MAX = 12
const OWN_PARTS = ['README.md', 'src', 'protocols', 'examples', 'test', 'package.json']
const INSTALLED_PARTS = ['README.md', 'dist', 'protocols', 'package.json']

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

async function* regularFiles(path: string, depth: number): AsyncGenerator<string> {
  const entries = await readdir(path, { withFileTypes: true })
  for (const entry of entries.sort((one, other) => (one.name < other.name ? -1 : 1))) {
    if (entry.name.startsWith('.') || entry.name === 'node_modules') continue
    const inner = join(path, entry.name)
    if (entry.isFile()) yield inner
    else if (entry.isDirectory() && depth < DEPTH_MAX) yield* regularFiles(inner, depth + 1)
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false
  )
}

/** This program's own files: of the checkout, or of the installed package. */
async function ownParts(): Promise<{ root: string; parts: readonly string[] }> {
  const root = fileURLToPath(new URL('../../..', import.meta.url))
  return { root, parts: (await exists(join(root, 'src'))) ? OWN_PARTS : INSTALLED_PARTS }
}

async function* candidates(input: string | null): AsyncGenerator<{ root: string; path: string }> {
  if (input !== null) {
    for await (const path of regularFiles(input, 0)) yield { root: input, path }
    return
  }
  const { root, parts } = await ownParts()
  for (const part of parts) {
    const path = join(root, part)
    const kind = await stat(path).catch(() => null)
    if (kind?.isFile()) yield { root, path }
    if (kind?.isDirectory()) for await (const inner of regularFiles(path, 0)) yield { root, path: inner }
  }
}

/**
 * Real files for the users of the demo: those below `input`, or this program's own. At most 300 files and 50 MB; hidden
 * and very large ones are left out, and no link is followed.
 *
 * @throws NOT_FOUND there is nothing to read there
 */
export async function inputFiles(input: string | null): Promise<readonly InputFile[]> {
  const files: InputFile[] = []
  let total = 0
  try {
    for await (const { root, path } of candidates(input)) {
      const { size } = await stat(path)
      if (size > FILE_BYTES_MAX || total + size > TOTAL_BYTES_MAX) continue
      const bytes = await readFile(path)
      total += bytes.length
      files.push({ path: relative(root, path).split(sep).join('/'), bytes, sha256: sha256(bytes) })
      if (files.length >= FILES_MAX) break
    }
  } catch (error) {
    throw new NodeDaemonError('NOT_FOUND', `the files for the demo cannot be read: ${messageOf(error)}`, {
      advice: 'name a folder that can be read with --input DIR',
      cause: error
    })
  }
  if (files.length === 0)
    throw new NodeDaemonError('NOT_FOUND', 'there are no files for the demo', {
      advice: 'name a folder with files: --input DIR'
    })
  return files
}
