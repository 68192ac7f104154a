import { expect, test } from 'vitest'
import { blockOf, RAW_CODEC } from '../../../src/core/blocks.ts'
import { seal } from '../../../src/core/envelope.ts'
import { createIdentity, type Identity } from '../../../src/core/identity.ts'
import { type Receipt, receiptRecord } from '../../../src/core/records.ts'
import type { Access } from '../../../src/sync/access.ts'
import { receiptOf } from '../../../src/sync/receipt.ts'
import { BLOCKS_PROTOCOL, blocksReply, blocksRequest } from '../../../src/wire/blocks.ts'
import { HEADS_PROTOCOL, headsReply, headsRequest } from '../../../src/wire/heads.ts'
import { FORMER, federation, HOME, headOf, member, onExchange, outcome, STANDBY } from './members.ts'
import { COORDINATOR, homeOf, OTHER, until, WORKSPACE } from './support.ts'

test('a home publishes and gets a verified receipt; a standby is told, fetches, and proves what it holds', async () => {
  const at = await federation()
  const home = await member(at, HOME)
  const standby = await member(at, STANDBY)
  at.ownership.set(WORKSPACE, homeOf(home.identity))
  expect(await standby.remote.follow(WORKSPACE)).toBeNull()
  const { head, blocks } = await headOf(home.identity, { 'a.txt': 'hello' })
  const receipt = await home.remote.publish(head, blocks)
  expect(receipt.signer).toBe(COORDINATOR.peerId)
  expect(receipt.value).toMatchObject({ sequence: 1, role: 'repository', blocks: blocks.length })
  await until(() => standby.heads.length === 1)
  expect(standby.heads[0]?.cid.equals(head.cid)).toBe(true)
  expect((await standby.remote.tip(WORKSPACE))?.cid.equals(head.cid)).toBe(true)

  const exchange = await standby.remote.blocks(WORKSPACE)
  const found = await exchange.want(blocks.map(({ cid }) => cid))
  expect(found.map(({ cid }) => String(cid))).toEqual(blocks.map(({ cid }) => String(cid)))
  await exchange.close()
  const own = receiptOf(head, { blocks: 1, bytes: 1 }, 'instance', standby.identity.peerId, 1)
  await standby.remote.holding(await seal(receiptRecord, own, standby.identity))
  expect(at.held.map(({ signer }) => signer)).toEqual([standby.identity.peerId])
})

test('blocks may go before their head, in any number, and are counted as held only once they are', async () => {
  const at = await federation()
  const home = await member(at, HOME)
  at.ownership.set(WORKSPACE, homeOf(home.identity))
  const files = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`${index}`, `file ${index}`.repeat(2000)]))
  const { head, blocks } = await headOf(home.identity, files)
  expect(await outcome(home.remote.publish(head, []))).toBe('INCOMPLETE')
  const exchange = await home.remote.blocks(WORKSPACE)
  const cids = blocks.map(({ cid }) => cid)
  expect(await exchange.missing(cids)).toHaveLength(blocks.length)
  await exchange.put(blocks.slice(1), 'bulk')
  expect((await exchange.missing(cids)).map(String)).toEqual([String(cids[0])])
  await exchange.close()
  const refused = await home.remote.publish(head, []).catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'INCOMPLETE', data: { missing: [expect.anything()] } })
  await home.remote.publish(head, blocks.slice(0, 1))
  expect((await at.repository.tip(WORKSPACE))?.tip.sequence).toBe(1)
})

