import { mkdir, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { MIB } from '../benchmark.ts'
import { heliaEntry } from '../peers.ts'
import type { Scratch } from '../scratch.ts'
import { output } from '../system.ts'
import { Worker } from '../worker.ts'
import type { HeliaAdded, HeliaFetched, HeliaOpened, ToHelia } from './helia-node.ts'

const NODE = new URL('./helia-node.ts', import.meta.url)
/** It is slow, and its rate does not rise with the size. */
export const HELIA_BYTES_MAX = 64 * MIB

export interface HeliaRun {
  readonly bytes: number
  readonly addMs: number
  readonly fetchMs: number
}

/** The start of a file into one Helia node, and from there into another one; null where Helia is not installed. */
export async function runHelia(scratch: Scratch, file: string, sizeBytes: number): Promise<HeliaRun | null> {
  const entry = heliaEntry()
  if (entry === null) return null
  const bytes = Math.min(sizeBytes, HELIA_BYTES_MAX)
  const part = join(scratch.folder, 'helia.bin')
  await output('cp', [file, part])
  await truncate(part, bytes)
  await using giver = Worker.start(scratch, NODE)
  await using taker = Worker.start(scratch, NODE)
  const ask = <T>(node: Worker, question: ToHelia): Promise<T> => node.ask<T>(question)
  const open = async (node: Worker, name: string): Promise<HeliaOpened> => {
    const folder = join(scratch.folder, name)
    await mkdir(folder, { recursive: true })
    return ask(node, { kind: 'open', entry, folder })
  }
  const { addresses } = await open(giver, 'helia-giver')
  await open(taker, 'helia-taker')
  const { cid, ms: addMs } = await ask<HeliaAdded>(giver, { kind: 'add', path: part })
  const fetched = await ask<HeliaFetched>(taker, { kind: 'fetch', cid, addresses })
  if (fetched.bytes !== bytes) throw new Error(`Helia fetched ${fetched.bytes} bytes instead of ${bytes}`)
  return { bytes, addMs, fetchMs: fetched.ms }
}
