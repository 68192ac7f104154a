import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { aborted, systemClock } from '../../../src/core/clock.ts'
import { codeOf, NodeDaemonError } from '../../../src/core/errors.ts'
import { type KeyValue, memoryKeyValue, prefixed } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { machineDisk, PremisesKeeper } from '../../../src/daemon/premises.ts'
import type { Resident } from '../../../src/handover/resident.ts'
import type { RemoteRepository } from '../../../src/sync/repository-client.ts'
import {
  ALPHA,
  homeOf,
  memoryRepository,
  type NearRepository,
  nearRepository,
  temporaryFolder,
  WORKSPACE
} from '../sync/support.ts'
import { openResident, ownershipOf } from './home.ts'

interface Disk {
  readonly folder: string
  readonly state: KeyValue
}

const newDisk = async (): Promise<Disk> => ({ folder: await temporaryFolder(), state: memoryKeyValue() })
const newRepository = async (): Promise<NearRepository> => nearRepository(await memoryRepository(), homeOf(ALPHA))

interface Start {
  readonly filesTrusted?: boolean
  readonly remote?: (signal: AbortSignal) => Promise<RemoteRepository>
}

async function start({ folder, state }: Disk, near: NearRepository, options: Start = {}): Promise<Resident> {
  const clock = systemClock()
  const premises = await PremisesKeeper.open({
    ...machineDisk({ log: silent }),
    folder,
    state,
    clock,
    random: systemRandom(),
    log: silent
  })
  return openResident({
    state: prefixed(state, 'resident/'),
    premises: (workspace) => premises.of(workspace),
    remote: options.remote ?? (async () => near),
    clock,
    filesTrusted: options.filesTrusted ?? true
  })
}

async function assume(resident: Resident, number: number): Promise<string> {
  const ownership = await ownershipOf({ number })
  return resident.order({ kind: 'assume', ownership: ownership.bytes }).then(() => 'done', codeOf)
}

async function save(resident: Resident, name: string, content: string): Promise<string> {
  try {
    const { folder, wrote, leave } = resident.enter(WORKSPACE, 1)
    await writeFile(join(folder, name), content)
    await wrote([name]).finally(leave)
    return 'saved'
  } catch (error) {
    return codeOf(error)
  }
}

const never = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(aborted(signal)), { once: true }))

test('an instance ends although an order waits for a coordinator that is away', async () => {
  const resident = await start(await newDisk(), await newRepository(), { remote: never })
  const ordered = assume(resident, 1)
  await new Promise((resolve) => setImmediate(resolve))
  await resident.close()
  expect(await ordered).toBe('CLOSED')
})

test('a home that was refused once, and is told that it is the home all the same, serves again', async () => {
  const near = await newRepository()
  const resident = await start(await newDisk(), near)
  await assume(resident, 1)
  expect(await save(resident, 'a.txt', 'first')).toBe('saved')
  near.before = async () => {
    throw new NodeDaemonError('CONFLICT', 'refused')
  }
  expect(await save(resident, 'a.txt', 'second')).toBe('NOT_HOME')
  near.before = async () => undefined
  expect(await assume(resident, 2)).toBe('done')
  expect(await save(resident, 'b.txt', 'third')).toBe('saved')
  expect((await near.repository.tip(WORKSPACE))?.head.value.files).toBe(2)
})

test('files that a power loss has cut are not published by the start after the next one either', async () => {
  const [disk, near] = [await newDisk(), await newRepository()]
  const before = await start(disk, near)
  await assume(before, 1)
  expect(await save(before, 'a.txt', 'acknowledged')).toBe('saved')
  await before.close()

  const file = join(disk.folder, 'workspaces', WORKSPACE, 'a.txt')
  await writeFile(file, '')
  // The first start after the power loss never hears of the coordinator.
  await (await start(disk, near, { filesTrusted: false, remote: never })).close()
  const after = await start(disk, near)
  expect(await assume(after, 2)).toBe('done')
  await after.flush(10_000)

  expect(await readFile(file, 'utf8')).toBe('acknowledged')
  expect(await near.repository.diverged(WORKSPACE)).toHaveLength(1)
  expect((await near.repository.tip(WORKSPACE))?.head.value.bytes).toBe('acknowledged'.length)
})

test('a change is not acknowledged where the snapshot has something else in its place', async () => {
  const near = await newRepository()
  const resident = await start(await newDisk(), near)
  await assume(resident, 1)
  const { folder, wrote, leave } = resident.enter(WORKSPACE, 1)
  onTestFinished(leave)
  await writeFile(join(folder, 'fine.txt'), 'fine')
  // No tree can have a socket.
  const server = createServer().listen(join(folder, 's'))
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  await wrote(['fine.txt'])
  expect(await wrote(['s']).then(() => 'saved', codeOf)).toBe('BUSY')
})
