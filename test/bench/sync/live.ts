import { randomFillSync } from 'node:crypto'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BenchOptions, MIB, percentile, row, type Section } from '../benchmark.ts'
import { Federation, type LiveWorkspace } from '../federation.ts'
import type { ToClient, Transferred } from '../front-door/client.ts'
import { Scratch } from '../scratch.ts'
import { pause } from '../system.ts'
import { Worker } from '../worker.ts'
import { SMALL_BYTES } from './files.ts'

const CLIENT = new URL('../front-door/client.ts', import.meta.url)
const CHANGE_EVERY_MS = 50
const LOOK_EVERY_MS = 5
const DURABLE_MS = 60_000

interface Upload {
  readonly ms: number
  readonly sentBytes: number
  readonly receivedBytes: number
}

/** A coordinator and an instance as real processes: changes on disk, and uploads. */
export async function liveSections(options: BenchOptions): Promise<Section[]> {
  await using scratch = await Scratch.create()
  await using client = Worker.start(scratch, CLIENT)
  await using federation = await Federation.start(scratch, 'live', options, { users: 1, countedUplink: true })
  const workspace = await federation.openWorkspace()
  const changes: number[][] = []
  const uploads: Upload[] = []
  for (let number = 1; number <= options.rounds; number++) {
    options.say(`changes and an upload, round ${number} of ${options.rounds}`)
    changes.push(await durableAfterMs(workspace, join(scratch.folder, 'arriving'), options.changes, `round-${number}`))
    uploads.push(await uploaded(federation, client, options.sizeBytes, number))
  }
  return [changeSection(changes, options.changes), uploadSection(uploads, options.sizeBytes)]
}

/** Puts new files there at random moments. For each: from then until a durable head counts it. */
async function durableAfterMs(
  workspace: LiveWorkspace,
  arriving: string,
  count: number,
  name: string
): Promise<number[]> {
  const { files: before } = await workspace.look()
  const writtenAt: number[] = []
  const tookMs: number[] = []
  const writing = (async () => {
    for (let number = 0; number < count; number++) {
      await pause(Math.random() * 2 * CHANGE_EVERY_MS)
      await writeFile(arriving, randomFillSync(Buffer.alloc(SMALL_BYTES)))
      writtenAt.push(performance.now())
      // At once, so that no head counts a file of which only the name is there.
      await rename(arriving, join(workspace.folder, `${name}-${number}`))
    }
  })()
  const until = performance.now() + count * 2 * CHANGE_EVERY_MS + DURABLE_MS
  while (tookMs.length < count) {
    const { files } = await workspace.look()
    const now = performance.now()
    while (tookMs.length < files - before) tookMs.push(now - (writtenAt[tookMs.length] ?? Number.NaN))
    if (now > until) throw new Error(`${count - tookMs.length} of ${count} changes did not become durable`)
    await pause(LOOK_EVERY_MS)
  }
  await writing
  return tookMs
}

async function uploaded(federation: Federation, client: Worker, bytes: number, number: number): Promise<Upload> {
  const { uplink, url } = federation
  const [user] = federation.users
  if (user === undefined) throw new Error('there is no user')
  const before = { sent: uplink.sentBytes, received: uplink.receivedBytes }
  const question: ToClient = { kind: 'upload', url: `${url}/large-${number}.bin`, user, bytes }
  const { ms } = await client.ask<Transferred>(question)
  return { ms, sentBytes: uplink.sentBytes - before.sent, receivedBytes: uplink.receivedBytes - before.received }
}

function changeSection(rounds: readonly (readonly number[])[], count: number): Section {
  const title =
    `Change on disk → durable in the main repository: ${count} files of ${SMALL_BYTES / 1024} KiB that a program ` +
    `writes at random moments, one in ${CHANGE_EVERY_MS} ms`
  const at = (share: number): { values: number[] } => ({ values: rounds.map((one) => percentile(one, share)) })
  return {
    title,
    rows: [
      { ...row('p50', 'ms', at(0.5)), note: `looked at every ${LOOK_EVERY_MS} ms` },
      row('p99', 'ms', at(0.99)),
      row('longest', 'ms', at(1))
    ]
  }
}

function uploadSection(uploads: readonly Upload[], sizeBytes: number): Section {
  const of = (value: (upload: Upload) => number): { values: number[] } => ({ values: uploads.map(value) })
  return {
    title: `An upload of ${sizeBytes / MIB} MiB through the front door: the uplink of the instance`,
    rows: [
      {
        ...row(
          'sent by the instance',
          '% of the file',
          of(({ sentBytes }) => (100 * sentBytes) / sizeBytes)
        ),
        note: 'on its TCP connections, counted by a relay'
      },
      row(
        'sent by the instance',
        'KiB',
        of(({ sentBytes }) => sentBytes / 1024)
      ),
      row(
        'received by the instance',
        '% of the file',
        of(({ receivedBytes }) => (100 * receivedBytes) / sizeBytes)
      ),
      {
        ...row(
          'the upload',
          'MiB/s',
          of(({ ms }) => sizeBytes / MIB / (ms / 1000))
        ),
        note: 'until durable; the relay slows it down'
      }
    ]
  }
}
