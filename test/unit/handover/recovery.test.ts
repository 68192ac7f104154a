import { describe, expect, test } from 'vitest'
import { seal } from '../../../src/core/envelope.ts'
import { codeOf, NodeDaemonError } from '../../../src/core/errors.ts'
import { createIdentity } from '../../../src/core/identity.ts'
import { headRecord, ownershipRecord, receiptRecord, sealRecord } from '../../../src/core/records.ts'
import { LEAP } from '../../../src/handover/recovery-settle.ts'
import { receiptOf } from '../../../src/sync/receipt.ts'
import { readClosure, snapshot } from '../store/support.ts'
import { COORDINATOR } from '../sync/support.ts'
import { identityOf, nameOf, peerOf, settled } from './fleet.ts'
import {
  admit,
  type Coordinator,
  coordinator,
  copyOfState,
  create,
  type Disk,
  Holder,
  newDisk,
  publish,
  swapTo,
  tell,
  W
} from './recovery-bench.ts'

const owned = ({ table }: Coordinator) => table.get(W)?.signed.value
const homeOf = (at: Coordinator): string => nameOf(owned(at)?.home)

/** a was the home when the backup was made; since then b is, and has published. c knows nothing. */
async function movedSinceBackup() {
  const disk = await newDisk()
  const [a, b, c] = [new Holder('a'), new Holder('b'), new Holder('c')]
  const before = await coordinator(disk, [])
  await admit(before, [a, b, c])
  await create(before, 'a', ['b'])
  tell(before, [a, b], await publish(before))
  const backup = await copyOfState(disk)
  await swapTo(before, 'b', ['a'])
  const newest = await publish(before)
  tell(before, [a, b], newest)
  return { a, b, c, disk, backup, newest, number: before.table.number }
}

/** The repository as it was at the first head. */
async function oldRepository(disk: Disk): Promise<Disk['repository']> {
  const { repository } = await newDisk()
  const [first] = (await disk.repository.history(W, { limit: 10 })).toReversed()
  if (first === undefined) throw new Error('no head')
  const blocks = []
  for await (const block of disk.repository.closure(first)) blocks.push(block)
  await repository.publish(first, blocks, () => undefined)
  return repository
}

const sealNow = (at: Coordinator) =>
  at.safe.seal(W, owned(at)?.epoch ?? 1, (tip) =>
    seal(sealRecord, { workspace: W, epoch: owned(at)?.epoch ?? 1, head: tip?.cid ?? null, sealedAtMs: 1 }, COORDINATOR)
  )

