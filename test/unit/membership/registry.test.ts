import { expect, test } from 'vitest'
import { open } from '../../../src/core/envelope.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { pairingCode } from '../../../src/core/identity.ts'
import type { PeerIdText } from '../../../src/core/ids.ts'
import { certificateRecord, type MemberList, memberListRecord } from '../../../src/core/records.ts'
import { type MemberRegistry, PENDING_MAX } from '../../../src/membership/registry.ts'
import { bench, peer, request } from './support.ts'

async function listOf(registry: MemberRegistry, coordinator: PeerIdText): Promise<MemberList> {
  return (await open(memberListRecord, registry.memberList(), coordinator)).value
}

async function approvedPeer(registry: MemberRegistry, name = 'alpha'): Promise<PeerIdText> {
  const id = await peer()
  await registry.join(id, request({ name }), '')
  await registry.approve(id, { by: 'ada' })
  return id
}

test('a stranger asks, is approved, and gets a certificate and a member list that the coordinator signed', async () => {
  const { registry, identity } = await bench()
  const id = await peer()
  const before = await listOf(registry, identity.peerId)
  expect(registry.standingOf(id).state).toBe('unknown')
  expect(await registry.join(id, request(), '/ip4/192.0.2.7/tcp/1')).toMatchObject({ state: 'pending', name: 'alpha' })
  expect(registry.standing(id)).toBe('stranger')
  expect(registry.standingOf(id).memberList).toHaveLength(0)
  expect(registry.get(id)).toMatchObject({
    code: pairingCode(id, identity.peerId),
    address: '/ip4/192.0.2.7/tcp/1',
    decidedAt: null
  })

  await registry.approve(id, { by: 'ada' })
  const { certificate, memberList, state } = registry.standingOf(id)
  expect(state).toBe('approved')
  expect(registry.standing(id)).toBe('member')
  const signed = await open(certificateRecord, certificate, identity.peerId)
  expect(signed.value).toMatchObject({ peer: id, federation: identity.peerId, name: 'alpha' })
  const list = (await open(memberListRecord, memberList, identity.peerId)).value
  expect(list.number).toBe(before.number + 1)
  expect(list.members).toEqual([{ peer: id, name: 'alpha', state: 'approved', role: 'instance' }])
})

test('two joins with one key are one request, also at the same time, and the newest texts stand', async () => {
  const { registry, clock } = await bench()
  const id = await peer()
  const askedAt = clock.wall()
  await Promise.all([registry.join(id, request(), ''), registry.join(id, request({ message: 'newer' }), '')])
  expect(registry.members().map(({ message }) => message)).toEqual(['newer'])
  clock.advance(1000)
  await registry.join(id, request({ message: 'newest' }), '')
  expect(registry.get(id)).toMatchObject({ message: 'newest', askedAt })
})

test('a request keeps its role, so that an admin approves what they read', async () => {
  const { registry, decisions } = await bench()
  const id = await peer()
  await registry.join(id, request(), '')
  await expect(registry.join(id, request({ role: 'front-door' }), '')).rejects.toMatchObject({ code: 'CONFLICT' })
  expect(await registry.approve(id, { by: 'ada' })).toMatchObject({ role: 'instance', state: 'approved' })
  expect(decisions).toMatchObject([{ action: 'peer.approve', details: { role: 'instance' } }])
})

test('who was decided about is told so, whatever it asks again', async () => {
  const { registry } = await bench()
  const [approved, denied, revoked] = [
    await approvedPeer(registry, 'a'),
    await peer(),
    await approvedPeer(registry, 'r')
  ]
  await registry.join(denied, request({ name: 'd' }), '')
  await registry.deny(denied, 'unknown to us', 'ada')
  await registry.revoke(revoked, 'was broken into', 'ada')
  const { secret } = await registry.invites.create({ expiresMs: 3_600_000, uses: 5, labels: {}, by: 'ada' })
  const again = request({ name: 'other', invite: secret })
  expect(await registry.join(approved, again, '')).toMatchObject({ state: 'approved', name: 'a' })
  expect(await registry.join(denied, again, '')).toMatchObject({ state: 'denied', reason: 'unknown to us' })
  expect(await registry.join(revoked, again, '')).toMatchObject({ state: 'revoked', reason: 'was broken into' })
  expect(registry.invites.list()[0]?.usesLeft).toBe(5)
  await registry.approve(denied, { by: 'ada' })
  expect(registry.standing(denied)).toBe('member')
})

test('a name that another one holds is refused with advice, in whatever case, until that one is gone', async () => {
  const { registry } = await bench()
  const [first, second] = [await peer(), await peer()]
  await registry.join(first, request({ name: 'Alpha' }), '')
  const taken = registry.join(second, request({ name: 'alpha' }), '')
  await expect(taken).rejects.toMatchObject({ code: 'NAME_TAKEN', advice: 'choose another with --name' })
  await registry.deny(first, '', 'ada')
  expect(await registry.join(second, request({ name: 'alpha' }), '')).toMatchObject({ state: 'pending' })
  await expect(registry.approve(first, { by: 'ada' })).rejects.toMatchObject({ code: 'NAME_TAKEN' })
  await registry.approve(first, { by: 'ada', name: 'beta' })
  expect(registry.standingOf(first).name).toBe('beta')
})

