import { expect, test } from 'vitest'
import { bench, peer, request } from './support.ts'

const HOUR = 3_600_000
const open = { expiresMs: HOUR, uses: 1, labels: {}, by: 'ada' }

test('an invite approves at once, adds its labels, and stands behind the approval in the audit log', async () => {
  const { registry, decisions } = await bench()
  const { id, secret, uses } = await registry.invites.create({ ...open, labels: { site: 'lab' } })
  const joiner = await peer()
  expect(uses).toBe(1)
  expect(await registry.join(joiner, request({ invite: secret }), '')).toMatchObject({ state: 'approved' })
  expect(registry.get(joiner)).toMatchObject({ labels: { country: 'se', site: 'lab' }, decidedBy: `invite ${id}` })
  expect(decisions.map(({ action }) => action)).toEqual(['invite.create', 'peer.approve'])
})

test('an invite for one is used once, however many ask with it at the same time, also after a restart', async () => {
  const { registry, reopened } = await bench()
  const { secret } = await registry.invites.create(open)
  const peers = await Promise.all(Array.from({ length: 5 }, peer))
  const attempts = peers.map((id, index) => registry.join(id, request({ name: `n${index}`, invite: secret }), ''))
  const outcomes = await Promise.allSettled(attempts)
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'FORBIDDEN' })
  }
  const again = (await reopened()).join(await peer(), request({ name: 'late', invite: secret }), '')
  await expect(again).rejects.toMatchObject({ code: 'FORBIDDEN' })
})

test('asking again with a spent invite spends nothing: the answer to the first time may have been lost', async () => {
  const { registry } = await bench()
  const { secret } = await registry.invites.create({ ...open, uses: 2 })
  const joiner = await peer()
  for (let times = 0; times < 3; times++) await registry.join(joiner, request({ invite: secret }), '')
  expect(registry.invites.list()).toMatchObject([{ uses: 2, usesLeft: 1 }])
})

test('an invite that failed for another reason keeps its uses', async () => {
  const { registry } = await bench()
  await registry.join(await peer(), request({ name: 'alpha' }), '')
  const { secret } = await registry.invites.create(open)
  const taken = registry.join(await peer(), request({ name: 'alpha', invite: secret }), '')
  await expect(taken).rejects.toMatchObject({ code: 'NAME_TAKEN' })
  expect(await registry.join(await peer(), request({ name: 'beta', invite: secret }), '')).toMatchObject({
    state: 'approved'
  })
})

test('an expired, withdrawn or invented invite admits nobody and leaves no request', async () => {
  const { registry, clock } = await bench()
  const expired = await registry.invites.create(open)
  clock.advance(HOUR)
  const withdrawn = await registry.invites.create(open)
  await registry.invites.remove(withdrawn.id, 'ada')
  for (const invite of [expired.secret, withdrawn.secret, 'x'.repeat(43)]) {
    await expect(registry.join(await peer(), request({ invite }), '')).rejects.toMatchObject({ code: 'FORBIDDEN' })
  }
  expect(registry.members()).toEqual([])
  expect(registry.invites.list()).toEqual([])
  await expect(registry.invites.remove(withdrawn.id, 'ada')).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

test('secrets are long, differ, and are not kept', async () => {
  const { registry, store } = await bench()
  const [one, two] = [await registry.invites.create(open), await registry.invites.create(open)]
  expect(Buffer.from(one.secret, 'base64url')).toHaveLength(32)
  expect(one.secret).not.toBe(two.secret)
  for await (const { value } of store.list('')) expect(Buffer.from(value).includes(one.secret)).toBe(false)
  expect(JSON.stringify(registry.invites.list())).not.toContain('hash')
})

test.each([
  { expiresMs: 0 },
  { expiresMs: Number.NaN },
  { expiresMs: 400 * 24 * HOUR },
  { uses: 0 },
  { uses: 1.5 },
  { uses: 1001 },
  { labels: { 'bad key': 'x' } }
])('an invite with %j is refused', async (bad) => {
  const { registry } = await bench()
  await expect(registry.invites.create({ ...open, ...bad })).rejects.toMatchObject({ code: 'BAD_REQUEST' })
})
