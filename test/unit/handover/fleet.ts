import { open, seal } from '../../../src/core/envelope.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { createIdentity, type Identity } from '../../../src/core/identity.ts'
import { type PeerIdText, type ServiceName, type UserId, type WorkspaceId, workspaceId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { headRecord, ownershipRecord, receiptRecord, type SignedHead } from '../../../src/core/records.ts'
import { Director } from '../../../src/handover/director.ts'
import { Holdings } from '../../../src/handover/holdings.ts'
import type { Instances } from '../../../src/handover/neighbours.ts'
import { OwnershipTable } from '../../../src/handover/ownership-table.ts'
import { PromotionHold } from '../../../src/handover/promotion-hold.ts'
import type { Candidate } from '../../../src/placement/candidate.ts'
import type { Exchange } from '../../../src/placement/place.ts'
import { type ControlStore, controlStore } from '../../../src/store/control-store.ts'
import type { MainRepository } from '../../../src/store/repository.ts'
import { receiptOf } from '../../../src/sync/receipt.ts'
import type { Order } from '../../../src/wire/control.ts'
import { type ManualClock, manualClock } from '../../tools/clock.ts'
import { instance } from '../placement/support.ts'
import { accept, snapshot } from '../store/support.ts'
import { COORDINATOR, memoryRepository } from '../sync/support.ts'

export const FILES = 'files' as ServiceName
export const ADA = 'user:ada' as UserId
const NAMES = ['a', 'b', 'c', 'd'] as const
export type Name = (typeof NAMES)[number]

const WORKSPACE_OF = new Map([[ADA, 'c'.repeat(32) as WorkspaceId]])

const identities = new Map<Name, Identity>()
for (const name of NAMES) identities.set(name, await createIdentity())

export function identityOf(name: Name): Identity {
  const found = identities.get(name)
  if (found === undefined) throw new Error(`no instance ${name}`)
  return found
}
export const peerOf = (name: Name): PeerIdText => identityOf(name).peerId
export const nameOf = (peer: PeerIdText | null | undefined): string =>
  NAMES.find((name) => peerOf(name) === peer) ?? String(peer)

/** Instances that do at once what they are told, unless the test says otherwise, and a note of every effect. */
export class FakeFleet implements Instances {
  readonly effects: string[] = []
  /** What an order does instead, by its kind and who is told: `assume b`. */
  readonly instead = new Map<string, () => Promise<void>>()
  readonly serving: Set<Name>
  readonly zones = new Map<Name, string>()
  /** Of those: why they cannot run the service. */
  readonly unfit = new Map<Name, string>()
  /** Of those: they take nothing any more. */
  readonly draining = new Set<Name>()
  readonly #holdings: Holdings
  readonly #repository: MainRepository

  constructor(names: readonly Name[], holdings: Holdings, repository: MainRepository) {
    this.serving = new Set(names)
    this.#holdings = holdings
    this.#repository = repository
  }

  candidates(): Candidate[] {
    const open = [...this.serving].filter((name) => !this.draining.has(name))
    return open.map((name) => {
      const why = this.unfit.get(name)
      const able = why === undefined ? {} : { services: [], unfit: new Map([[FILES, why]]) }
      return instance(name, 1e9, { peer: peerOf(name), zone: this.zones.get(name) ?? null, ...able })
    })
  }

  isGone(peer: PeerIdText): boolean {
    return !this.isConnected(peer)
  }

  isConnected(peer: PeerIdText): boolean {
    return [...this.serving].some((name) => peerOf(name) === peer)
  }

  /** Those that are away, and about to come back. */
  readonly awaited = new Set<Name>()

  isAwaited(peer: PeerIdText): boolean {
    return this.awaited.has(nameOf(peer) as Name)
  }

  /** Whose lease runs on, of those that are gone: a workspace that needs its end waits. */
  readonly leased = new Set<Name>()

  mayTakeOver({ home }: { readonly home: PeerIdText | null }): boolean {
    return home === null || this.isConnected(home) || !this.leased.has(nameOf(home) as Name)
  }

  nameOf(peer: PeerIdText): string {
    return nameOf(peer)
  }

  async order(peer: PeerIdText, order: Order): Promise<Uint8Array> {
    const name = nameOf(peer) as Name
    this.effects.push(`${order.kind} ${name}`)
    if (!this.isConnected(peer)) throw new NodeDaemonError('OUT_OF_REACH', `${name} is not connected`)
    await this.instead.get(`${order.kind} ${name}`)?.()
    if (order.kind === 'freeze' || order.kind === 'restore') return new Uint8Array(0)
    const { value } = await open(ownershipRecord, order.ownership, COORDINATOR.peerId)
    const tip = (await this.#repository.tip(value.workspace))?.head ?? null
    if (tip === null || order.kind === 'thaw' || order.kind === 'release') return new Uint8Array(0)
    const receipt = await receiptFrom(name, tip)
    this.#holdings.note(receipt)
    return order.kind === 'assume' ? receipt.bytes : new Uint8Array(0)
  }

  /** From now on this order to this instance fails. */
  fail(what: string, error = new NodeDaemonError('TIMED_OUT', `${what} failed`)): void {
    this.instead.set(what, async () => {
      throw error
    })
  }
}

export const receiptFrom = (name: Name, head: SignedHead) =>
  seal(receiptRecord, receiptOf(head, { blocks: 1, bytes: 1 }, 'instance', peerOf(name), 1), identityOf(name))

export interface Bench {
  readonly director: Director
  readonly fleet: FakeFleet
  readonly table: OwnershipTable
  readonly repository: MainRepository
  readonly holdings: Holdings
  readonly clock: ManualClock
  readonly exchanges: Map<WorkspaceId, Exchange>
  readonly hold: PromotionHold
  /** Do homes acknowledge what is on their own disk alone? */
  readonly local: { acknowledge: boolean }
  /** Fails the next sealing, or the next write of ownership. */
  readonly trouble: { seal: boolean; swap: boolean }
  /** A workspace at an instance, with a head that its standbys hold. */
  workspaceAt(home: Name, standbys?: readonly Name[], user?: UserId): Promise<WorkspaceId>
  publish(workspace: WorkspaceId): Promise<SignedHead>
  home(workspace: WorkspaceId): string
}

export async function bench(names: readonly Name[], standbys = 1): Promise<Bench> {
  const repository = await memoryRepository()
  const holdings = new Holdings()
  const fleet = new FakeFleet(names, holdings, repository)
  const trouble = { seal: false, swap: false }
  const store = controlStore(memoryKeyValue())
  const noted: ControlStore = {
    ...store,
    async transact(changes) {
      if (trouble.swap) {
        trouble.swap = false
        throw new NodeDaemonError('NO_SPACE', 'the disk is full')
      }
      fleet.effects.push('write ownership')
      return store.transact(changes)
    }
  }
  const table = await OwnershipTable.open(noted, COORDINATOR)
  const clock = manualClock()
  const exchanges = new Map<WorkspaceId, Exchange>()
  const hold = new PromotionHold()
  const local = { acknowledge: false }
  const director = new Director(
    {
      repository: {
        tip: (id) => repository.tip(id),
        head: (cid) => repository.head(cid),
        sealedEpoch: (id) => repository.sealedEpoch(id),
        async seal(id, epoch, make) {
          fleet.effects.push(`seal ${epoch}`)
          if (trouble.seal) {
            trouble.seal = false
            throw new NodeDaemonError('NO_SPACE', 'the disk is full')
          }
          return repository.seal(id, epoch, make)
        }
      },
      table,
      instances: fleet,
      holdings,
      hold,
      outlivesSeal: () => local.acknowledge,
      usedBytes: () => 1000,
      identity: COORDINATOR,
      clock,
      random: systemRandom(),
      log: silent
    },
    { standbys, exchanges }
  )
  const publish = async (workspace: WorkspaceId): Promise<SignedHead> => {
    const before = (await repository.tip(workspace))?.head ?? null
    const owned = table.get(workspace)?.signed.value
    const sequence = (before?.value.sequence ?? 0) + 1
    const { root, blocks } = await snapshot({ 'a.txt': `state ${sequence}` })
    const head = await seal(
      headRecord,
      {
        workspace,
        epoch: owned?.epoch ?? 1,
        sequence,
        root,
        previous: before?.cid ?? null,
        createdAtMs: 1,
        files: 1,
        bytes: 7,
        unsettled: []
      },
      identityOf(nameOf(owned?.home) as Name)
    )
    await repository.publish(head, blocks, accept)
    return head
  }
  return {
    director,
    fleet,
    table,
    repository,
    holdings,
    clock,
    exchanges,
    hold,
    local,
    trouble,
    publish,
    home: (workspace) => nameOf(table.get(workspace)?.signed.value.home),
    async workspaceAt(home, standbyNames = [], user = ADA) {
      const created = await table.create(WORKSPACE_OF.get(user) ?? workspaceId(systemRandom().bytes(16)), {
        service: FILES,
        owner: user,
        home: peerOf(home),
        createdAtMs: 1
      })
      const { workspace } = created.signed.value
      await table.setStandbys(workspace, 1, standbyNames.map(peerOf))
      const head = await publish(workspace)
      for (const name of standbyNames) holdings.note(await receiptFrom(name, head))
      await director.resume(workspace)
      await director.tend(workspace)
      fleet.effects.length = 0
      return workspace
    }
  }
}

/** Lets everything run that needs no more time. */
export const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}
