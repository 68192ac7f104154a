import { rm } from 'node:fs/promises'
import { expect, onTestFinished, test } from 'vitest'
import { messageOf, NodeDaemonError } from '../../../src/core/errors.ts'
import { silent } from '../../../src/core/log.ts'
import { HomeSync } from '../../../src/sync/home.ts'
import { type ManualClock, manualClock } from '../../tools/clock.ts'
import {
  ALPHA,
  emptyTree,
  homeOf,
  memoryRepository,
  type NearRepository,
  nearRepository,
  until,
  WORKSPACE,
  write
} from './support.ts'

const INTERVAL_MS = 10_000

interface Bench {
  readonly home: HomeSync
  readonly near: NearRepository
  readonly folder: string
  readonly clock: ManualClock
  /** `before`, `head` and `after` as they came. */
  readonly steps: string[]
  readonly script: { before: (signal: AbortSignal) => Promise<void>; after: () => Promise<void> }
  /** Writes as an app does, or a hook: the watcher has seen it by the next barrier. */
  put(path: string, text: string): Promise<void>
  /** The watcher tells what it saw. */
  tell(): void
  count(step: string): number
  files(): Promise<number>
  /** Lets time pass until nothing is due any more. Resolves with how much passed, in milliseconds; at most an hour. */
  settle(): Promise<number>
}

async function bench(): Promise<Bench> {
  const near = nearRepository(await memoryRepository(), homeOf(ALPHA))
  const { folder, worktree } = await emptyTree()
  const clock = manualClock()
  const steps: string[] = []
  const seen = new Set<string>()
  const script: Bench['script'] = { before: async () => undefined, after: async () => undefined }
  near.before = async () => void steps.push('head')
  const tell = (): void => {
    const paths = [...seen]
    seen.clear()
    home.changed(paths)
  }
  const home = new HomeSync(
    {
      worktree,
      remote: async () => near,
      identity: ALPHA,
      clock,
      log: silent,
      onPublished: async () => undefined,
      onFenced: (error) => {
        throw error
      },
      hooks: {
        hooks: {
          before: async (signal) => {
            steps.push('before')
            await script.before(signal)
          },
          after: async () => {
            steps.push('after')
            await script.after()
          }
        },
        intervalMs: INTERVAL_MS,
        caughtUp: async () => tell()
      }
    },
    { workspace: WORKSPACE, epoch: 1, tip: null }
  )
  home.start()
  onTestFinished(() => home.stop())
  return {
    home,
    near,
    folder,
    clock,
    steps,
    script,
    tell,
    async put(path, text) {
      await write(folder, { [path]: text })
      seen.add(path)
    },
    count: (step) => steps.filter((one) => one === step).length,
    files: async () => (await near.tip(WORKSPACE))?.value.files ?? 0,
    async settle() {
      const from = clock.now()
      while (clock.now() - from < 3_600_000) {
        await until(() => clock.waiting > 0 || home.unsynced().ageMs === 0)
        // What is over only for a moment sets a timer soon.
        if (clock.waiting === 0 && (await staysQuiet(clock))) return clock.now() - from
        clock.advance(500)
      }
      throw new Error(`not settled in an hour: ${steps.join(' ')}`)
    }
  }
}

/** Nothing sets a timer while the real disk has every chance to end what it does. */
async function staysQuiet(clock: ManualClock): Promise<boolean> {
  for (let look = 0; look < 20; look++) {
    await new Promise((resolve) => setTimeout(resolve, 2))
    if (clock.waiting > 0) return false
  }
  return true
}

test('before runs before the files are read, what it writes is in that snapshot, and after follows', async () => {
  const at = await bench()
  at.script.before = () => at.put('backup.db', 'copied')
  await at.put('a.txt', 'a')
  await at.home.published(['a.txt'])
  expect(at.steps.slice(0, 3)).toEqual(['before', 'after', 'head'])
  expect(await at.files()).toBe(2)
})

test('what before writes calls for one more look, which finds nothing new, and for no further snapshot', async () => {
  const at = await bench()
  at.script.before = async () => {
    if (at.count('before') === 1) await at.put('backup.db', 'copied')
    else at.home.changed(['backup.db'])
  }
  await at.put('a.txt', 'a')
  await at.home.published(['a.txt'])
  expect(at.home.unsynced().ageMs).toBeGreaterThanOrEqual(0)
  await at.settle()
  expect([at.count('before'), at.count('after'), at.count('head')]).toEqual([2, 2, 1])
  expect(at.home.unsynced()).toEqual({ bytes: 0, ageMs: 0 })
})

test('a hook that writes something else each time does not snapshot for ever', async () => {
  const at = await bench()
  at.script.before = () => at.put('stamp', `before ${at.count('before')}`)
  at.script.after = () => at.put('log', `after ${at.count('after')}`)
  await at.put('a.txt', 'a')
  await at.home.published(['a.txt'])
  await at.settle()
  expect(at.count('before')).toBe(4)
  expect(at.home.unsynced().ageMs).toBe(0)
  at.clock.advance(3_600_000)
  expect(await staysQuiet(at.clock)).toBe(true)
  expect(at.count('before')).toBe(4)
})

