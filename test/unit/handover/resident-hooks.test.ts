import { writeFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { codeOf, messageOf, NodeDaemonError } from '../../../src/core/errors.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import type { SignedHead } from '../../../src/core/records.ts'
import type { Resident } from '../../../src/handover/resident.ts'
import type { HomePlace } from '../../../src/handover/resident-deps.ts'
import { inlineReader } from '../../../src/worktree/inline-reader.ts'
import { nodeFileSystem } from '../../../src/worktree/node-file-system.ts'
import { watchFolder } from '../../../src/worktree/watch.ts'
import { Worktree } from '../../../src/worktree/worktree.ts'
import {
  ALPHA,
  homeOf,
  memoryRepository,
  type NearRepository,
  nearRepository,
  temporaryFolder,
  until,
  WORKSPACE
} from '../sync/support.ts'
import { openResident, ownershipOf } from './home.ts'

const INTERVAL_MS = 50

interface Bench {
  readonly resident: Resident
  readonly near: NearRepository
  readonly folder: string
  readonly script: {
    before: (signal: AbortSignal) => Promise<void>
    after: () => Promise<void>
    /** What is asked before a freeze. */
    quiet: () => Promise<void>
  }
  readonly places: HomePlace[]
  runs: number
  files(): Promise<number>
  settled(): Promise<void>
}

/** A home with a real folder, a real watcher and hooks. */
async function bench(): Promise<Bench> {
  const near = nearRepository(await memoryRepository(), homeOf(ALPHA))
  const base = await temporaryFolder()
  const folder = join(base, 'files')
  const staging = join(base, 'staging')
  const clock = systemClock()
  const worktree = new Worktree({
    files: nodeFileSystem,
    reader: inlineReader(),
    folder,
    staging,
    index: memoryKeyValue(),
    clock,
    random: systemRandom(),
    log: silent
  })
  const script: Bench['script'] = {
    before: async () => undefined,
    after: async () => undefined,
    quiet: async () => undefined
  }
  const places: HomePlace[] = []
  const resident = await openResident({
    premises: async () => ({
      files: nodeFileSystem,
      worktree,
      folder,
      staging,
      async watch(onDirty) {
        await mkdir(folder, { recursive: true })
        return watchFolder({ folder, cookies: join(base, 'cookies'), clock, log: silent }, onDirty)
      }
    }),
    remote: async () => near,
    clock,
    checkQuiet: () => script.quiet(),
    hooksFor: (place) => {
      places.push(place)
      return {
        hooks: {
          before: (signal) => {
            at.runs++
            return script.before(signal)
          },
          after: () => script.after()
        },
        intervalMs: INTERVAL_MS
      }
    }
  })
  const at: Bench = {
    resident,
    near,
    folder,
    script,
    places,
    runs: 0,
    files: async () => (await near.tip(WORKSPACE))?.value.files ?? 0,
    settled: () => until(() => resident.unsynced().ageMs === 0)
  }
  await resident.order({ kind: 'assume', ownership: (await ownershipOf()).bytes })
  await until(() => at.runs > 0)
  await at.settled()
  return at
}

const freeze = ({ resident }: Bench): Promise<string> =>
  resident.order({ kind: 'freeze', workspace: WORKSPACE }).then(() => 'frozen', messageOf)

test('a workspace in which users have just begun to work is not frozen, and serves on', async () => {
  const at = await bench()
  at.script.quiet = async () => {
    throw new NodeDaemonError('BUSY', 'users have just begun to work in it')
  }
  expect(await freeze(at)).toBe('users have just begun to work in it')
  at.resident.enter(WORKSPACE, 1).leave()
  at.script.quiet = async () => undefined
  expect(await freeze(at)).toBe('frozen')
})

test('what before writes is in the snapshot, though only the watcher saw it, and the snapshots come to rest', async () => {
  const at = await bench()
  expect(at.places).toEqual([{ workspace: WORKSPACE, service: 'files', epoch: 1, folder: at.folder }])
  at.script.before = () => writeFile(join(at.folder, 'backup.db'), `copy ${at.runs}`)
  await writeFile(join(at.folder, 'app.db'), 'live')
  await until(async () => (await at.files()) === 2)
  await at.settled()
  const { runs } = at
  expect(runs).toBeLessThanOrEqual(6)
  await new Promise((resolve) => setTimeout(resolve, 6 * INTERVAL_MS))
  expect(at.runs, 'nothing changed, nothing runs').toBe(runs)
})

test('a freeze runs the hooks once more although nothing has changed, and what they write is handed over', async () => {
  const at = await bench()
  // At once: no event of it can have come before the hook has ended.
  at.script.before = async () => writeFileSync(join(at.folder, 'last.txt'), 'written in the freeze')
  expect(await freeze(at)).toBe('frozen')
  expect(await at.files()).toBe(1)
})

test('a freeze fails with what before says, and the home serves on', async () => {
  const at = await bench()
  at.script.before = async () => {
    throw new NodeDaemonError('BUSY', 'no such database')
  }
  expect(await freeze(at)).toBe('no such database')
  expect(at.resident.postponed()).toBe(`workspace ${WORKSPACE.slice(0, 8)}: no such database`)
  at.resident.enter(WORKSPACE, 1).leave()
  expect(await at.resident.flush(5000).then(() => 'flushed', messageOf)).toBe(
    '1 workspaces are not durable elsewhere: no such database'
  )
  at.script.before = async () => undefined
  expect(await freeze(at)).toBe('frozen')
  expect(at.resident.postponed()).toBeNull()
})

test('going back succeeds though before writes something new each time', async () => {
  const at = await bench()
  const restore = (root: CID, base: CID): Promise<string> =>
    at.resident.order({ kind: 'restore', workspace: WORKSPACE, root, base }).then(() => 'restored', codeOf)
  const newest = async (): Promise<SignedHead> => {
    const tip = await at.near.tip(WORKSPACE)
    if (tip === null) throw new Error('no head')
    return tip
  }
  let dumps = 0
  at.script.before = async () => writeFileSync(join(at.folder, 'dump.sql'), `dump ${++dumps}`)
  await writeFile(join(at.folder, 'a.txt'), 'old')
  await at.resident.flush(5000)
  const old = await newest()
  await writeFile(join(at.folder, 'a.txt'), 'new')
  await freeze(at)
  const said: string[] = []
  // A round that was due may have come between.
  while (said.at(-1) !== 'restored' && said.length < 5) said.push(await restore(old.value.root, (await newest()).cid))
  expect(said).toContain('restored')
  expect(await readFile(join(at.folder, 'a.txt'), 'utf8')).toBe('old')
  at.resident.enter(WORKSPACE, 1).leave()
})

test('an instance that stops does not wait for a before that hangs', async () => {
  const at = await bench()
  let unlocked = 0
  at.script.before = (signal) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('killed')), { once: true }))
  at.script.after = async () => void unlocked++
  const flushed = at.resident.flush(50)
  expect(await flushed.then(() => 'flushed', codeOf)).toBe('TIMED_OUT')
  await at.resident.close()
  expect(unlocked).toBe(1)
})
