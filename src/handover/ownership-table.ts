import type { CID } from 'multiformats/cid'
import { open, seal } from '../core/envelope.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { OwnerId, PeerIdText, ServiceName, WorkspaceId } from '../core/ids.ts'
import { Mutex } from '../core/mutex.ts'
import { type Ownership, ownershipRecord, type SignedOwnership } from '../core/records.ts'
import type { ControlStore } from '../store/control-store.ts'

/** Former homes that are remembered, so that each may still hand in what it had not published. */
const FORMER_HOMES_MAX = 16
const NUMBER_KEY = 'ownership-number'
const EPOCH_FLOOR_KEY = 'epoch-floor'
const WORKSPACE_PREFIX = 'workspace/'
const REMOVED_PREFIX = 'removed/'

export interface OwnedWorkspace {
  readonly signed: SignedOwnership
  readonly createdAtMs: number
  readonly formerHomes: readonly PeerIdText[]
}

/** A workspace that is no more, until nobody has anything of it. */
export interface RemovedWorkspace {
  readonly signed: SignedOwnership
  /** Who may still have files of it. */
  readonly holders: readonly PeerIdText[]
}

interface StoredRemoval {
  readonly ownership: string
  readonly holders: readonly PeerIdText[]
}

interface Row extends OwnedWorkspace {
  readonly revision: number
}

interface StoredRow {
  readonly ownership: string
  readonly createdAtMs: number
  readonly formerHomes: readonly PeerIdText[]
}

/**
 * Who may write which workspace: signed, numbered records in the control store, all of them in memory.
 * Every change is durable before it is visible.
 */
export class OwnershipTable {
  readonly #store: ControlStore
  readonly #identity: Identity
  readonly #rows = new Map<WorkspaceId, Row>()
  readonly #byOwner = new Map<string, WorkspaceId>()
  readonly #removed = new Map<WorkspaceId, RemovedWorkspace>()
  readonly #writes = new Mutex()
  #number: { value: number; revision: number }
  /** No promotion leads to a lower epoch. */
  #epochFloor = 0

  private constructor(store: ControlStore, identity: Identity, number: { value: number; revision: number }) {
    this.#store = store
    this.#identity = identity
    this.#number = number
  }

  /** @throws NodeDaemonError `BAD_SIGNATURE` when a stored record is not signed by this coordinator */
  static async open(store: ControlStore, identity: Identity): Promise<OwnershipTable> {
    const stored = await store.get(NUMBER_KEY)
    const number = {
      value: stored === null ? 0 : Number(Buffer.from(stored.value).toString()),
      revision: stored?.revision ?? 0
    }
    const table = new OwnershipTable(store, identity, number)
    const floor = await store.get(EPOCH_FLOOR_KEY)
    table.#epochFloor = floor === null ? 0 : Number(Buffer.from(floor.value).toString())
    for await (const { value, revision } of store.list(WORKSPACE_PREFIX)) {
      const { ownership, ...rest } = JSON.parse(Buffer.from(value).toString()) as StoredRow
      const signed = await open(ownershipRecord, Buffer.from(ownership, 'base64'), identity.peerId)
      table.#keep({ ...rest, signed, revision })
    }
    for await (const { value } of store.list(REMOVED_PREFIX)) {
      const { ownership, holders } = JSON.parse(Buffer.from(value).toString()) as StoredRemoval
      const signed = await open(ownershipRecord, Buffer.from(ownership, 'base64'), identity.peerId)
      table.#removed.set(signed.value.workspace, { signed, holders })
    }
    return table
  }

  get(workspace: WorkspaceId): OwnedWorkspace | null {
    return this.#rows.get(workspace) ?? null
  }

  find(service: ServiceName, owner: OwnerId): WorkspaceId | null {
    return this.#byOwner.get(ownerKey(service, owner)) ?? null
  }

  all(): IterableIterator<OwnedWorkspace> {
    return this.#rows.values()
  }

  get size(): number {
    return this.#rows.size
  }

  /** The number of the newest record. */
  get number(): number {
    return this.#number.value
  }

