import { expect, test } from 'vitest'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { AuditLog } from '../../../src/membership/audit.ts'
import { type ControlStore, controlStore } from '../../../src/store/control-store.ts'
import { manualClock } from '../../tools/clock.ts'

const ANY = { ifRevision: 'any' } as const
const key = (number: number): string => `audit/${String(number).padStart(12, '0')}`

async function logOf(
  count: number
): Promise<{ store: ControlStore; log: AuditLog; reopened: () => Promise<AuditLog> }> {
  const store = controlStore(memoryKeyValue())
  const clock = manualClock()
  const log = await AuditLog.open({ store, clock })
  for (let number = 1; number <= count; number++) {
    await log.append({ actor: 'ada', action: 'peer.approve', target: `peer ${number}`, details: { number } })
  }
  return { store, log, reopened: () => AuditLog.open({ store, clock }) }
}

async function textOf(store: ControlStore, number: number): Promise<string> {
  return Buffer.from((await store.get(key(number)))?.value ?? []).toString('utf8')
}

test('decisions stand in their order with who, what, whom and when, and the chain is whole', async () => {
  const { log, reopened } = await logOf(3)
  expect(await log.list({ limit: 2 })).toMatchObject([
    { number: 3, actor: 'ada', action: 'peer.approve', target: 'peer 3', details: { number: 3 } },
    { number: 2 }
  ])
  expect((await log.list({ limit: 1 }))[0]?.at).toBeGreaterThan(0)
  expect(await log.verify()).toEqual({ ok: true, entries: 3, brokenAt: null })
  const again = await reopened()
  await again.append({ actor: 'bob', action: 'peer.deny', target: 'peer 4', details: {} })
  expect(await again.verify()).toEqual({ ok: true, entries: 4, brokenAt: null })
})

test('decisions at the same time all stand, one after the other', async () => {
  const { log } = await logOf(0)
  expect(await log.verify()).toEqual({ ok: true, entries: 0, brokenAt: null })
  const decision = { actor: 'ada', action: 'x', target: '', details: {} }
  await Promise.all(Array.from({ length: 20 }, () => log.append(decision)))
  expect(await log.verify()).toEqual({ ok: true, entries: 20, brokenAt: null })
})

const CHANGES: [string, number, (store: ControlStore) => Promise<unknown>][] = [
  [
    'an edited entry',
    3,
    async (store) => store.put(key(2), Buffer.from((await textOf(store, 2)).replace('ada', 'eve')), ANY)
  ],
  ['a deleted entry', 2, (store) => store.remove(key(2), ANY)],
  ['a cut end', 5, (store) => store.remove(key(5), ANY)],
  [
    'two entries in the other order',
    2,
    async (store) => {
      const [two, three] = [await textOf(store, 2), await textOf(store, 3)]
      await store.put(key(2), Buffer.from(three), ANY)
      await store.put(key(3), Buffer.from(two), ANY)
    }
  ],
  ['bytes that are no entry', 4, (store) => store.put(key(4), Buffer.from('not json'), ANY)],
  [
    'an edited last entry',
    5,
    async (store) => store.put(key(5), Buffer.from((await textOf(store, 5)).replace('ada', 'eve')), ANY)
  ]
]

test.each(CHANGES)('%s is found, before a restart, after it, and after more decisions', async (_, brokenAt, tamper) => {
  const { store, log, reopened } = await logOf(5)
  await tamper(store)
  expect(await log.verify()).toEqual({ ok: false, entries: 5, brokenAt })
  const again = await reopened()
  expect(await again.verify()).toEqual({ ok: false, entries: 5, brokenAt })
  await again.append({ actor: 'ada', action: 'later', target: '', details: {} })
  const verdict = await again.verify()
  expect(verdict.ok).toBe(false)
})

test('a head that is removed while the log is open is found', async () => {
  const { store, log } = await logOf(5)
  await store.remove('audit-head', ANY)
  expect(await log.verify()).toMatchObject({ ok: false })
})

test('a head that is set back behind entries that are there is found', async () => {
  const { store, reopened } = await logOf(3)
  const head = await store.get('audit-head')
  await (await reopened()).append({ actor: 'ada', action: 'later', target: '', details: {} })
  await store.put('audit-head', head?.value ?? new Uint8Array(), ANY)
  expect(await (await reopened()).verify()).toMatchObject({ ok: false, entries: 4 })
})

test('a removed head is found for ever', async () => {
  const { store, reopened } = await logOf(5)
  await store.remove('audit-head', ANY)
  await store.remove(key(5), ANY)
  const again = await reopened()
  expect((await again.verify()).ok).toBe(false)
  await again.append({ actor: 'ada', action: 'later', target: '', details: {} })
  expect((await again.verify()).ok).toBe(false)
  expect((await (await reopened()).verify()).ok).toBe(false)
})

test('a whole forged log does not contain the head that somebody kept', async () => {
  const honest = await logOf(5)
  const kept = honest.log.head
  expect(await honest.log.verify([kept])).toMatchObject({ ok: true })
  await honest.log.append({ actor: 'ada', action: 'later', target: '', details: {} })
  expect(await honest.log.verify([kept])).toMatchObject({ ok: true })
  const short = await logOf(4)
  expect(await short.log.verify()).toMatchObject({ ok: true })
  expect(await short.log.verify([kept])).toMatchObject({ ok: false, brokenAt: 5 })
  const forged = await logOf(4)
  await forged.log.append({ actor: 'eve', action: 'peer.approve', target: 'eve', details: {} })
  expect(await forged.log.verify([kept])).toMatchObject({ ok: false, brokenAt: 5 })
})

test('details are bounded, and texts from outside stay on one line', async () => {
  const { log } = await logOf(0)
  const big = log.append({ actor: 'ada', action: 'x', target: '', details: { text: 'x'.repeat(20_000) } })
  await expect(big).rejects.toMatchObject({ code: 'TOO_LARGE' })
  await log.append({ actor: 'a\nb', action: 'x', target: 'y'.repeat(1000), details: {} })
  const [entry] = await log.list({ limit: 10 })
  expect([entry?.actor, entry?.target.length]).toEqual(['a b', 200])
})