test('what an app writes while a hook runs is not taken for the hook: before runs once more for it', async () => {
  const at = await bench()
  const copies: string[] = []
  let live = 'one'
  at.script.before = async () => {
    copies.push(live)
    if (at.count('before') !== 1) return
    live = 'two'
    await at.put('live.db', live)
  }
  await at.put('live.db', live)
  await at.home.published(['live.db'])
  await at.settle()
  expect(copies.at(-1)).toBe('two')
})

test('what an app writes while after runs is published', async () => {
  const at = await bench()
  at.script.after = async () => {
    if (at.count('after') === 1) await at.put('late.txt', 'late')
  }
  await at.put('a.txt', 'a')
  at.tell()
  await at.home.published(['a.txt'])
  await at.settle()
  expect(await at.files()).toBe(2)
})

test('while nobody waits, the hooks run at most once in their interval; who waits is not kept waiting', async () => {
  const at = await bench()
  await at.put('a.txt', '1')
  at.tell()
  await until(() => at.clock.waiting > 0)
  at.clock.advance(150)
  await until(() => at.count('head') === 1)
  await until(() => at.home.unsynced().ageMs === 0)
  await at.put('a.txt', '2')
  at.tell()
  await until(() => at.clock.waiting > 0)
  at.clock.advance(INTERVAL_MS - 1)
  await staysQuiet(at.clock)
  expect(at.count('before')).toBe(1)
  at.clock.advance(1)
  await until(() => at.count('head') === 2)
  await at.put('a.txt', '3')
  await at.home.published(['a.txt'])
  expect(at.count('before')).toBe(3)
})

test('a before that fails postpones the snapshot, tells why, and is tried again after 1 s, 2 s, 4 s … 60 s', async () => {
  const at = await bench()
  at.script.before = async () => {
    throw new NodeDaemonError('BUSY', 'no such database')
  }
  await at.put('a.txt', 'a')
  at.tell()
  const pauses: number[] = []
  for (let tries = 1; tries <= 9; tries++) {
    const from = at.clock.now()
    while (at.count('before') < tries) {
      await until(() => at.clock.waiting > 0 || at.count('before') === tries)
      if (at.count('before') < tries) at.clock.advance(50)
    }
    await until(() => at.clock.waiting > 0)
    pauses.push(at.clock.now() - from)
  }
  expect(pauses).toEqual([150, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000])
  expect([at.count('head'), at.count('after')]).toEqual([0, 9])
  expect(at.home.postponed?.message).toBe('no such database')
  expect(at.home.unsynced().ageMs).toBeGreaterThan(0)
  at.script.before = async () => undefined
  await at.settle()
  expect([at.home.postponed, await at.files()]).toEqual([null, 1])
})

test('who waits hears of a failed before at once, and the change is published once it succeeds', async () => {
  const at = await bench()
  at.script.before = async () => {
    throw new NodeDaemonError('BUSY', 'no such database')
  }
  await at.put('a.txt', 'a')
  expect(await at.home.published(['a.txt']).then(() => 'saved', messageOf)).toBe('no such database')
  expect(await at.home.published(['b.txt']).then(() => 'saved', messageOf)).toBe('no such database')
  expect(at.count('before'), 'no faster for those who ask again').toBe(1)
  at.script.before = async () => undefined
  await at.home.flush()
  expect([at.home.postponed, await at.files()]).toEqual([null, 1])
})

test('a flush runs the hooks although nothing has changed, in a round that begins after it', async () => {
  const at = await bench()
  await at.put('a.txt', 'a')
  await at.home.published(['a.txt'])
  at.script.before = () => at.put('backup.db', 'copied')
  await at.home.flush()
  expect(await at.files()).toBe(2)

  const begun = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  at.script.before = async () => {
    begun.resolve()
    await goOn.promise
  }
  const runs = at.count('before')
  const first = at.home.flush()
  await begun.promise
  const second = at.home.flush()
  goOn.resolve()
  await Promise.all([first, second])
  expect(at.count('before')).toBe(runs + 2)
})

test('after runs also where the files could not be read', async () => {
  const at = await bench()
  await at.put('a.txt', 'a')
  await at.home.published(['a.txt'])
  await rm(at.folder, { recursive: true })
  const failed = at.home.flush().catch(messageOf)
  await until(() => at.clock.waiting > 0)
  expect([at.count('before'), at.count('after'), at.count('head')]).toEqual([2, 2, 1])
  await at.home.stop()
  expect(await failed).toContain('stopping')
})

test('a stop ends a before that runs, after follows it, and nothing is published', async () => {
  const at = await bench()
  at.script.before = (signal) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('killed'))))
  await at.put('a.txt', 'a')
  const saved = at.home.published(['a.txt']).then(() => 'saved', messageOf)
  await until(() => at.count('before') === 1)
  await at.home.stop()
  expect(await saved).toContain('stopping')
  expect(at.steps).toEqual(['before', 'after'])
})

test('while the repository is away no hook runs: nothing stays locked for it', async () => {
  const at = await bench()
  await at.put('a.txt', 'a')
  at.near.before = async () => {
    throw new NodeDaemonError('OUT_OF_REACH', 'away')
  }
  const saved = at.home.published(['a.txt'])
  for (let tries = 0; tries < 5; tries++) {
    await until(() => at.clock.waiting > 0)
    at.clock.advance(500)
  }
  expect(at.count('before')).toBe(1)
  at.near.before = async () => undefined
  await until(async () => {
    at.clock.advance(500)
    return (await at.files()) === 1
  })
  await saved
})
