import { expect, test } from 'vitest'
import { type Block, blockOf, RAW_CODEC } from '../../../src/core/blocks.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { createIdentity } from '../../../src/core/identity.ts'
import { silent } from '../../../src/core/log.ts'
import type { Channel, Host, Link } from '../../../src/network/host.ts'
import { openExchange } from '../../../src/sync/block-exchange.ts'
import { serveBlocks } from '../../../src/sync/blocks-server.ts'
import { GIVING_LIMITS, Giving } from '../../../src/sync/giving.ts'
import { RateLimit } from '../../../src/sync/rate-limit.ts'
import { Uplink } from '../../../src/sync/uplink.ts'
import { BLOCKS_PROTOCOL, blocksRequest } from '../../../src/wire/blocks.ts'
import { type ManualClock, manualClock } from '../../tools/clock.ts'
import { eventually } from '../../tools/eventually.ts'
import { hostOf } from './members.ts'
import { OTHER, WORKSPACE } from './support.ts'

const MIB = 1024 * 1024
const BIG: readonly Block[] = Array.from({ length: 20 }, (_, index) => blockOf(RAW_CODEC, Buffer.alloc(MIB, index)))
const CIDS = BIG.map(({ cid }) => cid)

interface Home {
  readonly host: Host
  readonly upload: Uplink
  readonly clock: ManualClock
}

async function home(): Promise<Home> {
  const clock = manualClock()
  const upload = new Uplink(clock)
  const host = await hostOf(await createIdentity(), true)
  await serveBlocks(host, {
    source: { read: async (_, cid) => BIG.find((block) => block.cid.equals(cid))?.bytes ?? null },
    intake: null,
    access: () => ({ read: true, send: false }),
    giving: new Giving(clock, upload),
    log: silent
  })
  return { host, upload, clock }
}

async function member({ host }: Home): Promise<Link> {
  const away = await hostOf(await createIdentity(), false)
  return away.dial(host.addresses(), host.peerId)
}

/** Asks for everything, and reads none of it. */
async function asksAlone(link: Link): Promise<Channel> {
  const channel = await link.open(BLOCKS_PROTOCOL)
  await channel.send(blocksRequest.encode({ kind: 'open', workspace: WORKSPACE }))
  await channel.send(blocksRequest.encode({ kind: 'want', cids: CIDS }))
  return channel
}

const fetches = async (link: Link): Promise<number> => {
  const clock = systemClock()
  const pace = { upload: new Uplink(clock), download: new RateLimit(clock), clock }
  const exchange = await openExchange(link, OTHER, pace)
  return (await exchange.want(CIDS.slice(0, 3))).length
}

test('a member that asks and does not read holds up neither its home nor others that fetch there', async () => {
  const at = await home()
  const lazy = await member(at)
  const streams = [await asksAlone(lazy), await asksAlone(lazy), await asksAlone(lazy)]
  // Two pieces wait to be taken, and no third is sent.
  await eventually(() => at.clock.waiting).toBe(GIVING_LIMITS.piecesOfPeerMax)
  await at.upload.take(12 * MIB, OTHER, 'bulk')
  at.upload.lost(12 * MIB)
  expect(await fetches(await member(at))).toBe(3)
  expect(at.clock.waiting).toBe(GIVING_LIMITS.piecesOfPeerMax)
  let over = 0
  for (const { closed } of streams) void closed.then(() => over++)
  // The third has its turn after the first two, and another as long.
  at.clock.advance(GIVING_LIMITS.sendMs)
  await eventually(() => over).toBe(2)
  await eventually(() => at.clock.waiting).toBe(1)
  at.clock.advance(GIVING_LIMITS.sendMs)
  await eventually(() => over).toBe(3)
})

test('a member may have only so many streams at once; once some are over it may have others', async () => {
  const at = await home()
  const greedy = await member(at)
  const streams: Channel[] = []
  while (streams.length < GIVING_LIMITS.streamsOfPeerMax) streams.push(await asksAlone(greedy))
  await expect(fetches(greedy)).rejects.toMatchObject({ code: 'BUSY' })
  expect(await fetches(await member(at))).toBe(3)
  for (const stream of streams) stream.abort(new Error('enough'))
  await eventually(() => fetches(greedy).catch(() => 0)).toBe(3)
})
