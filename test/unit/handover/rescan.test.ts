import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { RESCAN_MS, rescanRegularly } from '../../../src/handover/rescan.ts'
import type { Resident } from '../../../src/handover/resident.ts'
import { nodeFileSystem } from '../../../src/worktree/node-file-system.ts'
import { type ManualClock, manualClock } from '../../tools/clock.ts'
import {
  ALPHA,
  emptyTree,
  homeOf,
  memoryRepository,
  type NearRepository,
  nearRepository,
  until,
  WORKSPACE
} from '../sync/support.ts'
import { openResident, ownershipOf } from './home.ts'

const HALF = { bytes: (length: number) => new Uint8Array(length), fraction: () => 0.5 }

interface Place {
  readonly near: NearRepository
  readonly folder: string
  readonly clock: ManualClock
  readonly resident: Resident
}

/** A home whose watcher tells nothing, with all that it had published. */
async function deafHome(): Promise<Place> {
  const near = nearRepository(await memoryRepository(), homeOf(ALPHA))
  const { folder, worktree } = await emptyTree()
  const clock = manualClock()
  const watch = { take: () => new Set<string>(), barrier: async () => undefined, close: () => undefined }
  const staging = join(folder, '../staging')
  const resident = await openResident({
    premises: async () => ({ files: nodeFileSystem, worktree, folder, staging, watch: async () => watch }),
    remote: async () => near,
    clock
  })
  await resident.order({ kind: 'assume', ownership: (await ownershipOf()).bytes })
  await resident.flush(1_000)
  return { near, folder, clock, resident }
}

function rescanned({ resident, clock }: Place): void {
  const ended = new AbortController()
  const running = rescanRegularly({ resident, clock, random: HALF }, ended.signal)
  onTestFinished(async () => {
    ended.abort()
    await running
  })
}

test('a change that no watcher told of is published after an hour', async () => {
  const at = await deafHome()
  const before = at.near.published.length
  rescanned(at)
  await mkdir(join(at.folder, 'd'))
  await writeFile(join(at.folder, 'd/unseen.txt'), 'unseen')
  at.clock.advance(RESCAN_MS - 1)
  await at.resident.flush(1_000)
  expect(at.near.published.length, 'nobody knew of it').toBe(before)
  at.clock.advance(1)
  await until(() => at.near.published.length === before + 1)
  expect(at.near.published.at(-1)?.head.value.files).toBe(1)

  await writeFile(join(at.folder, 'd/later.txt'), 'later')
  await until(() => at.clock.waiting === 1)
  at.clock.advance(RESCAN_MS)
  await until(() => at.near.published.at(-1)?.head.value.files === 2)
})

test('a workspace that is being published is left alone', async () => {
  const at = await deafHome()
  const gate = Promise.withResolvers<void>()
  at.near.before = () => gate.promise
  await writeFile(join(at.folder, 'told.txt'), 'told')
  const { wrote, leave } = at.resident.enter(WORKSPACE, 1)
  const acknowledged = wrote(['told.txt'])
  await until(() => at.near.published.at(-1)?.head.value.files === 1)
  const before = at.near.published.length
  await writeFile(join(at.folder, 'unseen.txt'), 'unseen')
  await at.resident.lookAgain(new AbortController().signal)
  gate.resolve()
  await acknowledged
  leave()
  await at.resident.flush(1_000)
  expect(at.near.published.length).toBe(before)
})
