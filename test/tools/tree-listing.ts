import { lstat, readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256 } from './web-user.ts'

/** A line for each entry below a folder, with all that a snapshot keeps of it: kind, mode, time, content or target. */
export async function describeTree(root: string): Promise<string[]> {
  const names = (await readdir(root, { recursive: true })).sort()
  return Promise.all(names.map((name) => describeEntry(join(root, name), name)))
}

async function describeEntry(path: string, name: string): Promise<string> {
  const stats = await lstat(path, { bigint: true })
  const mode = (Number(stats.mode) & 0o7777).toString(8)
  const micros = stats.mtimeNs / 1000n
  if (stats.isSymbolicLink()) return `${name} link ${micros} ${await readlink(path)}`
  if (stats.isDirectory()) return `${name} folder ${mode} ${micros}`
  return `${name} file ${mode} ${micros} ${sha256(await readFile(path))}`
}
