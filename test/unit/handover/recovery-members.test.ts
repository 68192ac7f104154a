import { describe, expect, test } from 'vitest'
import { nameOf, settled } from './fleet.ts'
import {
  admit,
  type Coordinator,
  coordinator,
  copyOfState,
  create,
  Holder,
  newDisk,
  publish,
  swapTo,
  tell,
  W
} from './recovery-bench.ts'

const present = (at: Coordinator, { peer, certificate }: Holder): Promise<void> => {
  if (certificate === null) throw new Error('it has a certificate')
  return at.recovery.presented(peer, certificate)
}

const stateOf = (at: Coordinator, { peer }: Holder): string | undefined => at.registry.get(peer)?.state

describe('a coordinator that knows no members', () => {
  /** a was the home and was revoked; then b and c came, and b is the home. */
  const revokedHome = async () => {
    const disk = await newDisk()
    const [a, b, c] = [new Holder('a'), new Holder('b'), new Holder('c')]
    const before = await coordinator(disk, [])
    await admit(before, [a])
    await create(before, 'a', [])
    tell(before, [a], await publish(before))
    await before.registry.revoke(a.peer, 'stolen', 'admin')
    a.memberList = null
    await admit(before, [b, c])
    await swapTo(before, 'b', ['c'])
    tell(before, [b, c], await publish(before))
    return { a, b, c, at: await coordinator({ state: (await newDisk()).state, repository: disk.repository }, []) }
  }

  test('is not given members by one that was revoked: an admin says when all have reported', async () => {
    const { a, b, c, at } = await revokedHome()
    await present(at, a)
    await at.recovery.met(a)
    await settled()
    expect([at.recovery.isOpen, at.table.get(W)]).toEqual([true, null])
    expect(at.hold.reason).toContain('1 of 1 members have reported; whether there are other members an admin must say')
    for (const one of [b, c]) {
      await present(at, one)
      await at.recovery.met(one)
    }
    expect([a, b, c].map((one) => stateOf(at, one))).toEqual(['revoked', 'approved', 'approved'])
    at.hold.confirm()
    await settled()
    expect([at.recovery.isOpen, nameOf(at.table.get(W)?.signed.value.home)]).toEqual([false, 'b'])
  })

  test('asks an admin about who comes after the recovery with a certificate of the time that is forgotten', async () => {
    const { a, b, c, at } = await revokedHome()
    await present(at, b)
    await at.recovery.met(b)
    at.hold.confirm()
    await settled()
    await present(at, a)
    expect(at.registry.get(a.peer)).toBeNull()
    b.certificate = at.registry.standingOf(b.peer).certificate
    await at.registry.revoke(b.peer, 'stolen', 'admin')
    await present(at, b)
    expect([stateOf(at, b), stateOf(at, c)]).toEqual(['revoked', 'approved'])
  })

  test('and has learned of one member with an old list only: another that joined later is pending, with the reason', async () => {
    const disk = await newDisk()
    const [a, b] = [new Holder('a'), new Holder('b')]
    const before = await coordinator(disk, [])
    await admit(before, [a])
    await admit(before, [b])
    await create(before, 'b', [])
    await publish(before)
    const { state } = await newDisk()
    const at = await coordinator({ state, repository: disk.repository }, [])
    await present(at, a)
    await at.recovery.met(a)
    at.hold.confirm()
    await settled()
    for (const each of [at, await coordinator({ state, repository: disk.repository }, [])]) {
      await present(each, b)
      expect(each.registry.get(b.peer)).toMatchObject({ state: 'pending', name: 'b', decidedBy: null })
      expect(each.registry.get(b.peer)?.reason).toContain('forgotten')
      expect(each.registry.standing(b.peer)).toBe('stranger')
    }
    await at.registry.approve(b.peer, { by: 'admin' })
    expect(at.registry.get(b.peer)).toMatchObject({ state: 'approved', reason: '' })
  })

  test('keeps who joined after the list that another member reports', async () => {
    const disk = await newDisk()
    const [a, b] = [new Holder('a'), new Holder('b')]
    const before = await coordinator(disk, [])
    await admit(before, [a])
    await admit(before, [b])
    const { state } = await newDisk()
    const first = await coordinator({ state, repository: disk.repository }, [], disk.repository, { members: 2 })
    await present(first, b)
    const at = await coordinator({ state, repository: disk.repository }, [])
    await present(at, a)
    await at.recovery.met(a)
    expect([a, b].map((one) => stateOf(at, one))).toEqual(['approved', 'approved'])
  })
})

test('what an admin decides during a recovery outlives the list that a member reports, also over a restart', async () => {
  const disk = await newDisk()
  const [a, b, c, d] = [new Holder('a'), new Holder('b'), new Holder('c'), new Holder('d')]
  const before = await coordinator(disk, [])
  await admit(before, [a, b, c])
  const backup = { state: await copyOfState(disk), repository: disk.repository }
  await before.registry.revoke(c.peer, 'gone', 'admin')
  for (const name of ['a1', 'a2', 'a3']) await before.registry.approve(a.peer, { by: 'admin', name })
  a.memberList = before.registry.memberList()
  const first = await coordinator(backup, [], disk.repository, { members: null })
  await first.registry.revoke(b.peer, 'stolen', 'admin')
  await admit(first, [d])
  const at = await coordinator(backup, [])
  await at.recovery.met(a)
  expect([a, b, c, d].map((one) => stateOf(at, one))).toEqual(['approved', 'revoked', 'revoked', 'approved'])
})