describe('an old state', () => {
  test('shows in what members hold; nothing is promoted before all of them have reported', async () => {
    const { a, b, c, disk, backup, newest, number } = await movedSinceBackup()
    const at = await coordinator({ state: backup, repository: (await newDisk()).repository }, [], disk.repository)
    expect(at.recovery.isOpen).toBe(false)
    expect(await at.recovery.met(a)).toBe(true)
    expect(await at.recovery.met(b)).toBe(true)
    expect(at.hold.reason).toContain('2 of 3 members have reported, awaited: c')
    expect(await sealNow(at).then(() => 'sealed', codeOf)).toBe('BUSY')
    expect([homeOf(at), at.ended]).toEqual(['a', []])
    await at.recovery.met(c)
    await settled()
    expect(homeOf(at)).toBe('b')
    expect(at.hold.reason).toBeNull()
    expect(at.ended[0]).toEqual([W])
    expect(owned(at)?.number).toBeGreaterThan(number + LEAP - 1)
    expect(at.table.get(W)?.formerHomes).toContain(peerOf('a'))
    expect(at.lost.get(W)?.equals(newest.cid)).toBe(true)
    expect(at.decisions.map(({ action }) => action)).toEqual(['recovery.begin', 'recovery.end'])
  })

  test('beside a newer repository is seen at the start, and ends above every epoch that was given out', async () => {
    const { a, b, c, disk, backup, newest } = await movedSinceBackup()
    const at = await coordinator({ state: backup, repository: disk.repository }, [])
    expect(at.recovery.view()).toMatchObject({ reported: [], awaited: ['a', 'b', 'c'] })
    for (const one of [a, b, c]) await at.recovery.met(one)
    await settled()
    expect(homeOf(at)).toBe('b')
    expect(owned(at)?.epoch).toBeGreaterThan(2 + LEAP - 1)
    expect(owned(at)?.base?.equals(newest.cid)).toBe(true)
    expect(await disk.repository.sealedEpoch(W)).toBe((owned(at)?.epoch ?? 0) - 1)
  })

  test('with an equally old repository: the newest head is fetched from whoever holds it, before anybody serves', async () => {
    const { a, b, c, disk, backup, newest } = await movedSinceBackup()
    const old = { state: backup, repository: await oldRepository(disk) }
    const at = await coordinator(old, [a, b, c], disk.repository)
    for (const one of [a, b, c]) await at.recovery.met(one)
    await settled()
    expect((await old.repository.tip(W))?.head.cid.equals(newest.cid)).toBe(true)
    expect(await readClosure(old.repository, W, newest.value.root)).toBeGreaterThan(1)
    expect(owned(at)?.base?.equals(newest.cid)).toBe(true)
    expect(at.lost.count).toBe(0)
  })

  test('is noticed by a head and its receipt alone, where no record has changed since the backup', async () => {
    const disk = await newDisk()
    const a = new Holder('a')
    const before = await coordinator(disk, [])
    await admit(before, [a])
    await create(before, 'a', [])
    await publish(before)
    const repository = await oldRepository(disk)
    const newest = await publish(before)
    tell(before, [a], newest)
    const held = a.held.get(W)
    if (held === undefined) throw new Error('a holds it')
    const receipt = receiptOf(newest, { blocks: 1, bytes: 1 }, 'repository', COORDINATOR.peerId, 1)
    a.held.set(W, { ...held, receipt: (await seal(receiptRecord, receipt, COORDINATOR)).bytes })
    const at = await coordinator({ state: disk.state, repository }, [a], disk.repository)
    expect(await at.recovery.met(a)).toBe(true)
    await settled()
    expect((await repository.tip(W))?.tip.sequence).toBe(2)
    expect(await at.recovery.met(a)).toBe(false)
  })

  test('asks no member whose version cannot report: it is awaited until it is upgraded', async () => {
    const { a, b, c, disk, backup } = await movedSinceBackup()
    const asked: string[] = []
    b.says = { revision: 0 }
    b.answers = async () => void asked.push('b')
    const closed = await coordinator({ state: backup, repository: (await newDisk()).repository }, [])
    expect([await closed.recovery.met(b), closed.recovery.isOpen]).toEqual([false, false])
    const at = await coordinator({ state: backup, repository: disk.repository }, [b])
    for (const one of [a, b, c]) expect(await at.recovery.met(one)).toBe(true)
    await settled()
    expect(at.hold.reason).toContain('2 of 3 members have reported, awaited: b (too old to report: upgrade it)')
    expect(asked).toEqual([])
    b.says = {}
    await at.recovery.met(b)
    await settled()
    expect([at.recovery.isOpen, homeOf(at)]).toEqual([false, 'b'])
  })

  test('goes on being recovered after a restart', async () => {
    const { a, b, c, disk, backup } = await movedSinceBackup()
    const first = await coordinator({ state: backup, repository: disk.repository }, [])
    await first.recovery.met(a)
    const at = await coordinator({ state: backup, repository: disk.repository }, [])
    expect(at.recovery.view()?.awaited).toEqual(['a', 'b', 'c'])
    for (const one of [a, b, c]) await at.recovery.met(one)
    await settled()
    expect([at.recovery.isOpen, homeOf(at)]).toEqual([false, 'b'])
    const after = await coordinator({ state: backup, repository: disk.repository }, [])
    expect([after.recovery.isOpen, after.recovery.last?.how, homeOf(after)]).toEqual([false, 'all', 'b'])
  })
})

