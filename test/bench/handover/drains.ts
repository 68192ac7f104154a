import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import type { TestFederation } from '../../tools/federation.ts'
import { type BenchOptions, MIB } from '../benchmark.ts'
import { Relay } from '../relay.ts'
import { fill, openScene, profiled, settled } from '../scene.ts'
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
  const drainMs = await drained(federation)
  await profiled(federation, options, ['alpha', 'beta'])
  return drainMs
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

/** Of a thin line, in bytes a second: 100 Mbit/s. */
export const LINE_BYTES_PER_SECOND = 12_500_000
export const LINE_BYTES = 64 * MIB

export interface LineRound {
  readonly drainMs: number
  /** As many bytes by one TCP connection through the same line. */
  readonly copyMs: number
}

/** As `fullDrain`, but everything that the target sends and gets passes a thin line. */
export async function drainOverLine(options: BenchOptions): Promise<LineRound> {
  await using scratch = await Scratch.create()
  await using federation = await openScene(scratch, 'line', options, ['--standbys', '0'])
  await federation.join('alpha')
  const users = await federation.addUsers(FULL_WORKSPACES)
  for (const user of users) await fill(user, LINE_BYTES / FULL_WORKSPACES)
  const [, port = 'NaN'] = /\/tcp\/(\d+)/.exec(federation.ready.addresses[0] ?? '') ?? []
  await using relay = await Relay.start(Number(port), LINE_BYTES_PER_SECOND)
  await federation.join('beta', [], `/ip4/127.0.0.1/tcp/${relay.port}/p2p/${federation.ready.peerId}`)
  const drainMs = await drained(federation)
  await profiled(federation, options, ['alpha', 'beta'])
  return { drainMs, copyMs: await copyOverLine() }
}

async function copyOverLine(): Promise<number> {
  const sink = createServer((socket) => {
    socket.resume()
    socket.once('end', () => socket.end('done'))
  })
  await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', () => resolve()))
  await using relay = await Relay.start((sink.address() as AddressInfo).port, LINE_BYTES_PER_SECOND)
  const beganAt = performance.now()
  const socket = connect({ host: '127.0.0.1', port: relay.port })
  socket.end(Buffer.alloc(LINE_BYTES))
  await once(socket, 'data')
  const copyMs = performance.now() - beganAt
  await new Promise((resolve) => sink.close(resolve))
  return copyMs
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
  const drainMs = await drained(federation)
  await profiled(federation, options, ['alpha', 'beta'])
  return drainMs
}
