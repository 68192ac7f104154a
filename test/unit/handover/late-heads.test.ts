import type { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import { seal } from '../../../src/core/envelope.ts'
import { silent } from '../../../src/core/log.ts'
import { headRecord, type SignedHead } from '../../../src/core/records.ts'
import type { MemberReport } from '../../../src/handover/ask-report.ts'
import { LateHeads } from '../../../src/handover/late-heads.ts'
import { snapshot } from '../store/support.ts'
import { identityOf, type Name, peerOf } from './fleet.ts'
import { coordinator, create, newDisk, publish, swapTo, W } from './recovery-bench.ts'

/** a was the home, b is; c is a standby. Instances give what lies in `held`. */
async function moved(limits: { heads: number; bytes: number } = { heads: 10, bytes: 1e9 }) {
  const at = await coordinator(await newDisk(), [])
  const held = (await newDisk()).repository
  await create(at, 'a', ['c'])
  const published = await publish(at)
  await swapTo(at, 'b', ['c'])
  const { repository, table, lost, clock } = at
  const late = new LateHeads(
    {
      repository,
      table,
      lost,
      clock,
      log: silent,
      signal: new AbortController().signal,
      isConnected: () => true,
      open: async () => ({
        missing: async () => [],
        put: async () => undefined,
        close: async () => undefined,
        want: async (cids: readonly CID[]) => {
          const found = await Promise.all(cids.map(async (cid) => ({ cid, bytes: await held.read(W, cid) })))
          return found.flatMap(({ cid, bytes }) => (bytes === null ? [] : [{ cid, bytes }]))
        }
      })
    },
    limits
  )
  /** A report of `name` about a head that `signer` made in the first epoch, and nobody published. */
  const report = async (name: Name, signer: Name, sequence: number) => {
    const { root, blocks } = await snapshot({ 'a.txt': `unpublished ${sequence} ${'x'.repeat(2000)}` })
    const head = await seal(
      headRecord,
      { ...published.value, sequence, root, previous: published.cid },
      identityOf(signer)
    )
    await held.keepDiverged(head, blocks)
    const ownership = table.get(W)?.signed
    if (ownership === undefined) throw new Error('no workspace')
    const told: MemberReport = {
      peer: peerOf(name),
      memberList: null,
      workspaces: [{ ownership, head, isProven: false, role: 'kept' }]
    }
    return { told, head }
  }
  const diverged = async (): Promise<string[]> => (await repository.diverged(W)).map(({ cid }) => cid.toString()).sort()
  return { late, report, diverged, clock }
}

const ids = (...heads: SignedHead[]): string[] => heads.map(({ cid }) => cid.toString()).sort()

test('a head that a former home signed is kept as diverged, whoever holds it', async () => {
  const { late, report, diverged } = await moved()
  const { told, head } = await report('c', 'a', 100)
  await late.keep(told)
  expect(await diverged()).toEqual(ids(head))
})

test('a head that a member signed which never was the home is not kept', async () => {
  const { late, report, diverged } = await moved()
  await late.keep((await report('c', 'c', 100)).told)
  expect(await diverged()).toEqual([])
})

test('of one member so many heads are kept in a day, and more on the next one', async () => {
  const { late, report, diverged, clock } = await moved({ heads: 1, bytes: 1e9 })
  const [one, two] = [await report('a', 'a', 100), await report('a', 'a', 101)]
  await late.keep(one.told)
  await late.keep(two.told)
  expect(await diverged()).toEqual(ids(one.head))
  clock.advance(25 * 3_600_000)
  await late.keep(two.told)
  expect(await diverged()).toEqual(ids(one.head, two.head))
})

test('of one member so many bytes are kept in a day', async () => {
  const { late, report, diverged } = await moved({ heads: 10, bytes: 1000 })
  await late.keep((await report('a', 'a', 100)).told)
  expect(await diverged()).toEqual([])
})