describe('nothing rests on the word of an instance', () => {
  test('high numbers in a hello without a record that proves them change nothing', async () => {
    const disk = await newDisk()
    const a = new Holder('a')
    const at = await coordinator(disk, [a])
    await admit(at, [a])
    a.says = { ownershipNumber: 1e12, memberListNumber: 1e12 }
    expect(await at.recovery.met(a)).toBe(false)
    expect([at.recovery.isOpen, at.hold.reason, at.table.number]).toEqual([false, null, 0])
  })

  test('a head without a receipt opens no recovery: nothing but its own workspace waits for it', async () => {
    const disk = await newDisk()
    const [a, b] = [new Holder('a'), new Holder('b')]
    const at = await coordinator(disk, [])
    await admit(at, [a, b])
    await create(at, 'a', [])
    const head = await publish(at)
    const { root } = await snapshot({ 'a.txt': 'nobody has it' })
    for (const sequence of [1e9, 1e6]) {
      tell(at, [a], await seal(headRecord, { ...head.value, sequence, root, previous: head.cid }, identityOf('a')))
      expect([await at.recovery.met(a), at.recovery.isOpen, at.hold.reason]).toEqual([false, false, null])
    }
    expect([owned(at)?.epoch, at.table.number, at.lost.count]).toEqual([1, 2, 1])
    expect(await sealNow(at).then(() => 'sealed', codeOf)).toBe('OUT_OF_REACH')
    await at.registry.revoke(a.peer, 'it lies', 'admin')
    expect((await sealNow(at)).base?.cid.equals(head.cid)).toBe(true)
  })

  test('a receipt that the coordinator did not sign makes the whole report worth nothing', async () => {
    const disk = await newDisk()
    const a = new Holder('a')
    const at = await coordinator(disk, [])
    await admit(at, [a])
    await create(at, 'a', [])
    const head = await publish(at)
    const lie = await seal(headRecord, { ...head.value, sequence: 1e9, previous: head.cid }, identityOf('a'))
    tell(at, [a], lie)
    const held = a.held.get(W)
    if (held === undefined) throw new Error('a holds it')
    const receipt = receiptOf(lie, { blocks: 1, bytes: 1 }, 'repository', COORDINATOR.peerId, 1)
    a.held.set(W, { ...held, receipt: (await seal(receiptRecord, receipt, identityOf('a'))).bytes })
    expect([await at.recovery.met(a), at.recovery.isOpen, at.lost.count]).toEqual([false, false, 0])
  })

  test('a record that another key signed is refused with the whole report', async () => {
    const { a, b, disk, backup } = await movedSinceBackup()
    const held = b.held.get(W)
    if (held === undefined) throw new Error('b holds it')
    const forged = await seal(ownershipRecord, { ...held.ownership.value, number: 1e9 }, await createIdentity())
    b.held.set(W, { ...held, ownership: forged })
    const at = await coordinator({ state: backup, repository: disk.repository }, [])
    await at.recovery.met(a)
    expect(await at.recovery.met(b)).toBe(true)
    expect(at.recovery.view()).toMatchObject({ reported: ['a'], awaited: ['b', 'c'] })
  })

  test('a head by one that was not the home in its epoch counts for nothing', async () => {
    const { a, b, c, disk, backup, newest } = await movedSinceBackup()
    const held = a.held.get(W)
    if (held === undefined) throw new Error('a holds it')
    const lie = await seal(headRecord, { ...newest.value, sequence: 1e9, previous: newest.cid }, identityOf('a'))
    a.held.set(W, { ...held, head: lie })
    const old = { state: backup, repository: await oldRepository(disk) }
    const at = await coordinator(old, [a, b, c], disk.repository)
    for (const one of [a, b, c]) await at.recovery.met(one)
    await settled()
    expect((await old.repository.tip(W))?.head.cid.equals(newest.cid)).toBe(true)
  })
})

