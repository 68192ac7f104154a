import { describe, expect, test } from 'vitest'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { Director } from '../../../src/handover/director.ts'
import { Holdings } from '../../../src/handover/holdings.ts'
import { OwnershipTable } from '../../../src/handover/ownership-table.ts'
import { PromotionHold } from '../../../src/handover/promotion-hold.ts'
import { type ControlStore, controlStore } from '../../../src/store/control-store.ts'
import type { MainRepository } from '../../../src/store/repository.ts'
import type { Order } from '../../../src/wire/control.ts'
import { manualClock } from '../../tools/clock.ts'
import { headAfter, snapshot } from '../store/support.ts'
import { COORDINATOR, memoryRepository } from '../sync/support.ts'
import { ADA, FakeFleet, FILES, nameOf, peerOf, settled } from './fleet.ts'

const W = 'd'.repeat(32) as WorkspaceId
/** More than any of the works below has. */
const STEPS_MAX = 20

/** Counts what a coordinator does to the world, and lets it die before or after one of these steps. */
class Fuse {
  steps = 0
  readonly #at: number
  readonly #when: 'before' | 'after'

  constructor(at: number, when: 'before' | 'after') {
    this.#at = at
    this.#when = when
  }

  get burnt(): boolean {
    return this.steps > this.#at
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.burnt) throw dead()
    const isLast = this.steps++ === this.#at
    if (isLast && this.#when === 'before') throw dead()
    const done = await work()
    if (isLast) throw dead()
    return done
  }
}

const dead = (): NodeDaemonError => new NodeDaemonError('CLOSED', 'the coordinator was killed')

/** Instances that notice which coordinator speaks: a dead one reaches nobody. */
class Listening extends FakeFleet {
  fuse: Fuse | null = null
  /** Who was told last to serve, and in which epoch it was told that. */
  served: string | null = null

  override async order(peer: PeerIdText, order: Order): Promise<Uint8Array> {
    const told = async (): Promise<Uint8Array> => {
      const answer = await super.order(peer, order)
      if (order.kind === 'assume') this.served = nameOf(peer)
      return answer
    }
    return this.fuse === null ? told() : this.fuse.run(told)
  }
}

interface Parts {
  readonly state: ReturnType<typeof memoryKeyValue>
  readonly repository: MainRepository
  readonly fleet: Listening
  readonly holdings: Holdings
}

async function start({ state, repository, fleet, holdings }: Parts, fuse: Fuse | null) {
  const through = <T>(work: () => Promise<T>): Promise<T> => (fuse === null ? work() : fuse.run(work))
  const store = controlStore(state)
  const fused: ControlStore = { ...store, transact: (changes) => through(() => store.transact(changes)) }
  fleet.fuse = fuse
  const table = await OwnershipTable.open(fused, COORDINATOR)
  const director = new Director(
    {
      repository: {
        tip: (id) => repository.tip(id),
        head: (cid) => repository.head(cid),
        sealedEpoch: (id) => repository.sealedEpoch(id),
        seal: (id, epoch, make) => through(() => repository.seal(id, epoch, make))
      },
      table,
      instances: fleet,
      holdings,
      hold: new PromotionHold(),
      outlivesSeal: () => false,
      usedBytes: () => 1000,
      identity: COORDINATOR,
      clock: manualClock(),
      random: systemRandom(),
      log: silent
    },
    { standbys: 1, exchanges: new Map() }
  )
  return { table, director }
}

/** a is the home, b stands by, c is there too; one head is published. */
async function atWork() {
  const repository = await memoryRepository()
  const holdings = new Holdings()
  const parts: Parts = {
    state: memoryKeyValue(),
    repository,
    holdings,
    fleet: new Listening(['a', 'b', 'c'], holdings, repository)
  }
  const { table, director } = await start(parts, null)
  await table.create(W, { service: FILES, owner: ADA, home: peerOf('a'), createdAtMs: 1 })
  await table.setStandbys(W, 1, [peerOf('b')])
  const { root, blocks } = await snapshot({ 'a.txt': 'acknowledged' })
  const head = await headAfter(null, root, { workspace: W })
  await repository.publish(head, blocks, () => undefined)
  for (const name of ['a', 'b', 'c'] as const) await director.welcome(peerOf(name))
  return { parts, head, number: table.number }
}

const calmly = { idle: async () => undefined, signal: new AbortController().signal, keepAsStandby: true }

const WORKS: Readonly<Record<string, (director: Director, fleet: Listening) => Promise<unknown>>> = {
  'a move to the standby': (director) => director.move(W, peerOf('b'), calmly),
  'a move to one that stands by for nothing': (director) => director.move(W, peerOf('c'), calmly),
  'a move into the repository': (director) => director.move(W, null, calmly),
  'a failover': async (director, fleet) => {
    fleet.serving.delete('a')
    await director.failover(W, peerOf('a'))
  }
}

describe.each(Object.keys(WORKS))('a coordinator that is killed amid %s', (name) => {
  const work = WORKS[name]

  test.each(['before', 'after'] as const)(
    '%s any step knows one home, the newest head and no lower epoch',
    async (when) => {
      let ended = false
      for (let at = 0; !ended; at++) {
        expect(at).toBeLessThan(STEPS_MAX)
        const { parts, head, number } = await atWork()
        const fuse = new Fuse(at, when)
        const first = await start(parts, fuse)
        await work?.(first.director, parts.fleet).catch(() => undefined)
        await settled()
        ended = !fuse.burnt
        const before = first.table.get(W)?.signed.value

        const { table, director } = await start(parts, null)
        for (const peer of parts.fleet.serving) await director.welcome(peerOf(peer))
        if (name === 'a failover') await director.failover(W, peerOf('a'))
        if (name === 'a move into the repository' && table.get(W)?.signed.value.home === null)
          await director.adoptOrphans()
        const value = table.get(W)?.signed.value
        const where = `${name}, ${when} step ${at}`
        expect(director.state(W).state, where).toBe('serving')
        expect(parts.fleet.served, where).toBe(nameOf(value?.home))
        expect(value?.epoch, where).toBeGreaterThanOrEqual(before?.epoch ?? 1)
        expect(value?.number, where).toBeGreaterThanOrEqual(number)
        expect(value?.epoch, where).toBeGreaterThan(await parts.repository.sealedEpoch(W))
        expect((await parts.repository.tip(W))?.head.cid.equals(head.cid), where).toBe(true)
      }
    }
  )
})
