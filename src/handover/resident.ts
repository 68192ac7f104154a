import type { CID } from 'multiformats/cid'
import { withTimeout } from '../core/clock.ts'
import { open } from '../core/envelope.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, ServiceName, WorkspaceId } from '../core/ids.ts'
import { KeyedMutex, Mutex } from '../core/mutex.ts'
import { ownershipRecord, type SignedHead, type SignedOwnership } from '../core/records.ts'
import type { AcknowledgeLevel, Held, Order, Usage } from '../wire/control.ts'
import type { ReportedWorkspace } from '../wire/report.ts'
import type { Stay } from './growth.ts'
import { type HomePlace, notHome, type ResidentDeps } from './resident-deps.ts'

import { decodeRecord, encodeRecord, type ResidentRecord } from './resident-record.ts'
import { ResidentWorkspace } from './resident-workspace.ts'

/** The longest that a user's change waits to be durable elsewhere before it is answered with an error. */
const ACKNOWLEDGE_MS = 30_000

/** The highest ownership number that was seen, beside the records of workspaces. */
/** The highest number of what the coordinator has signed, beside the records. */
export const HIGHEST_KEY = 'highest-number'

/** A request's stay in a workspace. */
export interface Admission {
  readonly service: ServiceName
  readonly folder: string
  readonly staging: string
  /** Resolves once the change of these paths is acknowledged at the service's level. */
  wrote(paths: readonly string[]): Promise<void>
  /** Resolves once all that was changed before the call, by whatever program, is acknowledged at the service's level. */
  settled(): Promise<void>
  /** What is in the workspace, and what this request adds to it. */
  readonly stay: Pick<Stay, 'usedBytes' | 'take'>
  leave(): void
}

/** The workspaces that this instance is home or standby of, and the orders that change that. */
export class Resident {
  readonly #deps: ResidentDeps
  readonly #workspaces = new Map<WorkspaceId, ResidentWorkspace>()
  readonly #arrivals = new Mutex()
  readonly #work = new KeyedMutex<WorkspaceId>()
  #highestNumber = 0

  private constructor(deps: ResidentDeps) {
    this.#deps = deps
  }

  static async open(deps: ResidentDeps): Promise<Resident> {
    const resident = new Resident(deps)
    const highest = await deps.state.get(HIGHEST_KEY)
    if (highest !== null) resident.#highestNumber = Number(Buffer.from(highest).toString())
    for await (const [key, value] of deps.state.entries({ prefix: '' })) {
      if (key === HIGHEST_KEY) continue
      const stored = await decodeRecord(value, deps.coordinator)
      const workspace = key as WorkspaceId
      const record = { ...stored, suspect: stored.suspect || !deps.filesTrusted }
      // Durable: the next start may find the files where a power loss left them, and know nothing of it.
      if (!stored.suspect && record.suspect) await resident.#inner(workspace).save(record)
      resident.#workspaces.set(workspace, new ResidentWorkspace(resident.#inner(workspace), record))
      resident.#highestNumber = Math.max(resident.#highestNumber, record.ownership.value.number)
    }
    return resident
  }

  get ownershipNumber(): number {
    return this.#highestNumber
  }

