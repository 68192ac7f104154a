import { writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { messageOf, NodeDaemonError } from '../../../src/core/errors.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import type { Resident } from '../../../src/handover/resident.ts'
import { inlineReader } from '../../../src/worktree/inline-reader.ts'
import { nodeFileSystem } from '../../../src/worktree/node-file-system.ts'
import { watchFolder } from '../../../src/worktree/watch.ts'
import { Worktree } from '../../../src/worktree/worktree.ts'
import { ALPHA, BETA, homeOf, memoryRepository, nearRepository, temporaryFolder, WORKSPACE } from '../sync/support.ts'
import { openResident, ownershipOf } from './home.ts'

interface Bench {
  readonly resident: Resident
  readonly folder: string
  /** What the app was told, in order. */
  readonly told: string[]
  readonly secrets: string[]
  /** What the app does as it is frozen. */
  onFreeze: (signal: AbortSignal) => Promise<void>
  files(): Promise<number>
}

/** A home with a real folder, and an app that notes what it is told. */
async function bench(): Promise<Bench> {
  const near = nearRepository(await memoryRepository(), homeOf(ALPHA))
  const base = await temporaryFolder()
  const folder = join(base, 'files')
  const parts = { clock: systemClock(), random: systemRandom(), log: silent, files: nodeFileSystem, folder }
  const worktree = new Worktree({
    ...parts,
    staging: join(base, 'incoming'),
    index: memoryKeyValue(),
    reader: inlineReader()
  })
  const told: string[] = []
  const secrets: string[] = []
  const resident = await openResident({
    premises: async () => ({
      files: nodeFileSystem,
      worktree,
      folder,
      staging: join(base, 'staging'),
      async watch(onDirty) {
        await mkdir(folder, { recursive: true })
        return watchFolder({ ...parts, cookies: join(base, 'cookies') }, onDirty)
      }
    }),
    remote: async () => near,
    apps: {
      keepSecret: (workspace, secret) => secrets.push(`${workspace} ${Buffer.from(secret).toString()}`),
      of: ({ workspace, folder: where }) => {
        told.push(`of ${workspace === WORKSPACE && where === folder}`)
        return {
          hold: () => void told.push('hold'),
          async freeze(signal) {
            told.push('freeze')
            await at.onFreeze(signal)
          },
          thaw: () => void told.push('thaw'),
          close: async () => void told.push('close')
        }
      }
    }
  })
  const at: Bench = {
    resident,
    folder,
    told,
    secrets,
    onFreeze: async () => undefined,
    files: async () => (await near.tip(WORKSPACE))?.value.files ?? 0
  }
  const { bytes } = await ownershipOf()
  await resident.order({ kind: 'assume', ownership: bytes, secret: Buffer.from('of the workspace') })
  return at
}

const freeze = ({ resident }: Bench): Promise<string> =>
  resident.order({ kind: 'freeze', workspace: WORKSPACE }).then(() => 'frozen', messageOf)

test('a home hands its app the secret that the coordinator told, and closes it when another is the home', async () => {
  const { resident, told, secrets } = await bench()
  expect([told, secrets]).toEqual([['of true'], [`${WORKSPACE} of the workspace`]])
  const later = await ownershipOf({ home: BETA.peerId, epoch: 2, number: 2 })
  await resident.order({ kind: 'release', ownership: later.bytes })
  expect(told).toEqual(['of true', 'close'])
})

test('frozen, an app lets nothing in, is ended once no request is in flight, and what it wrote last is handed over', async () => {
  const at = await bench()
  const { leave } = at.resident.enter(WORKSPACE, 1)
  const frozen = freeze(at)
  await expect.poll(() => at.told).toEqual(['of true', 'hold'])
  at.onFreeze = async () => writeFileSync(join(at.folder, 'last.txt'), 'written as it ended')
  leave()
  expect(await frozen).toBe('frozen')
  expect(at.told).toEqual(['of true', 'hold', 'freeze'])
  expect(await at.files()).toBe(1)
  await at.resident.order({ kind: 'thaw', ownership: (await ownershipOf({ number: 2 })).bytes })
  expect(at.told.at(-1)).toBe('thaw')
})

test('an instance that stops ends its apps first, also those that would not be frozen, and publishes what they wrote', async () => {
  const at = await bench()
  at.onFreeze = async () => {
    writeFileSync(join(at.folder, 'last.txt'), 'written as it ended')
    throw new NodeDaemonError('BUSY', 'not now')
  }
  await at.resident.flush(10_000)
  expect(at.told).toEqual(['of true', 'hold', 'freeze', 'close'])
  expect(await at.files()).toBe(1)
})

test('a freeze that an app refuses is given up, and the home serves on', async () => {
  const at = await bench()
  at.onFreeze = async () => {
    throw new NodeDaemonError('BUSY', 'not now')
  }
  expect(await freeze(at)).toBe('not now')
  expect(at.told).toEqual(['of true', 'hold', 'freeze', 'thaw'])
  at.resident.enter(WORKSPACE, 1).leave()
})