test.each<[string, Access, Record<string, string>]>([
  [
    'a stranger to the workspace',
    null,
    {
      have: 'FORBIDDEN',
      put: 'FORBIDDEN',
      want: 'FORBIDDEN',
      tip: 'FORBIDDEN',
      follow: 'FORBIDDEN',
      publish: 'NOT_HOME',
      diverged: 'FORBIDDEN',
      holding: 'FORBIDDEN'
    }
  ],
  [
    'a standby',
    STANDBY,
    {
      have: 'done',
      put: 'FORBIDDEN',
      want: 'done',
      tip: 'done',
      follow: 'done',
      publish: 'NOT_HOME',
      diverged: 'FORBIDDEN',
      holding: 'done'
    }
  ],
  [
    'a former home',
    FORMER,
    {
      have: 'done',
      put: 'done',
      want: 'FORBIDDEN',
      tip: 'FORBIDDEN',
      follow: 'FORBIDDEN',
      publish: 'NOT_HOME',
      diverged: 'done',
      holding: 'FORBIDDEN'
    }
  ],
  [
    'the home',
    HOME,
    {
      have: 'done',
      put: 'done',
      want: 'done',
      tip: 'done',
      follow: 'done',
      publish: 'done',
      diverged: 'done',
      holding: 'done'
    }
  ]
])('what is open to %s', async (_, access, expected) => {
  const at = await federation()
  const home = await member(at, HOME)
  at.ownership.set(WORKSPACE, homeOf(home.identity))
  const first = await headOf(home.identity, { 'a.txt': 'first' })
  await home.remote.publish(first.head, first.blocks)
  const one = access === HOME ? home : await member(at, access)
  const next = await headOf(one.identity, { 'a.txt': 'next' }, first.head)
  const late = await headOf(one.identity, { 'a.txt': 'late' })
  const more = blockOf(RAW_CODEC, Buffer.from('more'))
  const receipt = receiptOf(first.head, { blocks: 1, bytes: 1 }, 'instance', one.identity.peerId, 1)
  const held = await seal(receiptRecord, receipt, one.identity)
  expect({
    have: await onExchange(one, (exchange) => exchange.missing([first.head.value.root])),
    put: await onExchange(one, (exchange) => exchange.put([more], 'small')),
    want: await onExchange(one, (exchange) => exchange.want([first.head.value.root])),
    tip: await outcome(one.remote.tip(WORKSPACE)),
    follow: await outcome(one.remote.follow(WORKSPACE)),
    publish: await outcome(one.remote.publish(next.head, next.blocks)),
    diverged: await outcome(one.remote.publishDiverged(late.head, late.blocks)),
    holding: await outcome(one.remote.holding(held))
  }).toEqual(expected)
  const last = expected.publish === 'done' ? next.head : first.head
  expect((await at.repository.tip(WORKSPACE))?.tip.cid.equals(last.cid)).toBe(true)
  expect((await at.repository.missing(WORKSPACE, [more.cid])).length).toBe(expected.put === 'done' ? 0 : 1)
})

test('a name alone opens nothing: the blocks of another workspace are not given, and not taken as held', async () => {
  const at = await federation()
  const home = await member(at, HOME)
  const secret = blockOf(RAW_CODEC, Buffer.from('of another user'))
  await at.repository.keep(OTHER, [secret])
  await at.repository.flush()
  const exchange = await home.remote.blocks(WORKSPACE)
  expect(await exchange.want([secret.cid])).toEqual([])
  expect((await exchange.missing([secret.cid])).map(String)).toEqual([String(secret.cid)])
  await exchange.close()
  expect(await outcome(home.remote.blocks(OTHER))).toBe('FORBIDDEN')
})

test('what was refused leaves no block behind', async () => {
  const at = await federation()
  const home = await member(at, HOME)
  const other = await member(at, STANDBY)
  at.ownership.set(WORKSPACE, homeOf(home.identity))
  const { head, blocks } = await headOf(other.identity, { 'a.txt': 'not to be kept' })
  expect(await outcome(other.remote.publish(head, blocks))).toBe('NOT_HOME')
  expect(await outcome(other.remote.publishDiverged(head, blocks))).toBe('FORBIDDEN')
  expect((await at.repository.stats()).blocks).toBe(0)
})

test('a head that another one signed is refused, also from the home itself', async () => {
  const at = await federation()
  const home = await member(at, HOME)
  at.ownership.set(WORKSPACE, homeOf(home.identity))
  const { head, blocks } = await headOf(await createIdentity(), { 'a.txt': 'a' })
  expect(await outcome(home.remote.publish(head, blocks))).toBe('BAD_SIGNATURE')
})

test('a receipt is taken from its own recipient only', async () => {
  const at = await federation()
  const home = await member(at, HOME)
  at.ownership.set(WORKSPACE, homeOf(home.identity))
  const { head, blocks } = await headOf(home.identity, { 'a.txt': 'a' })
  await home.remote.publish(head, blocks)
  const someone = await createIdentity()
  const counts = { blocks: 1, bytes: 1 }
  const claims: [Identity, Receipt][] = [
    [someone, receiptOf(head, counts, 'instance', someone.peerId, 1)],
    [home.identity, receiptOf(head, counts, 'instance', someone.peerId, 1)],
    [home.identity, receiptOf(head, counts, 'repository', home.identity.peerId, 1)]
  ]
  for (const [signer, receipt] of claims) {
    expect(await outcome(home.remote.holding(await seal(receiptRecord, receipt, signer)))).toBe('BAD_SIGNATURE')
  }
  expect(at.held).toEqual([])
})

