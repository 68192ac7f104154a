import { expect, test } from 'vitest'
import { type Signed, seal } from '../../../src/core/envelope.ts'
import type { UserId, WorkspaceId } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { type Receipt, receiptRecord, type SignedHead } from '../../../src/core/records.ts'
import { verifyCertificate } from '../../../src/handover/certificate.ts'
import { DrainDriver } from '../../../src/handover/drain-driver.ts'
import { receiptOf } from '../../../src/sync/receipt.ts'
import type { Order } from '../../../src/wire/control.ts'
import { COORDINATOR } from '../sync/support.ts'
import { type Bench, bench, FILES, type Name, peerOf, receiptFrom } from './fleet.ts'

const WISH = { deadlineMs: 60_000, to: null, toRepository: false }
const LATE = 'd'.repeat(32) as WorkspaceId

const proofOf = (head: SignedHead): Promise<Signed<Receipt>> =>
  seal(receiptRecord, receiptOf(head, { blocks: 1, bytes: 1 }, 'repository', COORDINATOR.peerId, 1), COORDINATOR)

function driverFor(at: Bench, name: Name, options: { proof?: typeof proofOf; before?: DrainDriver } = {}): DrainDriver {
  const { fleet, director, table, holdings, clock, repository } = at
  return new DrainDriver(
    {
      director,
      table,
      instances: {
        candidates: () => fleet.candidates().filter(({ peer }) => peer !== peerOf(name)),
        isGone: () => false,
        mayTakeOver: () => true,
        isConnected: (peer) => fleet.isConnected(peer),
        nameOf: (peer) => fleet.nameOf(peer),
        order: (peer, order) => fleet.order(peer, order)
      },
      holdings,
      repository: { head: (cid) => repository.head(cid), receiptFor: options.proof ?? proofOf },
      usedBytes: () => 1000,
      idle: async () => undefined,
      isBusy: () => false,
      identity: COORDINATOR,
      clock,
      log: silent
    },
    peerOf(name),
    () => undefined,
    options.before
  )
}

test('a workspace that comes to a draining instance at the last moment is handed over and proven like the others', async () => {
  const at = await bench(['a', 'b'])
  const workspace = await at.workspaceAt('a', ['b'])
  const lateComer = async (head: SignedHead): Promise<Signed<Receipt>> => {
    if (at.table.get(LATE) === null) {
      await at.table.create(LATE, { service: FILES, user: 'user:late' as UserId, home: peerOf('a'), createdAtMs: 1 })
      await at.publish(LATE)
      await at.director.resume(LATE)
    }
    return proofOf(head)
  }
  const report = await driverFor(at, 'a', { proof: lateComer }).run(WISH)
  expect(report.state).toBe('drained')
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
  const report = await driverFor(at, 'a').run(WISH)
  expect(at.home(workspace)).toBe('b')
  const verified = await verifyCertificate(report.certificate)
  expect(verified.problems).toEqual([])
  expect(verified.recipients.map(({ role }) => role)).toEqual(['repository'])
})

test('a drain that goes on where an earlier one was broken off proves what that one had handed over', async () => {
  const at = await bench(['a', 'b'])
  await at.workspaceAt('a', ['b'])
  const first = driverFor(at, 'a')
  await first.run(WISH)
  const report = await driverFor(at, 'a', { before: first }).run(WISH)
  expect(await verifyCertificate(report.certificate)).toMatchObject({ ok: true, heads: 1 })
})
