import { randomFillSync } from 'node:crypto'
import { join } from 'node:path'
import { TestFederation } from '../tools/federation.ts'
import type { Launch } from '../tools/program.ts'
import type { WebUser } from '../tools/web-user.ts'
import { type BenchOptions, MIB } from './benchmark.ts'
import type { Scratch } from './scratch.ts'
import { salted } from './sync/files.ts'
import { profileFlags } from './worker.ts'

const FILE_BYTES = 16 * MIB
const SETTLE_MS = 300_000

/** A federation of the compiled product that is asked for, in a folder of its own; its coordinator runs. */
export function openScene(
  scratch: Scratch,
  name: string,
  { dist, profileFolder }: BenchOptions,
  settings: readonly string[] = []
): Promise<TestFederation> {
  const launch: Launch = {
    program: join(dist, 'cli/main.js'),
    nodeFlags: (process) =>
      profileFlags(profileFolder === null ? null : { folder: profileFolder, name: `${name}-${process}` })
  }
  return TestFederation.open(settings, { within: scratch.folder, launch })
}

/** Where profiles are wanted, its processes end by themselves, which writes them. To be called before it is disposed of. */
export async function profiled(
  federation: TestFederation,
  { profileFolder }: BenchOptions,
  instances: readonly string[]
): Promise<void> {
  if (profileFolder === null) return
  for (const name of instances) {
    const program = federation.program(name)
    // One that was drained is ending already.
    if (!program.events.some(({ event }) => event === 'drained')) await federation.command(name, 'stop')
    await program.ended()
  }
  await federation.admin('stop')
  await federation.program('coordinator').ended()
}

/** Saves random bytes through the front door, in files of at most 16 MiB. */
export async function fill(user: WebUser, bytes: number): Promise<void> {
  const part = randomFillSync(Buffer.alloc(Math.min(FILE_BYTES, bytes)))
  for (let left = bytes, number = 0; left > 0; left -= part.length, number++) {
    await user.save(`/part-${number}.bin`, salted(part.subarray(0, Math.min(left, part.length)), number))
  }
}

/** Every workspace is served, and its standby holds the newest head. */
export const settled = (federation: TestFederation): Promise<unknown> =>
  federation.until(
    'a standby of each workspace that holds its newest head',
    async () => {
      const workspaces = await federation.workspaces()
      return workspaces.every(
        ({ state, standbys, receipts }) => state === 'serving' && standbys.length > 0 && receipts > 1
      )
    },
    SETTLE_MS
  )
