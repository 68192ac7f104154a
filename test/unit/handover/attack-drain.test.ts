import { expect, test } from 'vitest'
import type { Signed } from '../../../src/core/envelope.ts'
import type { UserId, WorkspaceId } from '../../../src/core/ids.ts'
import type { Receipt, SignedHead } from '../../../src/core/records.ts'
import { verifyCertificate } from '../../../src/handover/certificate.ts'
import type { Order } from '../../../src/wire/control.ts'
import { draining, proofOf, WISH } from './drain-bench.ts'
import { bench, FILES, peerOf, receiptFrom } from './fleet.ts'

const LATE = 'd'.repeat(32) as WorkspaceId

test('a workspace that comes to a draining instance at the last moment is handed over and proven like the others', async () => {
  const at = await bench(['a', 'b'])
  const workspace = await at.workspaceAt('a', ['b'])
  const lateComer = async (head: SignedHead): Promise<Signed<Receipt>> => {
    if (at.table.get(LATE) === null) {
      await at.table.create(LATE, { service: FILES, owner: 'user:late' as UserId, home: peerOf('a'), createdAtMs: 1 })
      await at.publish(LATE)
      await at.director.resume(LATE)
    }
    return proofOf(head)
  }
  const { driver, until } = draining(at, 'a', { proof: lateComer })
  void driver.run(WISH)
  const report = await until(({ state }) => state === 'drained')
  expect([at.home(workspace), at.home(LATE)]).toEqual(['b', 'b'])
  expect(await verifyCertificate(report.certificate)).toMatchObject({ ok: true, heads: 2 })
})

test('a target that signs for something else does not spoil the proof: the repository is the recipient then', async () => {
  const at = await bench(['a', 'b'])
  const workspace = await at.workspaceAt('a', ['b'])
  const older = await at.repository.tip(workspace)
  const newest = await at.publish(workspace)
  at.holdings.note(await receiptFrom('b', newest))
  const honest = at.fleet.order.bind(at.fleet)
  at.fleet.order = async (peer, order: Order) => {
    const answer = await honest(peer, order)
    if (order.kind !== 'assume' || older === null) return answer
    return (await receiptFrom('b', older.head)).bytes
  }
  const report = await draining(at, 'a').driver.run(WISH)
  expect(at.home(workspace)).toBe('b')
  const verified = await verifyCertificate(report.certificate)
  expect(verified.problems).toEqual([])
  expect(verified.recipients.map(({ role }) => role)).toEqual(['repository'])
})

test('a drain that goes on where an earlier one was broken off proves what that one had handed over', async () => {
  const at = await bench(['a', 'b'])
  await at.workspaceAt('a', ['b'])
  const first = draining(at, 'a')
  await first.driver.run(WISH)
  const report = await draining(at, 'a', { ledger: first.ledger }).driver.run(WISH)
  expect(await verifyCertificate(report.certificate)).toMatchObject({ ok: true, heads: 1 })
})
