import { describe, expect, test } from 'vitest'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import type { PeerIdText } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { type PlannedDrain, PlannedDrains } from '../../../src/daemon/planned-drains.ts'
import { type ControlStore, controlStore } from '../../../src/store/control-store.ts'
import { manualClock } from '../../tools/clock.ts'
import { settled } from '../handover/fleet.ts'
import { ALPHA, BETA } from '../sync/support.ts'

const HOUR = 3_600_000
const WISH = { deadlineMs: 600_000, to: BETA.peerId, toRepository: false, exits: true }

/** What is planned at a coordinator; `store`: after a restart of it. */
function planner(store: ControlStore = controlStore(memoryKeyValue())) {
  const clock = manualClock()
  const begun: PlannedDrain[] = []
  const connected = new Set<PeerIdText>([ALPHA.peerId])
  const now = { refuses: '' }
  const planned = new PlannedDrains({
    store,
    clock,
    log: silent,
    isConnected: (peer) => connected.has(peer),
    async begin(peer, one) {
      if (now.refuses !== '') throw new NodeDaemonError('REFUSED_BY_POLICY', now.refuses)
      begun.push(one)
      await planned.forget(peer)
    },
    changed: () => undefined
  })
  const advance = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 30_000) {
      clock.advance(Math.min(left, 30_000))
      await settled()
    }
  }
  const at = (ms: number): { atMs: number; wish: typeof WISH; actor: string } => {
    return { atMs: clock.wall() + ms, wish: WISH, actor: 'admin' }
  }
  return { planned, clock, begun, connected, now, store, advance, at }
}

describe('a drain that is planned', () => {
  test('begins at its time, once', async () => {
    const { planned, begun, advance, at } = planner()
    await planned.plan(ALPHA.peerId, at(HOUR))
    await advance(HOUR - 60_000)
    expect(begun).toEqual([])
    await advance(120_000)
    expect(begun).toMatchObject([{ wish: WISH, actor: 'admin' }])
    await advance(HOUR)
    expect([begun.length, planned.of(ALPHA.peerId)]).toEqual([1, null])
  })

  test('is there after a restart, and begins late where its time came meanwhile', async () => {
    const { planned, at, store } = planner()
    await planned.plan(ALPHA.peerId, at(-HOUR))
    planned.close()
    const again = planner(store)
    await again.planned.load()
    expect(again.planned.of(ALPHA.peerId)).toMatchObject({ wish: WISH, actor: 'admin' })
    again.planned.start()
    await again.advance(60_000)
    expect(again.begun).toHaveLength(1)
    const last = planner(store)
    await last.planned.load()
    expect(last.planned.of(ALPHA.peerId)).toBeNull()
  })

  test('waits for an instance that is away, and says so', async () => {
    const { planned, begun, connected, advance, at } = planner()
    connected.clear()
    await planned.plan(ALPHA.peerId, at(1000))
    await advance(5 * 60_000)
    expect([begun.length, planned.of(ALPHA.peerId)?.reason]).toEqual([0, 'the instance is away'])
    connected.add(ALPHA.peerId)
    planned.connected(ALPHA.peerId)
    await settled()
    expect(begun).toHaveLength(1)
  })

  test('that cannot finish when its time has come is tried again, and says why', async () => {
    const { planned, begun, now, advance, at } = planner()
    now.refuses = 'no room'
    await planned.plan(ALPHA.peerId, at(1000))
    await advance(120_000)
    expect([begun.length, planned.of(ALPHA.peerId)?.reason]).toEqual([0, 'no room'])
    now.refuses = ''
    await advance(60_000)
    expect(begun).toHaveLength(1)
  })

  test('can be forgotten, also over a restart, and replaced by another', async () => {
    const { planned, begun, advance, at, store } = planner()
    await planned.plan(ALPHA.peerId, at(1000))
    await planned.plan(ALPHA.peerId, at(HOUR))
    await advance(60_000)
    expect(begun).toEqual([])
    expect([await planned.forget(ALPHA.peerId), await planned.forget(ALPHA.peerId)]).toEqual([true, false])
    await advance(2 * HOUR)
    expect(begun).toEqual([])
    const again = planner(store)
    await again.planned.load()
    expect(again.planned.of(ALPHA.peerId)).toBeNull()
  })

  test('is told with a time that can be said, also where an earlier version took any number for one', async () => {
    const { planned, store } = planner()
    const row = { atMs: 9_000_000_000_000_000, wish: WISH, actor: 'admin' }
    await store.put(`drain-at/${ALPHA.peerId}`, Buffer.from(JSON.stringify(row)), { ifRevision: 'any' })
    await planned.load()
    expect(new Date(planned.of(ALPHA.peerId)?.atMs ?? 0).toISOString()).toBe('9999-12-31T23:59:59.999Z')
  })
})
