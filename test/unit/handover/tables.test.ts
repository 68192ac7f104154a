import { describe, expect, test } from 'vitest'
import { seal } from '../../../src/core/envelope.ts'
import { codeOf } from '../../../src/core/errors.ts'
import { createIdentity } from '../../../src/core/identity.ts'
import type { PeerIdText, ServiceName, UserId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { headRecord, type Receipt, receiptRecord, type SignedHead } from '../../../src/core/records.ts'
import { Standstill } from '../../../src/core/standstill.ts'
import { endsOf, FailureDetector } from '../../../src/handover/failure-detector.ts'
import { Holdings } from '../../../src/handover/holdings.ts'
import { OwnershipTable } from '../../../src/handover/ownership-table.ts'
import { grantorUntil, holderUntil } from '../../../src/membership/lease.ts'
import { controlStore } from '../../../src/store/control-store.ts'
import { receiptOf } from '../../../src/sync/receipt.ts'
import { manualClock } from '../../tools/clock.ts'
import { snapshot, workspace } from '../store/support.ts'
import { ALPHA, BETA, COORDINATOR } from '../sync/support.ts'

const FILES = 'files' as ServiceName
const ADA = 'user:ada' as UserId
const A = workspace('a')
const B = workspace('b')
const { root } = await snapshot({ 'a.txt': 'a' })

const what = (home: PeerIdText, owner = ADA) => ({ service: FILES, owner, home, createdAtMs: 1 })

describe('the table of ownership', () => {
  const opened = async () => {
    const values = memoryKeyValue()
    const open = () => OwnershipTable.open(controlStore(values), COORDINATOR)
    return { table: await open(), reopened: open, values }
  }

  test('begins a workspace with epoch 1, no base, no standbys, signed', async () => {
    const { table } = await opened()
    const { signed } = await table.create(A, what(ALPHA.peerId))
    expect(signed.signer).toBe(COORDINATOR.peerId)
    expect(signed.value).toMatchObject({
      workspace: A,
      epoch: 1,
      base: null,
      home: ALPHA.peerId,
      standbys: [],
      number: 1
    })
    expect(table.find(FILES, ADA)).toBe(A)
    expect(table.find('photos' as ServiceName, ADA)).toBeNull()
  })

  test('gives a user the workspace that is there already, also when two ask at once', async () => {
    const { table } = await opened()
    const [first, second] = await Promise.all([table.create(A, what(ALPHA.peerId)), table.create(B, what(BETA.peerId))])
    expect(second.signed.value.workspace).toBe(first.signed.value.workspace)
    expect(table.size).toBe(1)
    expect(table.get(B)).toBeNull()
  })

  test('remembers over a restart what was removed and who may hold it, until nobody does', async () => {
    const { table, reopened } = await opened()
    await table.create(A, what(ALPHA.peerId))
    await table.setStandbys(A, 1, [BETA.peerId])
    const { signed, holders } = await table.remove(A)
    expect(signed.value).toMatchObject({ home: null, standbys: [], epoch: 2, number: 3, removed: true })
    expect(new Set(holders)).toEqual(new Set([ALPHA.peerId, BETA.peerId]))
    await expect(table.remove(A)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    const again = await reopened()
    expect([again.get(A), again.find(FILES, ADA), again.size]).toEqual([null, null, 0])
    expect(again.removed(A)).toEqual({ signed: expect.objectContaining({ value: signed.value }), holders })
    await again.setHolders(A, [BETA.peerId])
    expect((await reopened()).removed(A)?.holders).toEqual([BETA.peerId])
    expect((await again.create(B, what(ALPHA.peerId))).signed.value.number).toBe(4)
    await again.setHolders(A, [])
    expect((await reopened()).allRemoved()).toEqual([])
  })

  test('swaps only from the epoch that was expected: of two at once, one wins', async () => {
    const { table } = await opened()
    await table.create(A, what(ALPHA.peerId))
    const next = (home: PeerIdText) => table.swap(A, 1, { home, standbys: [], base: root })
    const outcomes = await Promise.all([
      next(BETA.peerId).then(() => 'swapped', codeOf),
      next(COORDINATOR.peerId).then(() => 'swapped', codeOf)
    ])
    expect(outcomes).toEqual(['swapped', 'CONFLICT'])
    expect(table.get(A)?.signed.value).toMatchObject({ epoch: 2, home: BETA.peerId })
    expect(await table.setStandbys(A, 1, []).then(() => 'changed', codeOf)).toBe('CONFLICT')
    expect(await table.swap(B, 1, { home: null, standbys: [], base: null }).then(() => 'swapped', codeOf)).toBe(
      'NOT_FOUND'
    )
  })

  test('numbers rise with every record, over all workspaces and over a restart', async () => {
    const { table, reopened } = await opened()
    await table.create(A, what(ALPHA.peerId))
    await table.create(B, what(ALPHA.peerId, 'user:bob' as UserId))
    await table.setStandbys(A, 1, [BETA.peerId])
    const again = await reopened()
    const { signed } = await again.swap(A, 1, { home: BETA.peerId, standbys: [ALPHA.peerId], base: root })
    expect(again.get(B)?.signed.value.number).toBe(2)
    expect(signed.value.number).toBe(4)
  })

  test('remembers everything over a restart', async () => {
    const { table, reopened } = await opened()
    await table.create(A, what(ALPHA.peerId))
    await table.swap(A, 1, { home: BETA.peerId, standbys: [COORDINATOR.peerId], base: root })
    const again = await reopened()
    expect(String(again.get(A)?.signed.cid)).toBe(String(table.get(A)?.signed.cid))
    expect(again.get(A)).toMatchObject({ createdAtMs: 1, formerHomes: [ALPHA.peerId] })
    expect(again.find(FILES, ADA)).toBe(A)
    expect(again.homesOf(BETA.peerId)).toHaveLength(1)
    expect(again.homesOf(ALPHA.peerId)).toHaveLength(0)
    expect(again.standbysOf(COORDINATOR.peerId)).toHaveLength(1)
    expect(await again.swap(A, 2, { home: null, standbys: [], base: root }).then(() => 'swapped', codeOf)).toBe(
      'swapped'
    )
  })

  test('gives a workspace to another owner in the same epoch, who has none yet, and remembers that', async () => {
    const { table, reopened } = await opened()
    const [guest, bob] = [`guest:${'c'.repeat(32)}` as UserId, 'user:bob' as UserId]
    await table.create(A, what(ALPHA.peerId, guest))
    await table.create(B, what(ALPHA.peerId, bob))
    expect(await table.setOwner(A, 1, bob).then(() => 'given', codeOf)).toBe('CONFLICT')
    expect(await table.setOwner(A, 2, ADA).then(() => 'given', codeOf)).toBe('CONFLICT')
    expect(table.find(FILES, guest)).toBe(A)
    const { signed } = await table.setOwner(A, 1, ADA)
    expect(signed.value).toMatchObject({ owner: ADA, epoch: 1, home: ALPHA.peerId, number: 3 })
    for (const at of [table, await reopened()]) {
      expect([at.find(FILES, ADA), at.find(FILES, guest), at.find(FILES, bob)]).toEqual([A, null, B])
    }
    // The guest may begin anew; that does not touch what was given away.
    await table.create(workspace('d'), what(ALPHA.peerId, guest))
    await table.setStandbys(A, 1, [BETA.peerId])
    expect([table.find(FILES, ADA), table.find(FILES, guest)]).toEqual([A, workspace('d')])
  })

  test('of two workspaces that are given to one owner at once, one is', async () => {
    const { table } = await opened()
    await table.create(A, what(ALPHA.peerId, `guest:${'c'.repeat(32)}` as UserId))
    await table.create(B, what(ALPHA.peerId, `guest:${'d'.repeat(32)}` as UserId))
    const outcomes = await Promise.all([A, B].map((one) => table.setOwner(one, 1, ADA).then(() => 'given', codeOf)))
    expect(outcomes).toEqual(['given', 'CONFLICT'])
  })

  test('refuses what another coordinator signed, and what was changed', async () => {
    const { table, values } = await opened()
    await table.create(A, what(ALPHA.peerId))
    const other = await createIdentity()
    expect(await OwnershipTable.open(controlStore(values), other).then(() => 'opened', codeOf)).toBe('BAD_SIGNATURE')
  })

  test('remembers the last sixteen former homes, each once', async () => {
    const { table } = await opened()
    const peers = await Promise.all(Array.from({ length: 20 }, async () => (await createIdentity()).peerId))
    const [first = ALPHA.peerId, ...others] = peers
    await table.create(A, what(first))
    let epoch = 1
    for (const home of [...others, first, ALPHA.peerId]) {
      await table.swap(A, epoch++, { home, standbys: [], base: null })
    }
    const former = table.get(A)?.formerHomes ?? []
    expect(former).toHaveLength(16)
    expect(new Set(former).size).toBe(16)
    expect(former.at(-1)).toBe(first)
  })
})

describe('the failure detector', () => {
  const options = { failoverAfterMs: 2000, restartGraceMs: 120_000, leaseMs: 10_000, backMs: 8000 }
  const never = { endedAt: Number.NEGATIVE_INFINITY }
  const watching = (clock = manualClock(), standstill: Pick<Standstill, 'endedAt'> = never) => {
    const [dead, leaseOver]: [PeerIdText[], PeerIdText[]] = [[], []]
    const detector = new FailureDetector({ clock, standstill }, options, {
      dead: (peer) => void dead.push(peer),
      leaseOver: (peer) => void leaseOver.push(peer)
    })
    const last = { heardAt: clock.now(), intent: null, leaseGrantedAt: clock.now() }
    return { clock, dead, leaseOver, detector, last }
  }

  test('takes an instance for dead once its time is over, counted from its last word', () => {
    const { clock, dead, detector, last } = watching()
    clock.advance(1500)
    detector.lost(ALPHA.peerId, last)
    clock.advance(499)
    expect(dead).toEqual([])
    clock.advance(1)
    expect(dead).toEqual([ALPHA.peerId])
    expect(detector.isDead(ALPHA.peerId)).toBe(true)
  })

  test('forgets an instance that comes back in time, and counts anew when it goes again', () => {
    const { clock, dead, detector, last } = watching()
    detector.lost(ALPHA.peerId, last)
    clock.advance(1999)
    detector.connected(ALPHA.peerId)
    clock.advance(10_000)
    expect([dead, clock.waiting]).toEqual([[], 0])
    detector.lost(ALPHA.peerId, { ...last, heardAt: clock.now() })
    clock.advance(2000)
    expect(dead).toEqual([ALPHA.peerId])
    detector.connected(ALPHA.peerId)
    expect(detector.isDead(ALPHA.peerId)).toBe(false)
  })

  test('gives one that said it comes back its grace, and takes over at once from one that said it leaves', () => {
    const { clock, dead, detector, last } = watching()
    detector.lost(ALPHA.peerId, { ...last, intent: 'restart' })
    clock.advance(119_999)
    expect(dead).toEqual([])
    clock.advance(1)
    detector.lost(BETA.peerId, { heardAt: clock.now(), intent: 'leave', leaseGrantedAt: clock.now() })
    clock.advance(0)
    expect(dead).toEqual([ALPHA.peerId, BETA.peerId])
  })

  test('knows when also its lease is over: later than any holder, whatever the instance said', () => {
    for (const intent of [null, 'flush', 'leave'] as const) {
      const { leaseOverAt } = endsOf({ heardAt: 1000, intent, leaseGrantedAt: 900 }, options)
      expect(leaseOverAt).toBe(grantorUntil(900, 10_000))
      // A holder whose clock runs 1 % slow, seen on a clock that runs 1 % fast.
      expect((leaseOverAt - 900) / 1.01).toBeGreaterThanOrEqual(holderUntil(0, 10_000) / 0.99)
    }
    const early = endsOf({ heardAt: 100_000, intent: null, leaseGrantedAt: 900 }, options)
    expect([early.deadAt, early.leaseOverAt]).toEqual([102_000, 102_000])
  })

  test('tells death first and the end of the lease once, unless the instance comes back in between', () => {
    const { clock, dead, leaseOver, detector, last } = watching()
    detector.lost(ALPHA.peerId, last)
    detector.lost(BETA.peerId, last)
    clock.advance(2000)
    expect([dead, leaseOver]).toEqual([[ALPHA.peerId, BETA.peerId], []])
    expect(detector.isLeaseOver(ALPHA.peerId)).toBe(false)
    clock.advance(7999)
    detector.connected(BETA.peerId)
    clock.advance(100_000)
    expect([dead, leaseOver]).toEqual([[ALPHA.peerId, BETA.peerId], [ALPHA.peerId]])
    expect([detector.isLeaseOver(ALPHA.peerId), detector.isLeaseOver(BETA.peerId)]).toEqual([true, false])
    detector.connected(ALPHA.peerId)
    expect([detector.isLeaseOver(ALPHA.peerId), clock.waiting]).toEqual([false, 0])
  })

  test('lets all come back after a start of the coordinator, and nothing runs on after its end', () => {
    const { clock, dead, leaseOver, detector } = watching()
    detector.awaited(ALPHA.peerId, 5000)
    clock.advance(4999)
    expect(dead).toEqual([])
    clock.advance(1)
    expect([dead, leaseOver]).toEqual([[ALPHA.peerId], []])
    clock.advance(5300)
    expect(leaseOver).toEqual([ALPHA.peerId])
    detector.awaited(BETA.peerId, 30_000)
    detector.close()
    expect(clock.waiting).toBe(0)
  })

  test('lets those come back that were away, or go, while the coordinator itself stood still', () => {
    const clock = manualClock()
    using standstill = new Standstill(clock)
    const { dead, detector, last } = watching(clock, standstill)
    const leaving = 'leaving' as PeerIdText
    detector.lost(ALPHA.peerId, last)
    detector.lost(leaving, { ...last, intent: 'restart' })
    clock.standStill(150_000)
    detector.lost(BETA.peerId, last)
    expect(dead).toEqual([])
    clock.advance(7999)
    expect(dead).toEqual([])
    detector.connected(ALPHA.peerId)
    clock.advance(1)
    expect(dead.sort()).toEqual([BETA.peerId, leaving].sort())

    detector.lost(ALPHA.peerId, { ...last, heardAt: clock.now() })
    clock.advance(2000)
    expect(detector.isDead(ALPHA.peerId)).toBe(true)
  })

  test('one that leaves for good needs no time to come back', () => {
    const clock = manualClock()
    using standstill = new Standstill(clock)
    const { dead, detector, last } = watching(clock, standstill)
    clock.standStill(5000)
    detector.lost(ALPHA.peerId, { ...last, intent: 'leave' })
    clock.advance(0)
    expect(dead).toEqual([ALPHA.peerId])
  })
})

describe('holdings', () => {
  const headAt = (sequence: number): Promise<SignedHead> =>
    seal(
      headRecord,
      { workspace: A, epoch: 1, sequence, root, previous: null, createdAtMs: 1, files: 1, bytes: 1, unsettled: [] },
      ALPHA
    )
  const receipt = (head: SignedHead) =>
    seal<Receipt>(receiptRecord, receiptOf(head, { blocks: 1, bytes: 1 }, 'instance', BETA.peerId, 1), BETA)

  test('know the newest head that each peer proved, and a receipt for exactly that one', async () => {
    const holdings = new Holdings()
    const [first, second] = [await headAt(1), await headAt(2)]
    expect(holdings.sequence(A, BETA.peerId)).toBe(0)
    holdings.note(await receipt(second))
    holdings.note(await receipt(first))
    expect(holdings.sequence(A, BETA.peerId)).toBe(2)
    expect(holdings.receipt(A, BETA.peerId, second.cid)?.value.sequence).toBe(2)
    expect(holdings.receipt(A, BETA.peerId, first.cid)).toBeNull()
    expect(holdings.sequence(B, BETA.peerId)).toBe(0)
    expect(holdings.of(A)).toHaveLength(1)
    holdings.forget(A, BETA.peerId)
    expect([holdings.sequence(A, BETA.peerId), holdings.of(A)]).toEqual([0, []])
  })

  test('wake who waits for a receipt of that workspace, or end by the signal', async () => {
    const holdings = new Holdings()
    const controller = new AbortController()
    const here = holdings.changed(A, new AbortController().signal)
    const elsewhere = holdings.changed(B, controller.signal).then(
      () => 'woken',
      () => 'ended'
    )
    holdings.note(await receipt(await headAt(1)))
    await here
    controller.abort()
    expect(await elsewhere).toBe('ended')
    expect(
      await holdings.changed(A, controller.signal).then(
        () => 'woken',
        () => 'ended'
      )
    ).toBe('ended')
  })
})