  /** How many workspaces there are of a service. */
  countOf(service: ServiceName): number {
    let count = 0
    for (const { signed } of this.#rows.values()) if (signed.value.service === service) count++
    return count
  }

  homesOf(peer: PeerIdText): OwnedWorkspace[] {
    return [...this.#rows.values()].filter(({ signed }) => signed.value.home === peer)
  }

  standbysOf(peer: PeerIdText): OwnedWorkspace[] {
    return [...this.#rows.values()].filter(({ signed }) => signed.value.standbys.includes(peer))
  }

  /** The first record of a workspace, epoch 1 without a base. An owner that has one already gets that. */
  create(
    workspace: WorkspaceId,
    what: { service: ServiceName; owner: OwnerId; home: PeerIdText; createdAtMs: number }
  ): Promise<OwnedWorkspace> {
    return this.#writes.run(async () => {
      const existing = this.find(what.service, what.owner)
      const row = existing === null ? undefined : this.#rows.get(existing)
      if (row !== undefined) return row
      const { service, owner, home } = what
      const first = { workspace, service, owner, home, epoch: 1, base: null, standbys: [] }
      return this.#write(first, { createdAtMs: what.createdAtMs, formerHomes: [], revision: 0 })
    })
  }

  /**
   * The compare-and-swap of a promotion: the next epoch, from `base`, at `home`.
   *
   * @throws NodeDaemonError `CONFLICT` when the epoch is not `expectedEpoch` any more; nothing changed
   */
  swap(
    workspace: WorkspaceId,
    expectedEpoch: number,
    next: { home: PeerIdText | null; standbys: readonly PeerIdText[]; base: CID | null }
  ): Promise<OwnedWorkspace> {
    return this.#writes.run(async () => {
      const row = this.#expect(workspace, expectedEpoch)
      const before = row.signed.value
      const formerHomes = before.home === null ? row.formerHomes : remembered(row.formerHomes, before.home)
      const epoch = this.epochAfter(expectedEpoch)
      return this.#write({ ...before, ...next, epoch }, { ...row, formerHomes })
    })
  }

  /** Other standbys in the same epoch. Throws like `swap`. */
  setStandbys(workspace: WorkspaceId, expectedEpoch: number, standbys: readonly PeerIdText[]): Promise<OwnedWorkspace> {
    return this.#writes.run(async () => {
      const row = this.#expect(workspace, expectedEpoch)
      return this.#write({ ...row.signed.value, standbys }, row)
    })
  }

  /**
   * Another owner in the same epoch. Throws like `swap`, also where the new owner has a workspace of the service already.
   */
  setOwner(workspace: WorkspaceId, expectedEpoch: number, owner: OwnerId): Promise<OwnedWorkspace> {
    return this.#writes.run(async () => {
      const row = this.#expect(workspace, expectedEpoch)
      const { service } = row.signed.value
      const other = this.find(service, owner)
      if (other !== null && other !== workspace) {
        throw new NodeDaemonError('CONFLICT', `${owner} has a workspace of ${service} already`)
      }
      return this.#write({ ...row.signed.value, owner }, row)
    })
  }

  /**
   * The last record of a workspace: it belongs to nobody any more, and its owner has none of this service. Durable on return.
   *
   * @throws NodeDaemonError `NOT_FOUND`
   */
  remove(workspace: WorkspaceId): Promise<RemovedWorkspace> {
    return this.#writes.run(async () => {
      const row = this.#rows.get(workspace)
      if (row === undefined) throw new NodeDaemonError('NOT_FOUND', `no workspace ${workspace}`)
      const before = row.signed.value
      const holders = [...new Set([before.home, ...before.standbys, ...row.formerHomes])].filter(
        (peer) => peer !== null
      )
      const number = this.#number.value + 1
      const epoch = this.epochAfter(before.epoch)
      const last: Ownership = { ...before, home: null, standbys: [], epoch, number, removed: true }
      const removed = { signed: await seal(ownershipRecord, last, this.#identity), holders }
      const revision = await this.#store.transact([
        { kind: 'put', key: NUMBER_KEY, value: Buffer.from(String(number)), ifRevision: this.#number.revision },
        { kind: 'remove', key: WORKSPACE_PREFIX + workspace, ifRevision: row.revision },
        { kind: 'put', key: REMOVED_PREFIX + workspace, value: storedRemoval(removed), ifRevision: 0 }
      ])
      this.#number = { value: number, revision }
      this.#rows.delete(workspace)
      this.#byOwner.delete(ownerKey(before.service, before.owner))
      this.#removed.set(workspace, removed)
      return removed
    })
  }

  /** Workspaces that are no more, and of which somebody may have something yet. */
  allRemoved(): readonly RemovedWorkspace[] {
    return [...this.#removed.values()]
  }

  /** Null where nobody has anything of it any more, or where it was not removed. */
  removed(workspace: WorkspaceId): RemovedWorkspace | null {
    return this.#removed.get(workspace) ?? null
  }

  /** Who may still have files of a removed workspace: nobody means that it is forgotten altogether. Durable on return. */
  setHolders(workspace: WorkspaceId, holders: readonly PeerIdText[]): Promise<void> {
    return this.#writes.run(async () => {
      const removed = this.#removed.get(workspace)
      if (removed === undefined) return
      const key = REMOVED_PREFIX + workspace
      if (holders.length === 0) {
        await this.#store.remove(key, { ifRevision: 'any' })
        this.#removed.delete(workspace)
        return
      }
      const next = { ...removed, holders }
      await this.#store.put(key, storedRemoval(next), { ifRevision: 'any' })
      this.#removed.set(workspace, next)
    })
  }

  /** The epoch to which a promotion leads from this one. */
  epochAfter(epoch: number): number {
    return Math.max(epoch + 1, this.#epochFloor)
  }

  /**
   * Goes on above what was signed before and is not known any more: later records have numbers above `number`, and
   * later promotions lead to epochs of `epoch` at least. Never lowers either. Durable on return.
   */
  leap(to: { readonly number: number; readonly epoch: number }): Promise<void> {
    return this.#writes.run(async () => {
      const value = Math.max(to.number, this.#number.value)
      const epoch = Math.max(to.epoch, this.#epochFloor)
      const revision = await this.#store.transact([
        { kind: 'put', key: NUMBER_KEY, value: Buffer.from(String(value)), ifRevision: this.#number.revision },
        { kind: 'put', key: EPOCH_FLOOR_KEY, value: Buffer.from(String(epoch)), ifRevision: 'any' }
      ])
      this.#number = { value, revision }
      this.#epochFloor = epoch
    })
  }

  /**
   * What this coordinator signed once and does not know any more takes the place of what it knows, signed anew with the
   * next number. The caller says that the record is the newer one, and has leapt above its number. Durable on return.
   */
  adopt(record: Ownership, nowMs: number): Promise<OwnedWorkspace> {
    return this.#writes.run(async () => {
      const row = this.#rows.get(record.workspace)
      const before = row?.signed.value.home ?? null
      const former = row?.formerHomes ?? []
      const formerHomes = before === null || before === record.home ? former : remembered(former, before)
      return this.#write(record, { createdAtMs: row?.createdAtMs ?? nowMs, formerHomes, revision: row?.revision ?? 0 })
    })
  }

  #expect(workspace: WorkspaceId, epoch: number): Row {
    const row = this.#rows.get(workspace)
    if (row === undefined) throw new NodeDaemonError('NOT_FOUND', `no workspace ${workspace}`)
    const found = row.signed.value.epoch
    if (found !== epoch)
      throw new NodeDaemonError('CONFLICT', `workspace ${workspace} is in epoch ${found}, not ${epoch}`)
    return row
  }

  async #write(
    fields: Omit<Ownership, 'number' | 'federation'>,
    meta: { createdAtMs: number; formerHomes: readonly PeerIdText[]; revision: number }
  ): Promise<OwnedWorkspace> {
    const { createdAtMs, formerHomes } = meta
    const number = this.#number.value + 1
    const signed = await seal(ownershipRecord, { ...fields, number, federation: this.#identity.peerId }, this.#identity)
    const stored: StoredRow = { ownership: Buffer.from(signed.bytes).toString('base64'), createdAtMs, formerHomes }
    const revision = await this.#store.transact([
      { kind: 'put', key: NUMBER_KEY, value: Buffer.from(String(number)), ifRevision: this.#number.revision },
      {
        kind: 'put',
        key: WORKSPACE_PREFIX + fields.workspace,
        value: Buffer.from(JSON.stringify(stored)),
        ifRevision: meta.revision
      }
    ])
    this.#number = { value: number, revision }
    return this.#keep({ signed, createdAtMs, formerHomes, revision })
  }

  #keep(row: Row): Row {
    const { workspace, service, owner } = row.signed.value
    const before = this.#rows.get(workspace)?.signed.value
    if (before !== undefined && this.find(before.service, before.owner) === workspace) {
      this.#byOwner.delete(ownerKey(before.service, before.owner))
    }
    this.#rows.set(workspace, row)
    this.#byOwner.set(ownerKey(service, owner), workspace)
    return row
  }
}

const ownerKey = (service: ServiceName, owner: OwnerId): string => `${service}\n${owner}`

const storedRemoval = ({ signed, holders }: RemovedWorkspace): Uint8Array => {
  const stored: StoredRemoval = { ownership: Buffer.from(signed.bytes).toString('base64'), holders }
  return Buffer.from(JSON.stringify(stored))
}

const remembered = (homes: readonly PeerIdText[], home: PeerIdText): PeerIdText[] =>
  [...homes.filter((other) => other !== home), home].slice(-FORMER_HOMES_MAX)