describe('an instance that does not report', () => {
  test('is asked again as long as it is connected, until it does', async () => {
    const { a, b, c, disk, backup } = await movedSinceBackup()
    const connected: Holder[] = []
    const at = await coordinator({ state: backup, repository: disk.repository }, connected)
    connected.push(a, b, c)
    let asked = 0
    b.answers = async () => {
      asked++
      if (asked < 3) throw new NodeDaemonError('TIMED_OUT', 'slow')
    }
    for (const one of connected) expect(await at.recovery.met(one)).toBe(true)
    expect(at.recovery.view()?.awaited).toEqual(['b'])
    at.clock.advance(1000)
    await settled()
    expect([asked, at.recovery.isOpen]).toEqual([2, true])
    at.clock.advance(2000)
    await settled()
    expect([asked, at.recovery.isOpen, homeOf(at)]).toEqual([3, false, 'b'])
  })

  test('is welcome all the same where no recovery waits for it; once it is away it is not asked any more', async () => {
    const { b, disk, backup } = await movedSinceBackup()
    const connected = [b]
    const at = await coordinator({ state: backup, repository: await oldRepository(disk) }, connected)
    b.answers = async () => {
      throw new NodeDaemonError('TIMED_OUT', 'slow')
    }
    expect([await at.recovery.met(b), at.recovery.isOpen]).toEqual([false, false])
    connected.pop()
    at.clock.advance(1000)
    await settled()
    expect(at.clock.waiting).toBe(0)
  })
})

describe('an admin who does not want to wait', () => {
  test('confirms; what comes later is kept as diverged, and its epochs lie below', async () => {
    const { a, b, c, disk, backup, newest } = await movedSinceBackup()
    const old = { state: backup, repository: await oldRepository(disk) }
    const connected = [c]
    a.held.clear()
    const at = await coordinator(old, connected, disk.repository, { members: null })
    await at.recovery.met(a)
    await at.recovery.met(c)
    await settled()
    expect(at.recovery.isOpen).toBe(true)
    expect(at.hold.confirm()).toEqual(['old-backup'])
    expect(at.hold.holds('old-backup')).toBe(true)
    await settled()
    expect([at.recovery.isOpen, at.hold.reason]).toEqual([false, null])
    expect(at.recovery.last).toMatchObject({ how: 'confirmed', missing: ['b'] })
    expect(homeOf(at)).toBe('a')
    expect(owned(at)?.epoch).toBeGreaterThan(LEAP)
    connected.push(b)
    expect(await at.recovery.met(b)).toBe(false)
    await settled()
    expect((await old.repository.diverged(W)).map(({ cid }) => cid.toString())).toEqual([newest.cid.toString()])
    expect((await old.repository.tip(W))?.tip.sequence).toBe(1)
  })
})

describe('a head that only an instance which is away holds', () => {
  const withLost = async () => {
    const { a, b, c, disk, backup, newest } = await movedSinceBackup()
    a.held.delete(W)
    const old = { state: backup, repository: await oldRepository(disk) }
    const connected = [a, c]
    const at = await coordinator(old, connected, disk.repository)
    for (const one of [a, b, c]) await at.recovery.met(one)
    await settled()
    return { at, b, c, connected, newest, old, disk }
  }

  test('keeps its workspace from being promoted from what is older', async () => {
    const { at, b, connected, newest } = await withLost()
    expect(at.recovery.isOpen).toBe(false)
    expect(at.lost.get(W)?.equals(newest.cid)).toBe(true)
    expect(await sealNow(at).then(() => 'sealed', codeOf)).toBe('OUT_OF_REACH')
    connected.push(b)
    expect((await sealNow(at)).base?.cid.equals(newest.cid)).toBe(true)
    expect(at.lost.count).toBe(0)
  })

  test('is told of once when it is fetched, however many instances connect meanwhile', async () => {
    const { at, b, c, connected } = await withLost()
    const told = at.ended.length
    connected.push(b)
    const met = await Promise.all([b, c, b, c, b, c, b, c].map((one) => at.recovery.met(one)))
    expect(met).not.toContain(true)
    await expect.poll(() => at.ended.length).toBe(told + 1)
    await settled()
    expect([at.lost.count, at.ended.slice(told)]).toEqual([0, [[]]])
  })

  test('is remembered over a restart', async () => {
    const { old, c, disk, newest } = await withLost()
    const again = await coordinator(old, [c], disk.repository)
    expect(again.lost.get(W)?.equals(newest.cid)).toBe(true)
  })

  test('is given up once it is no member any more, and the audit log says what is lost', async () => {
    const { at, b } = await withLost()
    await at.registry.revoke(b.peer, 'its disk is gone', 'admin')
    expect((await sealNow(at)).base?.sequence).toBe(1)
    expect(at.decisions.at(-1)).toMatchObject({ action: 'workspace.head-lost', target: W, details: { sequence: 2 } })
  })
})

