import { expect, test } from 'vitest'
import { type Block, blockOf, RAW_CODEC } from '../../../src/core/blocks.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { createIdentity, type Identity } from '../../../src/core/identity.ts'
import type { PeerIdText } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import type { SignedHead } from '../../../src/core/records.ts'
import type { Host } from '../../../src/network/host.ts'
import { Neighbours } from '../../../src/network/neighbours.ts'
import { Reach } from '../../../src/network/reach.ts'
import { serveBlocks } from '../../../src/sync/blocks-server.ts'
import { Giving } from '../../../src/sync/giving.ts'
import type { NearBlocks } from '../../../src/sync/members.ts'
import { NearMembers } from '../../../src/sync/near-blocks.ts'
import { RateLimit } from '../../../src/sync/rate-limit.ts'
import { Uplink } from '../../../src/sync/uplink.ts'
import { BLOCKS_PROTOCOL, blocksReply, blocksRequest } from '../../../src/wire/blocks.ts'
import { manualClock } from '../../tools/clock.ts'
import { eventually } from '../../tools/eventually.ts'
import { ownershipOf } from '../handover/home.ts'
import { headOf, hostOf } from './members.ts'
import { WORKSPACE } from './support.ts'

const BLOCKS: readonly Block[] = Array.from({ length: 100 }, (_, index) => blockOf(RAW_CODEC, Buffer.from(`${index}`)))
const CIDS = BLOCKS.map(({ cid }) => cid)
const names = (blocks: readonly Block[]): string[] => blocks.map(({ cid }) => cid.toString()).sort()

interface Giver {
  readonly identity: Identity
  readonly host: Host
  /** Blocks that it was asked for. */
  asked: number
}

/** A member that listens, and gives what it has to whom it may. */
async function giver(
  has: readonly Block[],
  mayRead: (peer: PeerIdText) => boolean = () => true,
  upload = new Uplink(systemClock())
): Promise<Giver> {
  const identity = await createIdentity()
  const one: Giver = { identity, host: await hostOf(identity, true), asked: 0 }
  await serveBlocks(one.host, {
    source: {
      async read(_, cid) {
        one.asked++
        return has.find((block) => block.cid.equals(cid))?.bytes ?? null
      }
    },
    intake: null,
    access: (peer, workspace) => (workspace === WORKSPACE && mayRead(peer) ? { read: true, send: false } : null),
    giving: new Giving(systemClock(), upload),
    log: silent
  })
  return one
}

interface Asking {
  readonly members: NearMembers
  readonly clock: ReturnType<typeof manualClock>
  open(): Promise<NearBlocks>
}

/** A standby of a workspace whose home is the first of these, and whose standbys are the others. */
async function asking(
  zones: readonly (readonly [Pick<Giver, 'host' | 'identity'>, string | null])[],
  holders?: readonly PeerIdText[]
): Promise<Asking> {
  const self = await createIdentity()
  const host = await hostOf(self, false)
  const neighbours = new Neighbours()
  for (const [{ host: one }, zone] of zones) {
    neighbours.note({ peer: one.peerId, zone, addresses: one.addresses() })
  }
  const peers = zones.map(([{ identity }]) => identity.peerId)
  const [home = null, ...standbys] = peers
  const clock = manualClock()
  const members = new NearMembers({
    self: self.peerId,
    zone: () => 'hall',
    neighbours,
    reach: new Reach({ host, neighbours, dials: () => true, clock: systemClock() }),
    providers: { find: async () => holders ?? peers },
    download: new RateLimit(clock),
    clock,
    log: silent
  })
  const { value } = await ownershipOf({ home, standbys: [...standbys, self.peerId] })
  const head: SignedHead = (await headOf(self, { 'a.txt': 'a' })).head
  return { members, clock, open: async () => members.open(head, value, new AbortController().signal) }
}

