import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestFederation } from '../../tools/federation.ts'
import type { BenchOptions } from '../benchmark.ts'
import { fill, openScene, settled } from '../scene.ts'
import { Scratch } from '../scratch.ts'
import { copyFolder, startRsync } from '../sync/copies.ts'
import { writeRandomFile } from '../sync/files.ts'
import { Pair } from '../sync/pair.ts'
import { output, programPath } from '../system.ts'

/** All bytes are spread over so many workspaces. */
export const FULL_WORKSPACES = 8
const SMALL_BYTES = 1024
const AT_ONCE = 16

export interface DrainRound {
  readonly drainMs: number
  readonly rawMs: number
  readonly rsyncMs: number | null
  readonly copyMs: number
}

/** Everything goes to an instance that has nothing; then as many bytes by other means. */
export async function fullDrain(options: BenchOptions): Promise<DrainRound> {
  const drainMs = await drainToEmpty(options)
  return { drainMs, ...(await copies(options)) }
}

async function drainToEmpty(options: BenchOptions): Promise<number> {
  await using scratch = await Scratch.create()
  await using federation = await openScene(scratch, 'drain', options, ['--standbys', '0'])
  await federation.join('alpha')
  const users = await federation.addUsers(FULL_WORKSPACES)
  for (const user of users) await fill(user, options.sizeBytes / FULL_WORKSPACES)
  await federation.join('beta')
  await output('sync', ['--file-system', scratch.folder])
  return await drained(federation)
}

/** In milliseconds, from the command to its end, with a certificate. */
async function drained(federation: TestFederation): Promise<number> {
  const beganAt = performance.now()
  const { code, log } = await federation.command('alpha', 'drain')
  if (code !== 0) throw new Error(`the drain ended with ${code}: ${log}`)
  return performance.now() - beganAt
}

async function copies(options: BenchOptions): Promise<Omit<DrainRound, 'drainMs'>> {
  await using scratch = await Scratch.create()
  const from = join(scratch.folder, 'from')
  await mkdir(from)
  await writeRandomFile(join(from, 'file'), options.sizeBytes)
  const rsync = await programPath('rsync')
  const daemon = rsync === null ? null : await startRsync(scratch, rsync, join(scratch.folder, 'rsync'))
  const rsyncMs = daemon === null ? null : (await daemon.copy(from, 'copy', { fsync: true })).ms
  const copyMs = await copyFolder(from, join(scratch.folder, 'copy'), { sync: true })
  await using pair = await Pair.start(scratch, 'raw', options)
  return { rsyncMs, copyMs, rawMs: (await pair.rawStream(options.sizeBytes)).ms }
}

/** Many workspaces of one small file whose standbys are current: nothing is copied. In milliseconds. */
export async function manySmall(options: BenchOptions): Promise<number> {
  await using scratch = await Scratch.create()
  await using federation = await openScene(scratch, 'small', options)
  await federation.join('alpha')
  const left = Array.from({ length: options.workspaces }, (_, index) => `user-${index}`)
  const bytes = Buffer.alloc(SMALL_BYTES, 'x')
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let name = left.pop(); name !== undefined; name = left.pop()) {
        await (await federation.addUser(name)).save('/small.txt', Buffer.concat([Buffer.from(name), bytes]))
      }
    })
  )
  await federation.join('beta')
  await settled(federation)
  return await drained(federation)
}