describe('members', () => {
  test('one that joined after the backup proves it by its certificate; one that was revoked after it is revoked again', async () => {
    const disk = await newDisk()
    const [a, b, c] = [new Holder('a'), new Holder('b'), new Holder('c')]
    const before = await coordinator(disk, [])
    await admit(before, [a, b])
    const backup = await copyOfState(disk)
    await admit(before, [a, c])
    await before.registry.revoke(b.peer, 'stolen', 'admin')
    a.memberList = before.registry.memberList()
    const at = await coordinator({ state: backup, repository: disk.repository }, [])
    if (c.certificate === null) throw new Error('c has a certificate')
    await at.recovery.presented(c.peer, c.certificate)
    expect([at.registry.standing(c.peer), at.recovery.isOpen]).toEqual(['member', true])
    a.says = { memberListNumber: before.registry.memberListNumber }
    await at.recovery.met(a)
    expect(at.registry.get(b.peer)?.state).toBe('revoked')
    expect(at.registry.memberListNumber).toBeGreaterThan(before.registry.memberListNumber + LEAP - 1)
    expect(at.recovery.isOpen).toBe(true)
    await at.recovery.met(c)
    await settled()
    expect(at.recovery.isOpen).toBe(false)
  })

  test('a certificate of another peer, or of another coordinator, is refused; an old one makes nobody a member', async () => {
    const { a, b, disk, backup } = await movedSinceBackup()
    const at = await coordinator({ state: backup, repository: disk.repository }, [])
    if (a.certificate === null) throw new Error('a has a certificate')
    expect(await at.recovery.presented(b.peer, a.certificate).then(() => 'taken', codeOf)).toBe('BAD_SIGNATURE')
    await at.registry.revoke(a.peer, 'stolen', 'admin')
    await at.recovery.presented(a.peer, a.certificate)
    expect(at.registry.standing(a.peer)).toBe('stranger')
  })

  test('without any state: so many as the admin said are awaited, and everything comes from them', async () => {
    const { a, b, c, disk, newest } = await movedSinceBackup()
    const empty = await newDisk()
    const connected: Holder[] = []
    const at = await coordinator(empty, connected, disk.repository, { members: 3 })
    for (const one of [a, b, c]) {
      if (one.certificate === null) throw new Error('it has a certificate')
      await at.recovery.presented(one.peer, one.certificate)
    }
    connected.push(a, b)
    await at.recovery.met(a)
    await at.recovery.met(b)
    await settled()
    expect(at.recovery.isOpen).toBe(true)
    connected.push(c)
    await at.recovery.met(c)
    await settled()
    expect(at.recovery.isOpen).toBe(false)
    expect(
      at.registry
        .members()
        .map(({ name }) => name)
        .sort()
    ).toEqual(['a', 'b', 'c'])
    expect([homeOf(at), owned(at)?.owner]).toEqual(['b', 'user:ada'])
    expect((await empty.repository.tip(W))?.head.cid.equals(newest.cid)).toBe(true)
  })

  test('an empty state beside a repository with workspaces is no new federation; what nobody claims is told', async () => {
    const { disk, c } = await movedSinceBackup()
    const { state } = await newDisk()
    const at = await coordinator({ state, repository: disk.repository }, [])
    expect(at.hold.reason).toContain('knows none')
    if (c.certificate === null) throw new Error('c has a certificate')
    await at.recovery.presented(c.peer, c.certificate)
    at.hold.confirm()
    await settled()
    expect(at.recovery.last).toMatchObject({ unclaimed: 1, unclaimedIds: [W] })
  })
})
