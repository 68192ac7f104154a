import { expect, test } from 'vitest'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { DrainLedger, type Proof } from '../../../src/handover/drain-ledger.ts'
import { controlStore } from '../../../src/store/control-store.ts'
import { COORDINATOR } from '../sync/support.ts'
import { proofOf } from './drain-bench.ts'
import { bench, peerOf, receiptFrom } from './fleet.ts'

const other = 'e'.repeat(32) as WorkspaceId

async function proven(): Promise<{ workspace: WorkspaceId; proof: Proof }> {
  const at = await bench(['a', 'b'])
  const workspace = await at.workspaceAt('a', ['b'])
  const head = await at.publish(workspace)
  const receipts = [await receiptFrom('b', head), await proofOf(head)]
  return { workspace, proof: { head, receipts, recipient: peerOf('b') } }
}

test('what was taken and proven is there after a restart, each instance for itself', async () => {
  const { workspace, proof } = await proven()
  const store = controlStore(memoryKeyValue())
  const ledger = new DrainLedger(store, peerOf('a'))
  await ledger.take([workspace, other])
  await ledger.prove(workspace, proof)
  await new DrainLedger(store, peerOf('b')).take([other])
  const loaded = await DrainLedger.load(store)
  expect([...loaded.keys()].sort()).toEqual([peerOf('a'), peerOf('b')].sort())
  const again = loaded.get(peerOf('a'))
  expect([...(again?.taken ?? [])].sort()).toEqual([workspace, other].sort())
  expect([again?.isProven(workspace), again?.isProven(other)]).toEqual([true, false])
  const [found] = again?.proofs() ?? []
  expect(found?.head.cid.toString()).toBe(proof.head.cid.toString())
  expect(found?.receipts.map(({ signer }) => signer)).toEqual([peerOf('b'), COORDINATOR.peerId])
  expect(found?.recipient).toBe(peerOf('b'))
})

test('a workspace without anything written is proven by that, and one that is taken again is to be proven again', async () => {
  const { workspace, proof } = await proven()
  const store = controlStore(memoryKeyValue())
  const ledger = new DrainLedger(store, peerOf('a'))
  await ledger.take([workspace, other])
  await ledger.prove(other, null)
  await ledger.prove(workspace, proof)
  expect([ledger.isProven(other), ledger.proofs().length]).toEqual([true, 1])
  await ledger.take([workspace])
  const again = (await DrainLedger.load(store)).get(peerOf('a'))
  for (const one of [ledger, again]) expect([one?.isProven(workspace), one?.isProven(other)]).toEqual([false, true])
})

test('an instance that serves again has nothing to prove', async () => {
  const { workspace, proof } = await proven()
  const store = controlStore(memoryKeyValue())
  const ledger = new DrainLedger(store, peerOf('a'))
  await ledger.take([workspace])
  await ledger.prove(workspace, proof)
  await ledger.clear()
  expect([ledger.taken.size, ledger.proofs()]).toEqual([0, []])
  expect((await DrainLedger.load(store)).size).toBe(0)
})