test('the nearest is asked, and only for what it lacks the next', async () => {
  const home = await giver(BLOCKS)
  const beside = await giver(BLOCKS.slice(0, 90))
  const far = await giver(BLOCKS)
  const at = await asking([
    [home, 'attic'],
    [far, 'cellar'],
    [beside, 'hall']
  ])
  const near = await at.open()
  expect(names(await near.want(CIDS))).toEqual(names(BLOCKS))
  expect([beside.asked, home.asked, far.asked]).toEqual([100, 10, 0])
  await near.close()
})

test('what nobody has is left out', async () => {
  const at = await asking([
    [await giver(BLOCKS.slice(0, 3)), 'hall'],
    [await giver(BLOCKS.slice(2, 5)), 'hall']
  ])
  const near = await at.open()
  expect(names(await near.want(CIDS.slice(0, 9)))).toEqual(names(BLOCKS.slice(0, 5)))
  await near.close()
})

test('blocks that are not what they should be are thrown away, and who sent them is not asked again', async () => {
  let streams = 0
  const identity = await createIdentity()
  const liar = { identity, host: await hostOf(identity, true) }
  await liar.host.handle(BLOCKS_PROTOCOL, async (channel) => {
    streams++
    await channel.receive()
    await channel.send(blocksReply.encode({ kind: 'opened' }))
    await channel.receive()
    const blocks = BLOCKS.slice(0, 8).map(({ cid }) => ({ cid, bytes: Buffer.from('a lie') }))
    await channel.send(blocksReply.encode({ kind: 'blocks', blocks }))
    await channel.receive()
  })
  const home = await giver(BLOCKS)
  const at = await asking([
    [home, null],
    [liar, 'hall']
  ])
  for (const turn of [1, 2]) {
    const near = await at.open()
    const found = await near.want(CIDS)
    expect(names(found)).toEqual(names(BLOCKS))
    expect(found.every(({ bytes }) => Buffer.from(bytes).toString() !== 'a lie')).toBe(true)
    expect(home.asked).toBe(turn * BLOCKS.length)
    await near.close()
  }
  expect(streams).toBe(1)
})

test('one that says nothing is given up after a while, and left alone for some time', async () => {
  let streams = 0
  const identity = await createIdentity()
  const silentOne = { identity, host: await hostOf(identity, true) }
  const heard = Promise.withResolvers<void>()
  await silentOne.host.handle(BLOCKS_PROTOCOL, async (channel) => {
    streams++
    await channel.receive()
    heard.resolve()
    await channel.closed
  })
  const at = await asking([[silentOne, 'hall']])
  const near = await at.open()
  const wanted = near.want(CIDS)
  await heard.promise
  at.clock.advance(2000)
  expect(await wanted).toEqual([])
  await near.close()
  const again = await at.open()
  expect(await again.want(CIDS)).toEqual([])
  expect(streams).toBe(1)
  at.clock.advance(60_000)
  expect(at.members.isAwake(identity.peerId)).toBe(true)
})

test('who does not know yet that this one may read gives nothing, and the next is asked', async () => {
  const stale = await giver(BLOCKS, () => false)
  const home = await giver(BLOCKS)
  const at = await asking([
    [home, null],
    [stale, 'hall']
  ])
  const near = await at.open()
  expect(names(await near.want(CIDS))).toEqual(names(BLOCKS))
  expect([stale.asked, home.asked]).toEqual([0, BLOCKS.length])
  await near.close()
})

test('a standby that does not say that it holds the head is not asked; one that is gone costs nothing but time', async () => {
  const behind = await giver(BLOCKS)
  const gone = await giver(BLOCKS)
  const at = await asking(
    [
      [gone, 'hall'],
      [behind, 'hall']
    ],
    []
  )
  await gone.host.close()
  const near = await at.open()
  expect(await near.want(CIDS)).toEqual([])
  expect(behind.asked).toBe(0)
  await near.close()
})

