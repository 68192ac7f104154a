import { randomFillSync } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { MIB } from '../benchmark.ts'
import { output } from '../system.ts'

export const SMALL_BYTES = 8 * 1024
const FILES_PER_FOLDER = 200

/** A file of random bytes, on disk on return. */
export async function writeRandomFile(path: string, bytes: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await using handle = await open(path, 'w')
  const part = Buffer.alloc(MIB)
  for (let left = bytes; left > 0; left -= part.length) {
    await handle.write(randomFillSync(part), 0, Math.min(left, part.length))
  }
  await handle.sync()
}

/** Many files of random bytes in folders of a few hundred, on disk on return. */
export async function writeSmallFiles(folder: string, count: number, bytes: number = SMALL_BYTES): Promise<void> {
  for (let index = 0; index < count; index++) {
    const inner = join(folder, `folder-${Math.floor(index / FILES_PER_FOLDER)}`)
    if (index % FILES_PER_FOLDER === 0) await mkdir(inner, { recursive: true })
    await writeFile(join(inner, `file-${index}`), randomFillSync(Buffer.alloc(bytes)))
  }
  await output('sync', ['--file-system', folder])
}

/** Inserts one byte in the middle, as an editor does: a new file in the place of the old one. */
export async function insertByte(path: string, bytes: number): Promise<void> {
  const middle = Math.floor(bytes / 2)
  const next = `${path}.next`
  {
    await using handle = await open(next, 'w')
    for await (const part of createReadStream(path, { end: middle - 1, highWaterMark: MIB })) await handle.write(part)
    await handle.write(Buffer.from('.'))
    for await (const part of createReadStream(path, { start: middle, highWaterMark: MIB })) await handle.write(part)
    await handle.sync()
  }
  await rename(next, path)
}

/** Other bytes for each number, so that equal chunks are not stored once; cheap, since it is not what is measured. */
export function salted(part: Uint8Array, number: number): Buffer {
  const fresh = Buffer.alloc(part.length)
  fresh.set(part)
  const words = new Uint32Array(fresh.buffer, fresh.byteOffset, Math.floor(fresh.length / 4))
  const salt = Math.imul(number + 1, 0x9e3779b1)
  for (let index = 0; index < words.length; index++) words[index] = (words[index] ?? 0) ^ salt
  return fresh
}