test.each(['', ' ', 'a\u0000b', 'naïve', '12D3KooWsomebody', 'x'.repeat(64)])('%j is no name', async (name) => {
  const { registry } = await bench()
  await expect(registry.join(await peer(), request({ name }), '')).rejects.toMatchObject({ code: 'BAD_REQUEST' })
})

test('an approval with another code is refused and changes nothing; the right one may be typed loosely', async () => {
  const { registry } = await bench()
  const id = await peer()
  await registry.join(id, request(), '')
  const wrong = registry.approve(id, { code: 'tiger-lamp-river-stone-92', by: 'ada' })
  await expect(wrong).rejects.toMatchObject({ code: 'REFUSED_BY_POLICY' })
  expect(registry.standing(id)).toBe('stranger')
  const code = registry.get(id)?.code ?? ''
  await registry.approve(id, { code: ` ${code.toUpperCase().replaceAll('-', ' ')} `, by: 'ada' })
  expect(registry.standing(id)).toBe('member')
})

test('every change of who is a member raises the number of the list by one, and other changes do not', async () => {
  const { registry, identity } = await bench()
  const [id, other] = [await peer(), await peer()]
  const steps: [string, () => Promise<unknown>, number, string[]][] = [
    ['join', () => registry.join(id, request(), ''), 0, []],
    ['approve', () => registry.approve(id, { by: 'ada' }), 1, ['alpha']],
    ['approve again', () => registry.approve(id, { by: 'ada' }), 0, ['alpha']],
    ['rename', () => registry.approve(id, { by: 'ada', name: 'beta' }), 1, ['beta']],
    ['label', () => registry.label(id, { disk: 'fast' }, 'ada'), 0, ['beta']],
    ['another one asks', () => registry.join(other, request({ name: 'other' }), ''), 0, ['beta']],
    ['deny', () => registry.deny(other, '', 'ada'), 0, ['beta']],
    ['revoke', () => registry.revoke(id, '', 'ada'), 1, []],
    ['revoke again', () => registry.revoke(id, '', 'ada'), 0, []],
    ['approve after revoking', () => registry.approve(id, { by: 'ada' }), 1, ['beta']],
    ['resign', () => registry.resign(id), 1, []],
    ['resign again', () => registry.resign(id), 0, []]
  ]
  let number = registry.memberListNumber
  for (const [what, step, rise, names] of steps) {
    await step()
    number += rise
    const list = await listOf(registry, identity.peerId)
    expect([what, list.number, list.members.map(({ name }) => name)]).toEqual([what, number, names])
  }
})