test('who gives keeps to its own upload limit, and sends its own changes first', async () => {
  const clock = manualClock()
  const upload = new Uplink(clock, { limit: 1000, hours: [] })
  const big = Array.from({ length: 8 }, (_, index) => blockOf(RAW_CODEC, Buffer.alloc(60_000, `${index}`)))
  const home = await giver(big, () => true, upload)
  const at = await asking([[home, null]])
  const near = await at.open()
  let done = false
  const wanted = near.want(big.map(({ cid }) => cid)).finally(() => {
    done = true
  })
  await eventually(() => clock.waiting).toBeGreaterThan(0)
  let own = false
  const mine = upload.take(10, WORKSPACE, 'acknowledged').then(() => {
    own = true
    upload.lost(10)
  })
  clock.advance(60_000)
  await mine
  expect([own, done]).toEqual([true, false])
  await eventually(() => {
    clock.advance(60_000)
    return done
  }).toBe(true)
  expect(names(await wanted)).toEqual(names(big))
  await near.close()
})

test('the process ends at once while blocks are awaited', async () => {
  const identity = await createIdentity()
  const silentOne = { identity, host: await hostOf(identity, true) }
  const heard = Promise.withResolvers<void>()
  await silentOne.host.handle(BLOCKS_PROTOCOL, async (channel) => {
    heard.resolve()
    await channel.closed
  })
  const at = await asking([[silentOne, 'hall']])
  const ending = new AbortController()
  const { value } = await ownershipOf({ home: identity.peerId, standbys: [] })
  const near = at.members.open((await headOf(identity, { a: 'a' })).head, value, ending.signal)
  const wanted = near.want(CIDS)
  await heard.promise
  ending.abort()
  await expect(wanted).rejects.toMatchObject({ code: 'ABORTED' })
  await near.close()
})

test('members that give too slowly, or not all of what they have, are left for the main repository', async () => {
  const identity = await createIdentity()
  const slow = { identity, host: await hostOf(identity, true) }
  const home = await giver(BLOCKS)
  const at = await asking([
    [home, null],
    [slow, 'hall']
  ])
  let gives = 0
  let pieces = 0
  await slow.host.handle(BLOCKS_PROTOCOL, async (channel) => {
    await channel.receive()
    await channel.send(blocksReply.encode({ kind: 'opened' }))
    for (let frame = await channel.receive(); frame !== null; frame = await channel.receive()) {
      const asked = blocksRequest.decode(frame)
      if (asked.kind !== 'want') return
      pieces++
      at.clock.advance(1500)
      const blocks = BLOCKS.filter(({ cid }) => asked.cids.some((one) => one.equals(cid))).slice(0, gives)
      await channel.send(blocksReply.encode({ kind: 'blocks', blocks }))
      await channel.send(blocksReply.encode({ kind: 'blocks', blocks: [] }))
    }
  })
  gives = 1
  const withheld = await at.open()
  expect(names(await withheld.want(CIDS))).toEqual(names(BLOCKS))
  expect([pieces, home.asked]).toEqual([1, BLOCKS.length - 1])
  await withheld.close()
  gives = 64
  const slowly = await at.open()
  expect((await slowly.want(CIDS)).length).toBe(8)
  expect(await slowly.want(CIDS)).toEqual([])
  expect([pieces, home.asked]).toEqual([3, BLOCKS.length - 1])
  await slowly.close()
})

test('closing does not wait for a member that is still being dialled', async () => {
  const self = await createIdentity()
  const dialled = Promise.withResolvers<void>()
  const clock = manualClock()
  const members = new NearMembers({
    self: self.peerId,
    zone: () => null,
    neighbours: new Neighbours(),
    reach: {
      isNear: () => true,
      link() {
        dialled.resolve()
        return new Promise(() => undefined)
      }
    },
    providers: { find: async () => [] },
    download: new RateLimit(clock),
    clock,
    log: silent
  })
  const home = await createIdentity()
  const { value } = await ownershipOf({ home: home.peerId, standbys: [self.peerId] })
  const ending = new AbortController()
  const near = members.open((await headOf(self, { a: 'a' })).head, value, ending.signal)
  const wanted = near.want(CIDS)
  await dialled.promise
  ending.abort()
  await expect(wanted).rejects.toMatchObject({ code: 'ABORTED' })
  await near.close()
})
