import { expect, test } from 'vitest'
import { type Block, blockOf, RAW_CODEC } from '../../../src/core/blocks.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { createIdentity, type Identity } from '../../../src/core/identity.ts'
import type { PeerIdText, WorkspaceId } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import type { Host } from '../../../src/network/host.ts'
import type { Damage } from '../../../src/store/repository.ts'
import { type BlockExchange, openExchange } from '../../../src/sync/block-exchange.ts'
import { serveBlocks } from '../../../src/sync/blocks-server.ts'
import { RateLimit } from '../../../src/sync/rate-limit.ts'
import { repairDamage } from '../../../src/sync/repair.ts'
import { Uplink } from '../../../src/sync/uplink.ts'
import { hostOf, outcome } from './members.ts'
import { COORDINATOR, OTHER, WORKSPACE } from './support.ts'

const blocks = ['one', 'two', 'three'].map((text) => blockOf(RAW_CODEC, Buffer.from(text)))
const [one, two, three] = blocks as [Block, Block, Block]
const clock = systemClock()

/** An instance that gives these blocks of the workspace to the coordinator alone. */
async function instance(coordinator: Host, has: readonly Block[]): Promise<Identity> {
  const identity = await createIdentity()
  const host = await hostOf(identity, false)
  await serveBlocks(host, {
    source: {
      read: async (workspace, cid) =>
        (workspace === WORKSPACE && has.find((block) => block.cid.equals(cid))?.bytes) || null
    },
    intake: null,
    access: (peer, workspace) =>
      peer === COORDINATOR.peerId && workspace === WORKSPACE ? { read: true, send: false } : null,
    giving: null,
    log: silent
  })
  await host.dial(coordinator.addresses(), COORDINATOR.peerId)
  return identity
}

function opener(coordinator: Host): (peer: PeerIdText, workspace: WorkspaceId) => Promise<BlockExchange> {
  return async (peer, workspace) => {
    const [data] = coordinator.links(peer)
    if (data === undefined) throw new NodeDaemonError('OUT_OF_REACH', `${peer} is not connected`)
    const pace = { upload: new Uplink(clock), download: new RateLimit(clock), clock }
    return openExchange(data, workspace, pace)
  }
}

/** A repository in which these blocks are damaged. */
function damaged(list: readonly Block[], workspaces: readonly WorkspaceId[] = [WORKSPACE]) {
  const left = new Map(list.map((block) => [block.cid.toString(), block.cid]))
  const kept: string[] = []
  return {
    kept,
    damaged: async (): Promise<Damage[]> => [...left.values()].map((cid) => ({ cid, workspaces })),
    keep: async (workspace: WorkspaceId, came: readonly Block[]) => {
      for (const { cid } of came) {
        left.delete(cid.toString())
        kept.push(`${cid} for ${workspace}`)
      }
    },
    flush: async () => void kept.push('flush')
  }
}

const { signal } = new AbortController()

test('damaged blocks come from whichever instance has them; what nobody has is told', async () => {
  const coordinator = await hostOf(COORDINATOR, true)
  const first = await instance(coordinator, [one])
  const second = await instance(coordinator, [two])
  const away = await createIdentity()
  const repository = damaged(blocks)
  const holders = () => [away.peerId, first.peerId, second.peerId]
  const repaired = await repairDamage({ repository, holders, open: opener(coordinator), log: silent }, signal)
  expect(repaired.repaired).toBe(2)
  expect(repaired.left.map(({ cid }) => cid.toString())).toEqual([three.cid.toString()])
  expect(repository.kept.slice(0, 3)).toEqual([`${one.cid} for ${WORKSPACE}`, `${two.cid} for ${WORKSPACE}`, 'flush'])
})

test('an instance that sends something else than was asked for repairs nothing, and the next one is asked', async () => {
  const coordinator = await hostOf(COORDINATOR, true)
  const liar = await instance(coordinator, [{ cid: one.cid, bytes: Buffer.from('a lie') }])
  const honest = await instance(coordinator, [one])
  const repository = damaged([one])
  const holders = () => [liar.peerId, honest.peerId]
  const { repaired, left } = await repairDamage({ repository, holders, open: opener(coordinator), log: silent }, signal)
  expect([repaired, left, repository.kept[0]]).toEqual([1, [], `${one.cid} for ${WORKSPACE}`])
})

test('a block that counts as damaged whatever is kept is asked for once, and told', async () => {
  const coordinator = await hostOf(COORDINATOR, true)
  const holder = await instance(coordinator, [one, two])
  const repository = damaged([one, two])
  const stubborn = {
    ...repository,
    damaged: async (): Promise<Damage[]> => [{ cid: one.cid, workspaces: [WORKSPACE] }, ...(await repository.damaged())]
  }
  await repository.keep(WORKSPACE, [one])
  const holders = () => [holder.peerId]
  const open = opener(coordinator)
  const { repaired, left } = await repairDamage({ repository: stubborn, holders, open, log: silent }, signal)
  expect([repaired, left.map(({ cid }) => String(cid))]).toEqual([1, [String(one.cid)]])
  expect(repository.kept.filter((what) => what.startsWith(String(one.cid))).length).toBeLessThanOrEqual(3)
})

test('nothing is asked while nothing is damaged, and no more once the signal says so', async () => {
  const open = async (): Promise<BlockExchange> => {
    throw new Error('nobody is asked')
  }
  const holders = () => [COORDINATOR.peerId]
  const none = await repairDamage({ repository: damaged([]), holders, open, log: silent }, signal)
  expect(none).toEqual({ repaired: 0, left: [] })
  const stopped = AbortSignal.abort(new NodeDaemonError('ABORTED', 'stopping'))
  expect(await outcome(repairDamage({ repository: damaged([one]), holders, open, log: silent }, stopped))).toBe(
    'ABORTED'
  )
})

test('an instance gives blocks to who may have them, and takes none', async () => {
  const coordinator = await hostOf(COORDINATOR, true)
  const holder = await instance(coordinator, [one])
  const open = opener(coordinator)
  const on = async (work: (exchange: BlockExchange) => Promise<unknown>): Promise<string> => {
    const exchange = await open(holder.peerId, WORKSPACE)
    return outcome(work(exchange)).finally(() => exchange.close())
  }
  expect(await outcome(open(holder.peerId, OTHER))).toBe('FORBIDDEN')
  expect(await on((exchange) => exchange.want([one.cid, two.cid]).then((came) => expect(came).toHaveLength(1)))).toBe(
    'done'
  )
  expect(await on((exchange) => exchange.missing([one.cid]))).toBe('FORBIDDEN')
  expect(await on((exchange) => exchange.put([two], 'small'))).toBe('FORBIDDEN')
})