test('bytes that are not what their name says are refused, and nothing of the message is kept', async () => {
  const at = await federation()
  const home = await member(at, HOME)
  at.ownership.set(WORKSPACE, homeOf(home.identity))
  const good = blockOf(RAW_CODEC, Buffer.from('good'))
  const bad = { cid: blockOf(RAW_CODEC, Buffer.from('bad')).cid, bytes: Buffer.from('wrong') }
  const code = await onExchange(home, (exchange) => exchange.put([good, bad], 'small'))
  expect(code).toBe('INTEGRITY')
  expect(await at.repository.missing(WORKSPACE, [good.cid])).toHaveLength(1)
})

test('a right that was lost ends a stream that is open, and what it is told', async () => {
  const at = await federation()
  const home = await member(at, HOME)
  const standby = await member(at, STANDBY)
  at.ownership.set(WORKSPACE, homeOf(home.identity))
  await standby.remote.follow(WORKSPACE)
  const { head, blocks } = await headOf(home.identity, { 'a.txt': 'a' })
  await home.remote.publish(head, blocks)
  await until(() => standby.heads.length === 1)
  const exchange = await standby.remote.blocks(WORKSPACE)
  at.access.set(standby.identity.peerId, null)
  expect(await outcome(exchange.want([head.value.root]))).toBe('FORBIDDEN')
  const next = await headOf(home.identity, { 'a.txt': 'b' }, head)
  await home.remote.publish(next.head, next.blocks)
  expect(await outcome(standby.remote.tip(WORKSPACE))).toBe('FORBIDDEN')
  expect(standby.heads).toHaveLength(1)
})

test('a follower that unfollowed is told nothing more, and no home is told its own heads', async () => {
  const at = await federation()
  const home = await member(at, HOME)
  const standby = await member(at, STANDBY)
  at.ownership.set(WORKSPACE, homeOf(home.identity))
  await home.remote.follow(WORKSPACE)
  await standby.remote.follow(WORKSPACE)
  await standby.remote.unfollow(WORKSPACE)
  const { head, blocks } = await headOf(home.identity, { 'a.txt': 'a' })
  await home.remote.publish(head, blocks)
  await Promise.all([home.remote.tip(WORKSPACE), standby.remote.tip(WORKSPACE)])
  expect([home.heads, standby.heads]).toEqual([[], []])
})

test('everything that waits for an answer is told when the connection breaks', async () => {
  const at = await federation()
  const home = await member(at, HOME)
  at.ownership.set(WORKSPACE, homeOf(home.identity))
  await home.remote.tip(WORKSPACE)
  at.host.cut(home.identity.peerId, 'the test says so')
  await home.link.closed
  expect(['CLOSED', 'OUT_OF_REACH']).toContain(await outcome(home.remote.tip(WORKSPACE)))
  expect(['CLOSED', 'OUT_OF_REACH']).toContain(await outcome(home.remote.blocks(WORKSPACE)))
})

test('a blocks stream begins with its workspace and stays with it', async () => {
  const at = await federation()
  const home = await member(at, HOME)
  const speak = async (...frames: Uint8Array[]): Promise<unknown> => {
    const channel = await home.link.open(BLOCKS_PROTOCOL)
    for (const frame of frames) await channel.send(frame)
    let last: unknown = null
    for (let frame = await channel.receive(); frame !== null; frame = await channel.receive()) {
      last = blocksReply.decode(frame)
      if (frames.length === 2 && (last as { kind: string }).kind === 'opened') continue
      break
    }
    channel.abort(new Error('done'))
    return last
  }
  const open = blocksRequest.encode({ kind: 'open', workspace: WORKSPACE })
  const violation = { kind: 'failure', code: 'PROTOCOL_VIOLATION' }
  expect(await speak(blocksRequest.encode({ kind: 'have', cids: [] }))).toMatchObject(violation)
  expect(await speak(open, open)).toMatchObject(violation)
  expect(await speak(Uint8Array.of(0xff))).toMatchObject(violation)
})

test('a message that cannot be read ends a heads stream, and no other', async () => {
  const at = await federation()
  const home = await member(at, HOME)
  const channel = await home.link.open(HEADS_PROTOCOL)
  await channel.send(headsRequest.encode({ id: 5, kind: 'tip', workspace: WORKSPACE }))
  expect(headsReply.decode((await channel.receive()) ?? new Uint8Array(0))).toEqual({ id: 5, kind: 'nothing' })
  await channel.send(Uint8Array.of(0xff))
  expect(await outcome(channel.receive())).toBe('CLOSED')
  expect(await home.remote.tip(WORKSPACE)).toBeNull()
})
