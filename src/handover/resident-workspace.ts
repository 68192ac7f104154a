import type { CID } from 'multiformats/cid'
import type { Instant } from '../core/clock.ts'
import type { Signed } from '../core/envelope.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import { Mutex } from '../core/mutex.ts'
import type { Receipt, SignedHead, SignedOwnership } from '../core/records.ts'
import { applyHead, applyRoot, receiptFor, type StandbySync } from '../sync/standby.ts'
import type { Usage } from '../wire/control.ts'
import type { Stay } from './growth.ts'
import { handInDiverged, readAgain } from './hand-in.ts'
import { isPublishedHere, newestKnown, staysHome } from './own-tip.ts'
import { notHome, type Premises, type ResidentDeps } from './resident-deps.ts'
import type { ResidentRecord } from './resident-record.ts'
import { ServingHome } from './serving-home.ts'
import { standBy, tellHeld } from './stand-by.ts'
import { usageOf } from './usage-of.ts'

export interface ResidentWorkspaceDeps extends ResidentDeps {
  readonly workspace: WorkspaceId
  /** Durable on return. */
  readonly save: (record: ResidentRecord) => Promise<void>
  readonly forget: () => Promise<void>
}

const SETTLED = { suspect: false, restoring: false } as const

/** One workspace on this instance: its role, and what runs for it. Its methods are called one at a time. */
export class ResidentWorkspace {
  readonly #deps: ResidentWorkspaceDeps
  /** Aborted when this process ends: what waits for a repository that is away must not keep it. */
  readonly #ending = new AbortController()
  readonly #saves = new Mutex()
  #record: ResidentRecord
  #home: ServingHome | null = null
  #idleSince: Instant
  #standby: StandbySync | null = null

  constructor(deps: ResidentWorkspaceDeps, record: ResidentRecord) {
    this.#deps = deps
    this.#record = record
    this.#idleSince = deps.clock.now()
  }

