import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { seal } from '../../../src/core/envelope.ts'
import type { ServiceName, UserId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { ownershipRecord } from '../../../src/core/records.ts'
import { RESCAN_MS, rescanRegularly } from '../../../src/handover/rescan.ts'
import { Resident } from '../../../src/handover/resident.ts'
import { type ManualClock, manualClock } from '../../tools/clock.ts'
import {
  ALPHA,
  COORDINATOR,
  emptyTree,
  homeOf,
  memoryRepository,
  type NearRepository,
  nearRepository,
  until,
  WORKSPACE
} from '../sync/support.ts'

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
  const resident = await Resident.open({
    state: memoryKeyValue(),
    premises: async () => ({ worktree, folder, staging, watch: async () => watch }),
    remote: async () => near,
    identity: ALPHA,
    coordinator: COORDINATOR.peerId,
    clock,
    log: silent,
    acknowledge: () => 'replicated',
    leaseValid: () => true,
    filesTrusted: true,
    keepMs: () => 60_000,
    hooksFor: () => null
  })
  onTestFinished(() => resident.close())
  const ownership = await seal(
    ownershipRecord,
    {
      federation: COORDINATOR.peerId,
      workspace: WORKSPACE,
      service: 'files' as ServiceName,
      user: 'user:ada' as UserId,
      epoch: 1,
      base: null,
      home: ALPHA.peerId,
      standbys: [],
      number: 1
    },
    COORDINATOR
  )
  await resident.order({ kind: 'assume', ownership: ownership.bytes })
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
