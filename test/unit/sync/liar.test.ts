import { expect, test } from 'vitest'
import { type Block, blockOf, RAW_CODEC } from '../../../src/core/blocks.ts'
import { type Signed, seal } from '../../../src/core/envelope.ts'
import { createIdentity, type Identity } from '../../../src/core/identity.ts'
import { type Receipt, receiptRecord, type SignedHead } from '../../../src/core/records.ts'
import { receiptOf } from '../../../src/sync/receipt.ts'
import { BLOCKS_PROTOCOL, blocksReply } from '../../../src/wire/blocks.ts'
import { HEADS_PROTOCOL, headsReply, headsRequest } from '../../../src/wire/heads.ts'
import { HOME, headOf, hostOf, member, onExchange, outcome } from './members.ts'
import { COORDINATOR } from './support.ts'

test.each<[string, (asked: Block) => Block, string]>([
  ['wrong bytes under the right name', ({ cid }) => ({ cid, bytes: Buffer.from('wrong') }), 'INTEGRITY'],
  ['a block that was not asked for', () => blockOf(RAW_CODEC, Buffer.from('other')), 'PROTOCOL_VIOLATION']
])('a repository that sends %s is not believed', async (_, lie, code) => {
  const host = await hostOf(COORDINATOR, true)
  const asked = blockOf(RAW_CODEC, Buffer.from('right'))
  await host.handle(HEADS_PROTOCOL, async (channel) => void (await channel.receive()))
  await host.handle(BLOCKS_PROTOCOL, async (channel) => {
    await channel.receive()
    await channel.send(blocksReply.encode({ kind: 'opened' }))
    await channel.receive()
    await channel.send(blocksReply.encode({ kind: 'blocks', blocks: [lie(asked)] }))
    await channel.send(blocksReply.encode({ kind: 'blocks', blocks: [] }))
    await channel.receive()
  })
  const one = await member({ host, access: new Map() }, HOME)
  expect(await onExchange(one, (exchange) => exchange.want([asked.cid]))).toBe(code)
})

test.each<[string, (head: SignedHead, by: Identity) => Promise<Signed<Receipt>>]>([
  ['for another head', (head) => receiptOfRepository(head, COORDINATOR, { head: head.value.root })],
  ['of an instance', (head) => receiptOfRepository(head, COORDINATOR, { role: 'instance' })],
  ['that somebody else signed', (head, by) => receiptOfRepository(head, by, {})]
])('a receipt %s acknowledges nothing', async (_, make) => {
  const host = await hostOf(COORDINATOR, true)
  const stranger = await createIdentity()
  const one: { head?: SignedHead } = {}
  await host.handle(HEADS_PROTOCOL, async (channel) => {
    const frame = await channel.receive()
    if (frame === null || one.head === undefined) return
    const { id } = headsRequest.decode(frame)
    const receipt = await make(one.head, stranger)
    await channel.send(headsReply.encode({ id, kind: 'receipt', receipt: receipt.bytes }))
    await channel.receive()
  })
  const home = await member({ host, access: new Map() }, HOME)
  const { head, blocks } = await headOf(home.identity, { 'a.txt': 'a' })
  one.head = head
  expect(await outcome(home.remote.publish(head, blocks))).toBe('BAD_SIGNATURE')
})

function receiptOfRepository(head: SignedHead, by: Identity, changes: Partial<Receipt>): Promise<Signed<Receipt>> {
  const receipt = receiptOf(head, { blocks: 1, bytes: 1 }, 'repository', COORDINATOR.peerId, 1)
  return seal(receiptRecord, { ...receipt, ...changes }, by)
}
