import { expect, onTestFinished, test } from 'vitest'
import { blockOf, RAW_CODEC } from '../../../src/core/blocks.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { Housekeeping } from '../../../src/daemon/housekeeping.ts'
import { type ControlStore, controlStore } from '../../../src/store/control-store.ts'
import { type Damage, RETENTION } from '../../../src/store/repository.ts'
import { type ManualClock, manualClock } from '../../tools/clock.ts'
import { settled } from '../handover/fleet.ts'
import { workspace } from '../store/support.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const STATS = { blocks: 1, storedBytes: 720_000, logicalBytes: 1, heads: 1, workspaces: 1, packs: 1, dedupRatio: 1 }
const { cid } = blockOf(RAW_CODEC, Buffer.from('rotten'))
const ROTTEN: Damage = { cid, workspaces: [workspace('a')] }

interface Bench {
  readonly clock: ManualClock
  readonly store: ControlStore
  readonly housekeeping: Housekeeping
  readonly done: string[]
  readonly world: { damaged: number; free: number; uploaded: number; left: Damage[]; gc: () => Promise<void> }
  /** Lets time pass, minute by minute, as it does. */
  pass(ms: number): Promise<void>
}

async function bench(options: { scrubDays?: number; store?: ControlStore; clock?: ManualClock } = {}): Promise<Bench> {
  const { scrubDays = 30, clock = manualClock(), store = controlStore(memoryKeyValue()) } = options
  const done: string[] = []
  const world: Bench['world'] = { damaged: 0, free: 1e12, uploaded: 0, left: [], gc: async () => undefined }
  const housekeeping = await Housekeeping.open(
    {
      repository: {
        stats: async () => ({ ...STATS, damaged: world.damaged }),
        async gc({ policy, full }) {
          done.push(`gc ${full} ${policy.hours}`)
          await world.gc()
          return { headsDropped: 0, blocksDropped: 0, freedBytes: 0, packsRewritten: 0 }
        },
        async verify(asked) {
          done.push(`verify ${asked?.maxBytes}`)
          return { blocks: 1, bytes: 1, damaged: [], repaired: 1 }
        }
      },
      async repair() {
        done.push('repair')
        const repaired = world.damaged - world.left.length
        world.damaged = world.left.length
        return { repaired, left: world.left }
      },
      freeBytes: async () => world.free,
      uploadedBytes: () => world.uploaded,
      store,
      clock,
      random: { bytes: (length) => new Uint8Array(length), fraction: () => 0.5 },
      log: silent
    },
    { retention: { ...RETENTION, hours: 7 }, scrubDays }
  )
  housekeeping.start()
  onTestFinished(() => housekeeping.close())
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += MINUTE) {
      await settled()
      clock.advance(MINUTE)
    }
    await settled()
  }
  return { clock, store, housekeeping, done, world, pass }
}

const count = (done: readonly string[], start: string): number => done.filter((one) => one.startsWith(start)).length

test('history is thinned once a day by the policy of this coordinator, also over a restart', async () => {
  const at = await bench({ scrubDays: 0 })
  await at.pass(HOUR)
  expect(at.done).toEqual(['gc false 7'])
  await at.pass(2 * DAY)
  expect(at.done).toHaveLength(3)
  await at.housekeeping.close()
  const again = await bench({ scrubDays: 0, store: at.store, clock: at.clock })
  await again.pass(HOUR)
  expect(again.done).toEqual([])
  expect(again.housekeeping.lastDone.gcAtMs).toBe(at.housekeeping.lastDone.gcAtMs)
})

test('every hour a share is read again, so that all is read once in so many days; none where it is turned off', async () => {
  const at = await bench({ scrubDays: 30 })
  await at.pass(5 * HOUR + 10 * MINUTE)
  expect(at.done.filter((one) => one.startsWith('verify'))).toEqual(Array(5).fill('verify 1000'))
  expect(at.housekeeping.lastDone.verifyAtMs).not.toBeNull()
  const off = await bench({ scrubDays: 0 })
  await off.pass(5 * HOUR)
  expect(count(off.done, 'verify')).toBe(0)
})

test('damage that somebody came across is repaired within minutes; what nobody has is asked for again, but not all the time', async () => {
  const at = await bench({ scrubDays: 0 })
  await at.pass(5 * MINUTE)
  expect(count(at.done, 'repair')).toBe(0)
  at.world.damaged = 2
  await at.pass(2 * MINUTE)
  expect([count(at.done, 'repair'), at.world.damaged]).toEqual([1, 0])
  at.world.damaged = 1
  at.world.left = [ROTTEN]
  await at.pass(31 * MINUTE)
  expect(count(at.done, 'repair')).toBeGreaterThanOrEqual(4)
  expect(count(at.done, 'repair')).toBeLessThanOrEqual(5)
  at.world.left = []
  await at.pass(11 * MINUTE)
  expect(at.world.damaged).toBe(0)
})

test('a disk that is nearly full is reason for more, a few times a day at most', async () => {
  const at = await bench({ scrubDays: 0 })
  await at.pass(HOUR)
  at.world.free = 1e6
  await at.pass(12 * HOUR)
  expect(at.done).toEqual(['gc false 7', 'gc true 7', 'gc true 7'])
})

test('much that was uploaded is reason for one more, once all of it may be given back', async () => {
  const at = await bench({ scrubDays: 0 })
  await at.pass(HOUR)
  at.world.uploaded = 1e9
  await at.pass(4 * HOUR)
  expect(count(at.done, 'gc')).toBe(1)
  at.world.uploaded = 1.1e9
  await at.pass(1.9 * HOUR)
  expect(count(at.done, 'gc')).toBe(1)
  at.world.gc = async () => {
    throw new NodeDaemonError('BUSY', 'another one is under way')
  }
  await at.pass(0.2 * HOUR)
  at.world.gc = async () => undefined
  const failed = count(at.done, 'gc')
  expect(failed).toBeGreaterThan(1)
  await at.pass(4 * HOUR)
  expect(count(at.done, 'gc')).toBe(failed + 1)
  at.world.uploaded = 9e9
  await at.pass(3 * HOUR)
  expect(count(at.done, 'gc')).toBe(failed + 2)
})

test('what fails is tried again, and stops nothing else', async () => {
  const at = await bench({ scrubDays: 30 })
  at.world.gc = async () => {
    throw new NodeDaemonError('NO_SPACE', 'full')
  }
  await at.pass(2 * HOUR + 5 * MINUTE)
  expect(count(at.done, 'gc')).toBeGreaterThan(10)
  expect(count(at.done, 'verify')).toBe(2)
  expect(at.housekeeping.lastDone.gcAtMs).toBeNull()
})

test('a verify that an admin asks for repairs too, and tells what is left', async () => {
  const at = await bench({ scrubDays: 0 })
  at.world.damaged = 3
  at.world.left = [ROTTEN]
  expect(await at.housekeeping.verify({ maxBytes: 9 })).toMatchObject({ repaired: 3, left: [ROTTEN] })
  expect(at.done).toEqual(['verify 9', 'repair'])
})