  get record(): Omit<ResidentRecord, 'role'> & { readonly role: 'home' | 'standby' | 'kept' } {
    const { role } = this.#record
    return { ...this.#record, role: role === 'new' ? 'standby' : role }
  }

  /** Lets a request in, where this is the serving home in this epoch. `leave` must be called once. */
  enter(epoch: number): { readonly premises: Premises; readonly stay: Stay; readonly leave: () => void } {
    const home = this.#home
    const current = this.#record.ownership.value.epoch
    if (home?.takesRequests !== true || epoch !== current) throw notHome(this.#deps.workspace)
    // Of the home that it entered: a later epoch counts its own requests.
    return { premises: home.premises, stay: home.growth.begin(), leave: home.enter() }
  }

  published(paths: readonly string[]): Promise<void> {
    return this.#serving().sync.published(paths)
  }

  /** Makes the paths durable on this disk; they are published in the background. */
  keepLocally(paths: readonly string[]): Promise<void> {
    return this.#asHome((home) => home.keepLocally(paths))
  }

  /** Everything that was changed before the call is acknowledged at the service's level on return. */
  settled(): Promise<void> {
    return this.#asHome((home) => home.settled())
  }

  async #asHome(work: (home: ServingHome) => Promise<void>): Promise<void> {
    const home = this.#serving()
    await work(home)
    // Asked again after the await: who is not the home any more acknowledges nothing.
    if (home.fenced || home !== this.#home) throw notHome(this.#deps.workspace)
  }

  /** As this process ends: everything that was changed is durable in the repository on return. */
  async flush(): Promise<void> {
    await this.#serving().lastFlush()
  }

  /** Why a newer snapshot is postponed; null where none is. */
  get postponed(): string | null {
    return this.#home?.sync.postponed?.message ?? null
  }

  /** Looks at all files, where it serves and nothing is being published. Resolves once what was found is durable in the repository. */
  async lookAgain(): Promise<void> {
    const home = this.#home
    if (home?.takesRequests !== true || !home.sync.isAtRest) return
    await home.sync.lookAgain()
  }

  usage(): Omit<Usage, 'workspace'> {
    return usageOf(this.#home?.sync ?? null, this.#record, this.#deps.clock.now() - this.#idleSince)
  }

  told(head: SignedHead): void {
    this.#standby?.told(head)
  }

  reconnected(): void {
    const { members, leaseValid, workspace, log } = this.#deps
    tellHeld(members, this.#record)
    this.#home?.reconnected(leaseValid())
    this.#standby?.refresh().catch((error: unknown) => {
      log.debug({ workspace, error: messageOf(error) }, 'a standby did not catch up yet')
    })
  }

  /** Becomes the home: applies the base, then serves. Resolves with the receipt for the base. */
  async assume(ownership: SignedOwnership): Promise<Signed<Receipt> | null> {
    const { epoch } = this.#record.ownership.value
    const same = this.#record.role === 'home' && epoch === ownership.value.epoch
    if (same && this.#home?.fenced === false) {
      await this.#save({ ownership })
      this.#home.thaw()
      return null
    }
    if (!same) return this.#takeOver(ownership)
    await this.close()
    return this.#resume(ownership)
  }

  /**
   * The process was away: what it had published is in the repository, what it had not is on this disk. Files that are
   * gone, that a power loss may have cut, or that are older than what was published from here are fetched again: to
   * publish them would undo what users have.
   */
  async #resume(ownership: SignedOwnership): Promise<null> {
    const tip = newestKnown(this.#record, await this.#tip())
    const { suspect, restoring } = this.#record
    const trusted = !suspect && !restoring && isPublishedHere(this.#record, tip)
    await this.#save({ ownership, head: tip })
    if (tip !== null && (await this.#forgetLostFolder())) {
      await this.#apply(tip)
    } else if (tip !== null && !trusted) {
      await this.#handInDiverged('beside')
      await this.#apply(tip)
    }
    await this.#save({ ...SETTLED })
    await this.#serve(tip)
    return null
  }

  /** Its folder was taken away: it serves nothing until it is told again that it is the home. */
  folderLost(): void {
    this.#home?.fence()
  }

  async #takeOver(ownership: SignedOwnership): Promise<Signed<Receipt> | null> {
    const suspect = this.#isSuspectStill
    await this.close()
    const base = await this.#tip()
    if (staysHome(this.#record, ownership, base, this.#deps.identity.peerId)) return this.#resume(ownership)
    await this.#quit()
    if ((base === null) !== (ownership.value.base === null) || base?.cid.equals(ownership.value.base) === false) {
      throw new NodeDaemonError('INTEGRITY', `the newest head of ${this.#deps.workspace} is not the base of its epoch`)
    }
    if (base === null) await (await this.#premises()).worktree.remove()
    const receipt = base === null ? null : await this.#receiptFor(base, suspect)
    await this.#save({ role: 'home', ownership, head: base, receipt: null, keptUntilMs: null, ...SETTLED })
    await this.#serve(base)
    return receipt
  }

  /** Were the files not read since power was lost? A home reads them as it hands in what it had not published. */
  get #isSuspectStill(): boolean {
    return this.#record.suspect && this.#record.role !== 'home'
  }

  /** A standby that is at the head already has signed for it, unless power was lost since; any other applies it first. */
  async #receiptFor(head: SignedHead, suspect: boolean): Promise<Signed<Receipt>> {
    const { role, receipt } = this.#record
    if (role === 'standby' && !suspect && receipt?.value.head.equals(head.cid) === true) return receipt
    return this.#apply(head, suspect)
  }

  async #apply(head: SignedHead, suspect = false): Promise<Signed<Receipt>> {
    const { worktree } = await this.#premises()
    return applyHead({ ...this.#deps, worktree, readAll: () => suspect }, head, this.#ending.signal)
  }

  async #tip(): Promise<SignedHead | null> {
    const remote = await this.#deps.remote(this.#ending.signal)
    return remote.tip(this.#deps.workspace)
  }

  #premises(): Promise<Premises> {
    return this.#deps.premises(this.#deps.workspace)
  }

  async #serve(tip: SignedHead | null, frozen = false): Promise<void> {
    const { ownership } = this.#record
    const onPublished = async (head: SignedHead, published: Signed<Receipt> | null): Promise<void> => {
      await this.#save({ head, published })
      this.#deps.members.holds(head)
    }
    this.#home = await ServingHome.open(this.#deps, { ownership, tip, frozen, onPublished })
  }

  /**
   * Ends the requests in flight and publishes the last snapshot; hooks run around it, also where nothing has changed.
   * Requests are refused from here until `thaw`, or until this fails: what a failed `before-snapshot` says is thrown.
   */
  async freeze(): Promise<void> {
    await this.#serving().freeze()
  }

  /**
   * Makes the workspace equal to a tree of the repository, publishes that as the next head, and serves on. Where it is
   * not frozen yet, what was changed before is published first. Broken off at any moment, what is served next is the
   * newest head.
   *
   * @returns its receipt for the new head; null where something else was changed at the same time
   * @throws NodeDaemonError `CONFLICT` the newest head is not `base`: it stays as frozen as it was; what it throws
   *   otherwise leaves the files as they were
   */
  async restore(root: CID, base: CID): Promise<Signed<Receipt> | null> {
    const home = this.#serving()
    const wasFrozen = home.frozen
    if (!wasFrozen) await home.freeze()
    const { tip } = home.sync
    if (tip?.cid.equals(base) !== true) {
      if (!wasFrozen) home.thaw()
      throw this.#isNot(base)
    }
    // Durable before the first file is touched; from here on nothing is published until all are replaced.
    await this.#save({ restoring: true })
    await this.close()
    const last = home.sync.tip
    if (last !== tip) {
      await this.#serveAgain(last, wasFrozen)
      throw this.#isNot(base)
    }
    try {
      return await this.#replaceFiles(root, tip)
    } catch (error) {
      await this.close()
      await this.#apply(tip)
      await this.#serveAgain(tip)
      throw error
    }
  }

  #isNot(base: CID): NodeDaemonError {
    return new NodeDaemonError('CONFLICT', `the newest head of ${this.#deps.workspace} is not ${base}`)
  }

  async #serveAgain(tip: SignedHead | null, frozen = false): Promise<void> {
    await this.#save({ restoring: false })
    await this.#serve(tip, frozen)
  }

  async #replaceFiles(root: CID, tip: SignedHead): Promise<Signed<Receipt> | null> {
    const { worktree } = await this.#premises()
    const applied = await applyRoot({ ...this.#deps, worktree }, this.#deps.workspace, root, this.#ending.signal)
    await this.#serve(tip, true)
    const home = this.#serving()
    await home.sync.published()
    const head = home.sync.tip
    await this.#save({ restoring: false })
    home.thaw()
    return head?.value.root.equals(root) === true ? receiptFor(this.#deps, head, applied) : null
  }

  async thaw(ownership: SignedOwnership): Promise<void> {
    const home = this.#serving()
    if (ownership.value.home !== this.#deps.identity.peerId) throw notHome(this.#deps.workspace)
    await this.#save({ ownership })
    home.thaw()
  }

  async follow(ownership: SignedOwnership): Promise<void> {
    const following = this.#standby
    if (following !== null) {
      await this.#save({ ownership })
      if (!following.isTold) await following.refresh()
      return
    }
    const suspect = this.#isSuspectStill
    await this.#quit()
    const own = this.#record.role === 'standby' && !suspect ? this.#record.receipt : null
    await this.#save({ role: 'standby', ownership, receipt: own, keptUntilMs: null, suspect, restoring: false })
    const { worktree } = await this.#premises()
    const { head, receipt } = this.#record
    const applied = head === null || receipt === null ? null : { head, receipt }
    const save = (changes: Partial<ResidentRecord>): Promise<void> => this.#save(changes)
    const standby = standBy(this.#deps, { worktree, applied, save, record: () => this.#record })
    this.#standby = standby
    await standby.refresh()
  }

  /** Has no more to do with the workspace. A former home keeps the files for a while, a standby removes them. */
  async release(ownership: SignedOwnership): Promise<'kept' | 'gone'> {
    const wasHome = this.#record.role === 'home'
    await this.#quit()
    if (wasHome) {
      const keptUntilMs = this.#deps.clock.wall() + this.#deps.keepMs()
      await this.#save({ role: 'kept', ownership, receipt: null, keptUntilMs, ...SETTLED })
      return 'kept'
    }
    if (this.#record.role === 'kept') return 'kept'
    await this.#remove()
    return 'gone'
  }

  /** Removes the files where they are only kept. Resolves with how many; null where they stay. */
  async removeKept(which: 'expired' | 'all'): Promise<number | null> {
    const { role, keptUntilMs, head } = this.#record
    if (role === 'home' || (role === 'standby' && which === 'expired')) return null
    if (which === 'expired' && (keptUntilMs ?? 0) > this.#deps.clock.wall()) return null
    await this.#quit()
    await this.#remove()
    return head?.value.files ?? 0
  }

  /** The workspace is no more: nothing of it stays here, published or not. */
  async erase(): Promise<void> {
    this.#deps.members.letGo(this.#deps.workspace)
    await this.close()
    await this.#remove()
  }

  async #remove(): Promise<void> {
    await this.#empty()
    await this.#deps.forget()
  }

  /** What is removed in part only, where the disk fails, must not pass for the head that it was. */
  async #empty(): Promise<void> {
    await this.#save({ receipt: null })
    await (await this.#premises()).worktree.remove()
  }

  /** Ends what waits for the repository, at once. Only `close` may follow. */
  end(): void {
    this.#ending.abort(new NodeDaemonError('CLOSED', 'this instance is stopping'))
    this.#home?.end()
    void this.#standby?.stop()
  }

  async close(): Promise<void> {
    const [home, standby] = [this.#home, this.#standby]
    if (home !== null) this.#idleSince = this.#deps.clock.now()
    this.#home = null
    this.#standby = null
    await home?.close()
    await standby?.stop()
  }

  /** Leaves the role it has. What a former home had not published is handed in as a diverged head first. */
  async #quit(): Promise<void> {
    this.#deps.members.letGo(this.#deps.workspace)
    const wasHome = this.#record.role === 'home'
    await this.close()
    if (await this.#forgetLostFolder()) return
    if (wasHome) await this.#handInDiverged('after')
  }

  /** A folder that was taken away, or that a power loss took, holds nothing any more: what is remembered of it would be wrong. */
  async #forgetLostFolder(): Promise<boolean> {
    const { workspace, log } = this.#deps
    const { worktree } = await this.#premises()
    if (!(await worktree.folderIsGone())) return false
    log.warn({ workspace }, 'the folder of a workspace is gone: its files are fetched again')
    await this.#empty()
    return true
  }

  async #handInDiverged(place: 'after' | 'beside'): Promise<void> {
    const { worktree } = await this.#premises()
    const { restoring, suspect } = this.#record
    if (restoring) {
      // All that was acknowledged was published before the files began to be replaced: what is there is nobody's work.
      if (suspect) await readAgain(worktree, this.#ending.signal)
      return
    }
    await handInDiverged({ ...this.#deps, worktree }, this.#record, place, this.#ending.signal)
  }

  #serving(): ServingHome {
    if (this.#home === null) throw notHome(this.#deps.workspace)
    return this.#home
  }

  async #save(changes: Partial<ResidentRecord>): Promise<void> {
    this.#record = { ...this.#record, ...changes }
    // One at a time: what is written last is the newest.
    await this.#saves.run(() => this.#deps.save(this.#record))
  }
}