  held(): Held[] {
    return [...this.#workspaces].map(([workspace, { record }]) => ({
      workspace,
      epoch: record.ownership.value.epoch,
      role: record.role,
      number: record.ownership.value.number,
      root: record.head?.value.root ?? null,
      sequence: record.head?.value.sequence ?? 0
    }))
  }

  /** What was signed for this instance, of some workspaces: those after this one, in the order of their ids. */
  *signed(after: WorkspaceId | null): Generator<ReportedWorkspace> {
    const later = [...this.#workspaces].filter(([workspace]) => after === null || workspace > after)
    for (const [, { record }] of later.sort(([a], [b]) => (a < b ? -1 : 1))) {
      const { ownership, head, published, role } = record
      const receipt = head !== null && published?.value.head.equals(head.cid) === true ? published.bytes : null
      yield { ownership: ownership.bytes, head: head?.bytes ?? null, receipt, role }
    }
  }

  usage(): Usage[] {
    return [...this.#workspaces]
      .filter(([, one]) => one.record.role === 'home')
      .map(([workspace, one]) => ({ workspace, ...one.usage() }))
  }

  /** What this instance is home of, with the sequence of the newest published head; 0 before the first. */
  homes(): { workspace: WorkspaceId; sequence: number }[] {
    return [...this.#workspaces]
      .filter(([, { record }]) => record.role === 'home')
      .map(([workspace, { record }]) => ({ workspace, sequence: record.head?.value.sequence ?? 0 }))
  }

  /** Where the files lie of what this instance is home of. */
  async places(): Promise<HomePlace[]> {
    const homes = [...this.#workspaces].filter(([, { record }]) => record.role === 'home')
    const found: HomePlace[] = []
    for (const [workspace, { record }] of homes) {
      const { service, epoch } = record.ownership.value
      found.push({ workspace, service, epoch, folder: (await this.#deps.premises(workspace)).folder })
    }
    return found
  }

  counts(): { home: number; standby: number; users: number } {
    const roles = [...this.#workspaces.values()].map(({ record }) => record)
    const homes = roles.filter(({ role }) => role === 'home')
    return {
      home: homes.length,
      standby: roles.filter(({ role }) => role === 'standby').length,
      users: new Set(homes.map(({ ownership }) => ownership.value.owner)).size
    }
  }

  usedBytes(): number {
    return [...this.#workspaces.values()].reduce((sum, { record }) => sum + (record.head?.value.bytes ?? 0), 0)
  }

  /**
   * Lets a request in.
   *
   * @throws NodeDaemonError `NOT_HOME` this instance may not serve the workspace in this epoch now
   */
  enter(workspace: WorkspaceId, epoch: number): Admission {
    const found = this.#workspaces.get(workspace)
    if (found === undefined || !this.#deps.leaseValid()) throw notHome(workspace)
    const { premises, stay, leave } = found.enter(epoch)
    const { service } = found.record.ownership.value
    return {
      service,
      folder: premises.folder,
      staging: premises.staging,
      wrote: (paths) =>
        this.#acknowledge(found, stay, (level) =>
          level === 'local' ? found.keepLocally(paths) : found.published(paths)
        ),
      settled: () => this.#acknowledge(found, stay, () => found.settled()),
      stay,
      leave: () => {
        stay.leave()
        leave()
      }
    }
  }

  async #acknowledge(
    { record }: ResidentWorkspace,
    stay: Stay,
    work: (level: AcknowledgeLevel) => Promise<void>
  ): Promise<void> {
    const { workspace, service } = record.ownership.value
    const { acknowledge, clock, leaseValid } = this.#deps
    const level = acknowledge(service)
    stay.wrote()
    if (level === 'local') {
      await work(level)
      // Asked again after the await: a lease that ended meanwhile acknowledges nothing.
      if (!leaseValid()) throw notHome(workspace)
      return
    }
    const what = 'making the change durable in the main repository'
    await withTimeout(clock, ACKNOWLEDGE_MS, what, () => work(level))
    stay.published()
  }

  /** Carries out what the coordinator says. Resolves with the receipt that it leaves, empty where it leaves none. */
  async order(order: Order): Promise<Uint8Array> {
    if (order.kind === 'freeze' || order.kind === 'restore') {
      await this.#arrivals.run(async () => undefined)
      return this.#work.run(order.workspace, () => this.#changeFiles(order))
    }
    // One after another: a signature that takes long to check must not change the order of the orders.
    const ownership = await this.#arrivals.run(() => open(ownershipRecord, order.ownership, this.#deps.coordinator))
    const { workspace } = ownership.value
    if (order.kind === 'assume' && order.secret !== undefined) this.#deps.apps?.keepSecret(workspace, order.secret)
    return this.#work.run(workspace, () => this.#change(order.kind, ownership))
  }

  async #changeFiles(order: Order & { readonly kind: 'freeze' | 'restore' }): Promise<Uint8Array> {
    const found = this.#existing(order.workspace)
    if (order.kind === 'restore') return (await found.restore(order.root, order.base))?.bytes ?? EMPTY
    await this.#deps.checkQuiet?.(order.workspace)
    await found.freeze()
    return EMPTY
  }

  async #change(kind: 'assume' | 'follow' | 'thaw' | 'release', ownership: SignedOwnership): Promise<Uint8Array> {
    const { workspace, number } = ownership.value
    const found = this.#workspaces.get(workspace)
    const seen = found?.record.ownership.value.number ?? 0
    if (number < seen) throw new NodeDaemonError('ROLLBACK', `ownership ${number} is older than ${seen}, already seen`)
    if (kind === 'assume' && ownership.value.home !== this.#deps.identity.peerId) throw notHome(workspace)
    this.#highestNumber = Math.max(this.#highestNumber, number)
    switch (kind) {
      case 'assume':
        return (await (found ?? this.#add(ownership)).assume(ownership))?.bytes ?? EMPTY
      case 'follow':
        await (found ?? this.#add(ownership)).follow(ownership)
        return EMPTY
      case 'thaw':
        await this.#existing(workspace).thaw(ownership)
        return EMPTY
      case 'release':
        if (ownership.value.removed === true) await this.#erase(workspace)
        else if (found !== undefined && (await found.release(ownership)) === 'gone') this.#workspaces.delete(workspace)
        return EMPTY
    }
  }

  async #erase(workspace: WorkspaceId): Promise<void> {
    await this.#workspaces.get(workspace)?.erase()
    this.#workspaces.delete(workspace)
  }

  #existing(workspace: WorkspaceId): ResidentWorkspace {
    const found = this.#workspaces.get(workspace)
    if (found === undefined) throw notHome(workspace)
    return found
  }

  #add(ownership: SignedOwnership): ResidentWorkspace {
    const { workspace } = ownership.value
    const none = { head: null, receipt: null, published: null, keptUntilMs: null, suspect: false, restoring: false }
    const record: ResidentRecord = { role: 'new', ownership, ...none }
    const added = new ResidentWorkspace(this.#inner(workspace), record)
    this.#workspaces.set(workspace, added)
    return added
  }

  #inner(workspace: WorkspaceId): ConstructorParameters<typeof ResidentWorkspace>[0] {
    const { state } = this.#deps
    return {
      ...this.#deps,
      workspace,
      save: (record) => state.write({ put: [[workspace, encodeRecord(record)]] }, { durable: true }),
      forget: () => {
        // What is forgotten with the record must not be: that the coordinator has signed so far.
        const highest = Buffer.from(String(this.#highestNumber))
        return state.write({ remove: [workspace], put: [[HIGHEST_KEY, highest]] }, { durable: true })
      }
    }
  }

  /** Looks at all files of what this instance is home of, one workspace after another: a watcher may have missed a change. */
  async lookAgain(signal: AbortSignal): Promise<void> {
    for (const [workspace, found] of [...this.#workspaces]) {
      if (signal.aborted) return
      await found
        .lookAgain()
        .catch((error: unknown) =>
          this.#deps.log.debug({ workspace, error: messageOf(error) }, 'the files were not looked at again')
        )
    }
  }

  /** May the peer have blocks of the workspace: is it the coordinator, its home or one of its standbys? */
  mayRead(peer: PeerIdText, workspace: WorkspaceId): boolean {
    const found = this.#workspaces.get(workspace)
    if (found === undefined) return false
    const { home, standbys } = found.record.ownership.value
    return peer === this.#deps.coordinator || peer === home || standbys.includes(peer)
  }

  /** A block of what was last published from here or applied here, verified; null where it is not on this disk any more. */
  async readBlock(workspace: WorkspaceId, cid: CID): Promise<Uint8Array | null> {
    if (!this.#workspaces.has(workspace)) return null
    return (await this.#deps.premises(workspace)).worktree.readBlock(cid)
  }

  /** The folder of a workspace was taken away while it was served. */
  folderLost(workspace: WorkspaceId): void {
    this.#workspaces.get(workspace)?.folderLost()
  }

  /** A workspace that is followed has a newer head. */
  told(head: SignedHead): void {
    this.#workspaces.get(head.value.workspace)?.told(head)
  }

  /** The connection was made anew. */
  reconnected(): void {
    for (const workspace of this.#workspaces.values()) workspace.reconnected()
  }

  /**
   * Publishes everything that is not published yet.
   *
   * @throws NodeDaemonError `INCOMPLETE` naming how many workspaces are not durable elsewhere
   */
  async flush(timeoutMs: number): Promise<void> {
    const homes = [...this.#workspaces.values()].filter(({ record }) => record.role === 'home')
    const flushed = await withTimeout(this.#deps.clock, timeoutMs, 'publishing what is left', () =>
      Promise.allSettled(homes.map((home) => home.flush()))
    )
    const failed = flushed.filter((one) => one.status === 'rejected')
    const [first] = failed
    if (first === undefined) return
    const why = messageOf(first.reason)
    throw new NodeDaemonError('INCOMPLETE', `${failed.length} workspaces are not durable elsewhere: ${why}`)
  }

  /** Why a newer snapshot is postponed, of the first workspace that has one; null where none is. */
  postponed(): string | null {
    for (const [workspace, { postponed }] of this.#workspaces) {
      if (postponed !== null) return `workspace ${workspace.slice(0, 8)}: ${postponed}`
    }
    return null
  }

  unsynced(): { bytes: number; ageMs: number } {
    const all = [...this.#workspaces.values()].map((one) => one.usage())
    return {
      bytes: all.reduce((sum, { unsyncedBytes }) => sum + unsyncedBytes, 0),
      ageMs: all.reduce((oldest, { unsyncedAgeMs }) => Math.max(oldest, unsyncedAgeMs), 0)
    }
  }

  /** Removes the files of workspaces that are neither home nor standby here: those whose time is over, or all. */
  async removeKept(which: 'expired' | 'all'): Promise<number> {
    let files = 0
    for (const [workspace, found] of this.#workspaces) {
      await this.#work.run(workspace, async () => {
        const removed = await found.removeKept(which)
        if (removed === null) return
        files += removed
        this.#workspaces.delete(workspace)
      })
    }
    return files
  }

  /** Stops syncing and watching. Everything stays on disk. */
  async close(): Promise<void> {
    for (const workspace of this.#workspaces.values()) workspace.end()
    for (const [workspace, found] of this.#workspaces) {
      await this.#work
        .run(workspace, () => found.close())
        .catch((error: unknown) =>
          this.#deps.log.warn({ workspace, error: messageOf(error) }, 'a workspace was not closed')
        )
    }
  }
}

const EMPTY = new Uint8Array(0)