test('arrows that do not exist are refused', async () => {
  const { registry } = await bench()
  const [pending, member, gone] = [await peer(), await approvedPeer(registry, 'm'), await approvedPeer(registry, 'g')]
  await registry.join(pending, request({ name: 'p' }), '')
  await registry.resign(gone)
  const refused = { code: 'ILLEGAL_TRANSITION' }
  await expect(registry.deny(member, '', 'ada')).rejects.toMatchObject(refused)
  await expect(registry.revoke(pending, '', 'ada')).rejects.toMatchObject(refused)
  await expect(registry.approve(gone, { by: 'ada' })).rejects.toMatchObject(refused)
  await expect(registry.resign(pending)).rejects.toMatchObject({ code: 'NOT_A_MEMBER' })
  await expect(registry.approve(await peer(), { by: 'ada' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect(await registry.join(gone, request({ name: 'g' }), '')).toMatchObject({ state: 'pending' })
})

test('everything is there after a restart, byte for byte, and the number goes on', async () => {
  const { registry, reopened } = await bench()
  const id = await approvedPeer(registry)
  await registry.label(id, { disk: 'fast', country: null }, 'ada')
  await registry.join(await peer(), request({ name: 'waiting' }), '')
  const { secret } = await registry.invites.create({ expiresMs: 3_600_000, uses: 2, labels: {}, by: 'ada' })
  const again = await reopened()
  expect(again.members()).toEqual(registry.members())
  expect(again.get(id)?.labels).toEqual({ disk: 'fast' })
  expect(again.memberListNumber).toBe(registry.memberListNumber)
  expect(Buffer.compare(again.memberList(), registry.memberList())).toBe(0)
  expect(await again.join(await peer(), request({ name: 'invited', invite: secret }), '')).toMatchObject({
    state: 'approved'
  })
})

test('what could not be made durable is not seen, and was not decided', async () => {
  const { registry, store, reopened } = await bench()
  const id = await peer()
  await registry.join(id, request(), '')
  const number = registry.memberListNumber
  const seen: unknown[] = []
  registry.onChange((change) => seen.push(change))
  const transact = store.transact
  store.transact = async () => {
    throw new NodeDaemonError('NO_SPACE', 'the disk is full')
  }
  await expect(registry.approve(id, { by: 'ada' })).rejects.toMatchObject({ code: 'NO_SPACE' })
  expect([registry.standing(id), registry.memberListNumber, seen]).toEqual(['stranger', number, []])
  store.transact = transact
  expect((await reopened()).standing(id)).toBe('stranger')
  await registry.approve(id, { by: 'ada' })
  expect(registry.memberListNumber).toBe(number + 1)
})

test('a decision that the audit log does not take is not made', async () => {
  const failing = async (): Promise<void> => {
    throw new NodeDaemonError('NO_SPACE', 'the disk is full')
  }
  const { registry } = await bench({ audit: failing })
  const id = await peer()
  await registry.join(id, request(), '')
  await expect(registry.approve(id, { by: 'ada' })).rejects.toMatchObject({ code: 'NO_SPACE' })
  await expect(registry.deny(id, '', 'ada')).rejects.toMatchObject({ code: 'NO_SPACE' })
  expect(registry.get(id)?.state).toBe('pending')
})

test('a second coordinator on the same state gives out no number twice', async () => {
  const { registry, reopened } = await bench()
  const id = await peer()
  await registry.join(id, request(), '')
  const second = await reopened()
  await second.approve(id, { by: 'ada' })
  await expect(registry.approve(id, { by: 'eve' })).rejects.toMatchObject({ code: 'CONFLICT' })
})

test('decisions stand in the audit log with who made them', async () => {
  const { registry, decisions } = await bench()
  const id = await approvedPeer(registry)
  await registry.revoke(id, 'lost its key', 'bob')
  expect(decisions).toMatchObject([
    { actor: 'ada', action: 'peer.approve', target: id },
    { actor: 'bob', action: 'peer.revoke', target: id, details: { reason: 'lost its key' } }
  ])
})

test('a peer is found by name, by PeerId, and by a start that only it has', async () => {
  const { registry } = await bench()
  const [a, b] = [await approvedPeer(registry, 'one'), await approvedPeer(registry, 'two')]
  expect([registry.resolve('ONE'), registry.resolve(b), registry.resolve(a.slice(0, 30))]).toEqual([a, b, a])
  expect(() => registry.resolve('12D3KooW')).toThrow(expect.objectContaining({ code: 'AMBIGUOUS' }))
  for (const text of ['three', '']) {
    expect(() => registry.resolve(text)).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }))
  }
  await registry.revoke(a, '', 'ada')
  const c = await approvedPeer(registry, 'one')
  expect(registry.resolve('one')).toBe(c)
})

test('waiting ends with the decision, with the time, or with the signal, and not with news of others', async () => {
  const { registry, clock } = await bench()
  const [id, other] = [await peer(), await peer()]
  await registry.join(id, request({ name: 'a' }), '')
  await registry.join(other, request({ name: 'b' }), '')
  const ends: string[] = []
  const decided = registry.wait(id, 8000).then(() => ends.push('decided'))
  const late = registry.wait(other, 8000).then(() => ends.push('late'))
  await registry.approve(id, { by: 'ada' })
  await decided
  expect(ends).toEqual(['decided'])
  clock.advance(8000)
  await late
  expect(clock.waiting).toBe(0)
  const controller = new AbortController()
  const cancelled = registry.wait(other, 8000, controller.signal)
  controller.abort()
  await expect(cancelled).rejects.toMatchObject({ code: 'ABORTED' })
  await registry.wait(id, 8000)
  expect(clock.waiting).toBe(0)
})

test('listeners hear of every change, and one that fails keeps nobody from hearing', async () => {
  const { registry } = await bench()
  const seen: string[] = []
  registry.onChange(() => {
    throw new Error('broken')
  })
  const stop = registry.onChange(({ member, before }) => seen.push(`${before?.state ?? 'none'} → ${member.state}`))
  const id = await approvedPeer(registry)
  await registry.resign(id)
  stop()
  await registry.join(id, request(), '')
  expect(seen).toEqual(['none → pending', 'pending → approved', 'approved → left'])
})

test('the queue of requests is bounded, drops nobody, and lets those in it ask again', async () => {
  const { registry } = await bench()
  const ids = Array.from({ length: PENDING_MAX }, (_, index) => `queue${index}`.padEnd(46, 'x') as PeerIdText)
  for (const [index, id] of ids.entries()) await registry.join(id, request({ name: `n${index}` }), '')
  const late = await peer()
  await expect(registry.join(late, request({ name: 'late' }), '')).rejects.toMatchObject({ code: 'BUSY' })
  expect(await registry.join(ids[0] ?? late, request({ name: 'n0', message: 'me' }), '')).toMatchObject({
    state: 'pending'
  })
  expect(registry.members()).toHaveLength(PENDING_MAX)
  const { secret } = await registry.invites.create({ expiresMs: 3_600_000, uses: 1, labels: {}, by: 'ada' })
  const invited = await registry.join(late, request({ name: 'late', invite: secret }), '')
  expect(invited.state).toBe('approved')
})
