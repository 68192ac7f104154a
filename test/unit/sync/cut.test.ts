import { subscribe } from 'node:diagnostics_channel'
import { writeFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { type Clock, systemClock } from '../../../src/core/clock.ts'
import { createIdentity } from '../../../src/core/identity.ts'
import { Later } from '../../../src/core/later.ts'
import { silent } from '../../../src/core/log.ts'
import type { Link } from '../../../src/network/host.ts'
import { HomeSync } from '../../../src/sync/home.ts'
import { RateLimit } from '../../../src/sync/rate-limit.ts'
import { connectRepository, type RemoteRepository } from '../../../src/sync/repository-client.ts'
import { Uplink } from '../../../src/sync/uplink.ts'
import { seeded } from '../store/support.ts'
import { federation, HOME, hostOf } from './members.ts'
import { COORDINATOR, emptyTree, homeOf, WORKSPACE } from './support.ts'

const FILE_BYTES = 384 * 1024 * 1024
const CUTS = 50
/** Less than this machine can do, as on a volunteer's line: little is on its way at a time. */
const UPLOAD_BYTES_PER_SECOND = 60_000_000
const SLICE_BYTES = 1024 * 1024

/** What this process has sent on connections that it opened. */
function sentBytes(): () => number {
  const sockets: Socket[] = []
  const onSocket = (message: unknown): void => void sockets.push((message as { socket: Socket }).socket)
  subscribe('net.client.socket', onSocket)
  return () => sockets.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0)
}

/** Content that no two chunks share. */
async function writeLarge(path: string, bytes: number): Promise<void> {
  const random = seeded(1)
  const slice = Buffer.from(random.bytes(SLICE_BYTES))
  async function* slices(): AsyncGenerator<Buffer> {
    for (let number = 0; number < bytes / SLICE_BYTES; number++) {
      for (let at = 0; at < slice.length; at += 4096) slice.writeUInt32BE(number, at)
      yield Buffer.from(slice)
    }
  }
  await writeFile(path, slices())
}

test('a transfer that is cut 50 times ends complete, and sends nearly nothing twice', {
  timeout: 170_000
}, async () => {
  const sent = sentBytes()
  const at = await federation()
  const identity = await createIdentity()
  at.access.set(identity.peerId, HOME)
  at.ownership.set(WORKSPACE, homeOf(identity))
  const host = await hostOf(identity, false)
  const random = seeded(2)
  const clock: Clock = systemClock()
  const remote = new Later<RemoteRepository>()
  const stopped = new AbortController()
  onTestFinished(() => stopped.abort())
  let link: Link | null = null
  let connections = 0
  const upload = new Uplink(clock, { limit: UPLOAD_BYTES_PER_SECOND, hours: [] })

  async function connectAgain(): Promise<void> {
    while (!stopped.signal.aborted) {
      const made = await host.dial(at.host.addresses(), COORDINATOR.peerId)
      link = made
      connections++
      const deps = { control: made, data: made, coordinator: COORDINATOR.peerId, upload, clock, log: silent }
      remote.set(await connectRepository({ ...deps, download: new RateLimit(clock), onHead: () => undefined }))
      await made.closed
      remote.clear()
    }
  }
  void connectAgain().catch(() => undefined)

  const { folder, worktree } = await emptyTree()
  await writeLarge(join(folder, 'large.bin'), FILE_BYTES)
  const home = new HomeSync(
    {
      worktree,
      remote: (signal) => remote.get(signal),
      identity,
      clock,
      log: silent,
      hooks: null,
      onPublished: async () => undefined,
      onFenced: (error) => {
        throw error
      }
    },
    { workspace: WORKSPACE, epoch: 1, tip: null }
  )
  onTestFinished(() => home.stop())
  home.start()
  let isDone = false
  const published = home.published('all').then(() => {
    isDone = true
  })

  let cuts = 0
  for (let next = 0; !isDone; ) {
    await turn()
    const stored = (await at.repository.stats()).storedBytes
    if (stored < next) continue
    // The first cuts come before anything was sent.
    next = stored + (2 * random.fraction() * FILE_BYTES * 0.9) / CUTS
    if (cuts < CUTS && link !== null && remote.now !== null) {
      cuts++
      ;(link as Link).abort(new Error('the test pulls the plug'))
    }
  }
  await published
  expect(cuts).toBeGreaterThanOrEqual(CUTS * 0.9)
  expect(connections).toBeGreaterThan(cuts * 0.9)
  const tip = await at.repository.tip(WORKSPACE)
  expect(tip?.head.value.bytes).toBe(FILE_BYTES)
  expect((await at.repository.verify()).damaged).toEqual([])
  console.info(`${cuts} cuts, ${(sent() / FILE_BYTES).toFixed(4)} of the file was sent`)
  expect(sent()).toBeLessThan(FILE_BYTES * 1.05)
})
