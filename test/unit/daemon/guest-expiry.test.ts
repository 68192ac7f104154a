import { expect, onTestFinished, test } from 'vitest'
import type { OwnerId, WorkspaceId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { GuestExpiry } from '../../../src/daemon/guest-expiry.ts'
import type { OwnershipTable } from '../../../src/handover/ownership-table.ts'
import { type ControlStore, controlStore } from '../../../src/store/control-store.ts'
import { type ManualClock, manualClock } from '../../tools/clock.ts'
import { settled } from '../handover/fleet.ts'

const DAY = 86_400_000
const LOOK = 10 * 60_000
const idOf = (digit: string): WorkspaceId => digit.repeat(32) as WorkspaceId
const GUESTS = idOf('1')
const OTHERS = idOf('2')
const ADAS = idOf('3')

interface World {
  readonly clock: ManualClock
  readonly expiry: GuestExpiry
  readonly removed: WorkspaceId[]
  readonly inUse: Set<WorkspaceId>
  readonly owners: Map<WorkspaceId, string>
  readonly state: {
    held: boolean
    refuses: boolean
    wallOffMs: number
    /** Comes between the decision and the removal. */
    before?: (workspace: WorkspaceId) => Promise<void>
  }
  /** The time passes as it does: in small steps. */
  pass(ms: number): Promise<void>
  restarted(awayMs: number): Promise<World>
}

async function world(
  shared: {
    store?: ControlStore
    clock?: ManualClock
    owners?: Map<WorkspaceId, OwnerId>
    removed?: WorkspaceId[]
  } = {}
): Promise<World> {
  const { store = controlStore(memoryKeyValue()), clock = manualClock(), removed = [] } = shared
  const owners =
    shared.owners ??
    new Map<WorkspaceId, string>([
      [GUESTS, `guest:${'c'.repeat(32)}`],
      [OTHERS, `guest:${'d'.repeat(32)}`],
      [ADAS, 'user:ada']
    ])
  const rowOf = (workspace: WorkspaceId) => ({ signed: { value: { workspace, owner: owners.get(workspace) } } })
  const table = {
    all: () => [...owners.keys()].map(rowOf).values(),
    get: (workspace: WorkspaceId) => (owners.has(workspace) ? rowOf(workspace) : null)
  } as unknown as OwnershipTable
  const inUse = new Set<WorkspaceId>()
  const state: World['state'] = { held: false, refuses: false, wallOffMs: 0 }
  const expiry = await GuestExpiry.open(
    {
      store,
      table,
      removals: {
        async remove(workspace, _by, _why, check) {
          if (state.refuses) throw new Error('not now')
          await state.before?.(workspace)
          check?.()
          removed.push(workspace)
          owners.delete(workspace)
        }
      },
      isInUse: (workspace) => inUse.has(workspace),
      isHeld: () => state.held,
      clock: { ...clock, wall: () => clock.wall() + state.wallOffMs },
      log: silent
    },
    { ttlMs: 7 * DAY }
  )
  expiry.start()
  onTestFinished(() => expiry.close())
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += LOOK) {
      clock.advance(LOOK)
      await settled()
    }
  }
  return {
    clock,
    expiry,
    removed,
    inUse,
    owners,
    state,
    pass,
    async restarted(awayMs) {
      await expiry.close()
      clock.advance(awayMs)
      return world({ store, clock, owners: owners as Map<WorkspaceId, OwnerId>, removed })
    }
  }
}

test("a guest's workspace that nobody uses is removed after its time, and not before; a named user's stays", async () => {
  const at = await world()
  await at.pass(7 * DAY)
  expect(at.removed).toEqual([])
  await at.pass(DAY)
  expect(at.removed.sort()).toEqual([GUESTS, OTHERS])
})

test('each use begins the time anew; so does one who stays connected', async () => {
  const at = await world()
  for (let day = 0; day < 20; day++) {
    at.expiry.used(GUESTS)
    await at.pass(DAY)
  }
  expect(at.removed).toEqual([OTHERS])
  at.inUse.add(GUESTS)
  await at.pass(20 * DAY)
  expect(at.removed).toEqual([OTHERS])
  at.inUse.clear()
  await at.pass(9 * DAY)
  expect(at.removed).toEqual([OTHERS, GUESTS])
})

test('a machine that was suspended for a year, or a clock that leaps, removes nothing', async () => {
  const at = await world()
  await at.pass(DAY)
  at.clock.advance(365 * DAY)
  await settled()
  at.state.wallOffMs = 3650 * DAY
  await at.pass(5 * DAY)
  at.state.wallOffMs = -3650 * DAY
  await at.pass(DAY)
  expect(at.removed).toEqual([])
})

test('time while the coordinator is away does not count, and what was counted before does', async () => {
  const first = await world()
  await first.pass(4 * DAY)
  const second = await first.restarted(100 * DAY)
  await second.pass(3 * DAY)
  expect(second.removed).toEqual([])
  await second.pass(DAY)
  expect(second.removed).toHaveLength(2)
})

test('a use that was told before a restart counts after it', async () => {
  const first = await world()
  await first.pass(6 * DAY)
  first.expiry.used(GUESTS)
  await first.pass(LOOK)
  const second = await first.restarted(0)
  await second.pass(3 * DAY)
  expect(second.removed).toEqual([OTHERS])
})

test('nothing is removed while promotions are held; what is refused is tried again', async () => {
  const at = await world()
  at.state.held = true
  await at.pass(10 * DAY)
  expect(at.removed).toEqual([])
  at.state.held = false
  at.state.refuses = true
  await at.pass(LOOK)
  at.state.refuses = false
  await at.pass(LOOK)
  expect(at.removed).toHaveLength(2)
})

test('somebody who comes back at the last moment finds everything', async () => {
  const at = await world()
  at.state.before = async (workspace) => {
    if (workspace === GUESTS) at.expiry.used(GUESTS)
  }
  await at.pass(8 * DAY)
  expect(at.removed).toEqual([OTHERS])
})

test('what is kept under a name at the last moment stays', async () => {
  const at = await world()
  at.state.before = async (workspace) => {
    if (workspace === GUESTS) at.owners.set(GUESTS, 'user:bob')
  }
  await at.pass(8 * DAY)
  expect(at.removed).toEqual([OTHERS])
})

test('it is told when a workspace expires', async () => {
  const at = await world()
  await at.pass(DAY)
  const left = (workspace: WorkspaceId): number | null => {
    const atMs = at.expiry.expiresAtMs(workspace)
    return atMs === null ? null : Math.round((atMs - at.clock.wall()) / DAY)
  }
  expect([left(GUESTS), left(ADAS), left(idOf('9'))]).toEqual([7, null, null])
  at.expiry.used(GUESTS)
  expect(left(GUESTS)).toBe(8)
})
