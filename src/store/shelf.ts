import type { CID } from 'multiformats/cid'
import { type Block, DAG_PB_CODEC, matches, RAW_CODEC, verifyBlock } from '../core/blocks.ts'
import type { Clock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Location, Position } from './car.ts'
import type { ClosureView, HeldState } from './closure.ts'
import { type Counters, NO_COUNTERS } from './counters.ts'
import { DamageRows } from './damage-rows.ts'
import { type Disk, isUnreadable } from './disk.ts'
import { FreeRoom } from './free-room.ts'
import { Horizon } from './horizon.ts'
import type { LevelStore } from './level.ts'
import type { Marks } from './marks.ts'
import type { Packs } from './packs.ts'
import * as rows from './rows.ts'
import { StagedRows } from './staged.ts'

const STAGED_ROWS = 16_384
const UNSYNCED_BYTES = 64 * 1024 * 1024
const CHECKPOINT_ROW_BYTES = 4 * 1024 * 1024

interface ShelfDeps {
  readonly clock: Clock
  readonly level: LevelStore
  readonly packs: Packs
  readonly disk: Disk
  readonly log: Logger
  readonly reserveBytes: number
  readonly checkpointBytes: number
}

/** Where a block was written; `again` if the index knew another place of it before. */
export interface Written extends Location {
  readonly again?: boolean
}

interface Opened {
  readonly generation: number
  readonly counters: Counters
  readonly checkpoint: Position | null
  readonly staged: StagedRows
  readonly damage: DamageRows
}

/**
 * The repository's blocks: the packs, and the index over them. After a failed write it is `failed`: nothing is written
 * any more, what was staged is forgotten, and reading goes on, until it is opened anew.
 */
export class Shelf {
  readonly staged: StagedRows
  readonly packs: Packs
  readonly counters: Counters
  readonly horizon: Horizon
  readonly damage: DamageRows
  readonly #log: Logger
  readonly #room: FreeRoom
  readonly #reserveBytes: number
  readonly #checkpointBytes: number
  #generation: number
  #touched: Marks | null = null
  #failure: unknown = null
  #settling: Promise<void> = Promise.resolve()
  #next: Promise<void> | null = null
  #rowBytes = 0
  #unsynced = 0
  #checkpoint: Position | null
  /** Until the packs are replayed, the index must not be called complete up to anywhere. */
  #replayed = false
  #checkpointWanted = false

  private constructor(deps: ShelfDeps, opened: Opened) {
    this.staged = opened.staged
    this.packs = deps.packs
    this.horizon = new Horizon(deps.clock, deps.packs.end)
    this.damage = opened.damage
    this.#room = new FreeRoom(deps.disk, deps.clock)
    this.#log = deps.log
    this.#reserveBytes = deps.reserveBytes
    this.#checkpointBytes = deps.checkpointBytes
    this.#generation = opened.generation
    this.counters = opened.counters
    this.#checkpoint = opened.checkpoint
  }

  static async open(deps: ShelfDeps): Promise<Shelf> {
    const generation = await deps.level.get(rows.GENERATION_KEY)
    const counters = await deps.level.get(rows.COUNTERS_KEY)
    const checkpoint = await deps.level.get(rows.CHECKPOINT_KEY)
    const staged = new StagedRows(deps.level)
    return new Shelf(deps, {
      staged,
      damage: await DamageRows.open(staged, deps.level),
      generation: generation === null ? 1 : Number(rows.decodeJson(generation)),
      counters: { ...NO_COUNTERS, ...(counters === null ? {} : (rows.decodeJson(counters) as Partial<Counters>)) },
      checkpoint: checkpoint === null ? null : rows.decodePosition(checkpoint)
    })
  }

  /** What made it fail; null while it is whole. */
  get failure(): unknown {
    return this.#failure
  }

  /** Rises whenever a block is found damaged. */
  get generation(): number {
    return this.#generation
  }

  /** Up to here the index is certain to know the packs. */
  get checkpoint(): Position | null {
    return this.#checkpoint
  }

  async locations(cids: readonly CID[]): Promise<(Location | null)[]> {
    const found = await this.staged.getMany(cids.map(rows.blockKey))
    return found.map((row) => (row === null ? null : rows.decodeLocation(row)))
  }

  async links(workspace: WorkspaceId, cids: readonly CID[]): Promise<(rows.Link | null)[]> {
    const found = await this.staged.getMany(cids.map((cid) => rows.linkKey(workspace, cid)))
    return found.map((row) => (row === null ? null : rows.decodeLink(row)))
  }

  /** How `checkClosure` sees a workspace: with these blocks at hand. */
  view(workspace: WorkspaceId, fresh: ReadonlyMap<string, Uint8Array> = new Map()): ClosureView {
    return this.#view(workspace, fresh, false)
  }

  /** The same, where whatever the packs have is linked to the workspace on the way, and whatever is missing is listed as damaged. */
  adopting(workspace: WorkspaceId): ClosureView {
    const missing = async (cid: CID): Promise<void> => {
      this.damage.stageLack(workspace, cid)
      this.#touched?.add(cid)
      await this.#settleWhenFull()
    }
    return { ...this.#view(workspace, new Map(), true), missing }
  }

  #view(workspace: WorkspaceId, fresh: ReadonlyMap<string, Uint8Array>, adopt: boolean): ClosureView {
    // A conclusion drawn before a block was found damaged must not outlive that.
    const generation = this.#generation
    return {
      states: (cids) => this.#states(workspace, cids, generation, adopt),
      load: async (cid) => fresh.get(cid.toString()) ?? (await this.read(cid)),
      closed: async (cid, counts) => {
        this.staged.stage(rows.linkKey(workspace, cid), rows.encodeLink({ closed: { generation, counts } }))
        await this.#settleWhenFull()
      }
    }
  }

  /**
   * Keeps blocks for a workspace, once all of them are verified. They are durable after the next `settle`.
   *
   * @returns nodes that are held again and below which heads need more than is linked to their workspaces: see `adopt`
   */
  async keep(workspace: WorkspaceId, blocks: readonly Block[]): Promise<CID[]> {
    const generation = this.#generation
    const unique = [...new Map(blocks.map((block) => [block.cid.toString(), checked(block)])).values()]
    const cids = unique.map(({ cid }) => cid)
    const locations = await this.locations(cids)
    const known = cids.filter((_, index) => locations[index] !== null)
    const unlinked = await this.#unlinked(workspace, known)
    const link = ({ cid, bytes }: Block): void => this.#stageLink(workspace, cid, bytes.length, generation)
    const fresh = unique.filter((_, index) => locations[index] === null)
    const hurt = await this.damage.among(unique)
    const mended = new Set(hurt.filter(({ open }) => !open).map(({ cid }) => cid.toString()))
    if (fresh.length > 0) {
      await this.#refuseWithoutRoom(fresh)
      await this.append(fresh, (places) => {
        for (const [index, place] of places.entries()) this.stageBlock(fresh[index]?.cid, place)
        for (const block of fresh) link(block)
        this.damage.stageMended(fresh.flatMap(({ cid }) => (mended.has(cid.toString()) ? [cid] : [])))
      })
    }
    this.refuseFailed()
    for (const [index, block] of unique.entries()) {
      if (locations[index] !== null && unlinked.has(block.cid.toString())) link(block)
    }
    await this.endDamage(known.filter((cid) => mended.has(cid.toString())))
    await this.#settleWhenFull()
    return hurt.filter(({ open }) => open).map(({ cid }) => cid)
  }

  async #unlinked(workspace: WorkspaceId, cids: readonly CID[]): Promise<Set<string>> {
    const links = cids.length === 0 ? [] : await this.links(workspace, cids)
    return new Set(cids.filter((_, index) => links[index] === null).map(String))
  }

  /** Those of these blocks that have a place count as damaged no more. */
  async endDamage(cids: readonly CID[]): Promise<void> {
    if (cids.length === 0) return
    const generation = this.#generation
    const locations = await this.locations(cids)
    // One of them was found damaged again: what was read may not be true any more.
    if (generation !== this.#generation) return await this.endDamage(cids)
    this.damage.stageMended(cids.filter((_, index) => locations[index] !== null))
  }

  /** Adds every block that is placed or linked from now on, until the returned function is called. One at a time. */
  watch(touched: Marks): () => void {
    this.#touched = touched
    return () => {
      this.#touched = null
    }
  }

  /** Appends blocks of whatever kind; `onWritten` stages what follows from them. */
  async append(blocks: readonly Block[], onWritten: (locations: readonly Location[]) => void): Promise<void> {
    this.refuseFailed()
    this.#unsynced += blocks.reduce((sum, { bytes }) => sum + bytes.length, 0)
    await this.packs.append(blocks, onWritten)
    this.horizon.note(this.packs.end)
  }

  stageBlock(cid: CID | undefined, location: Written): void {
    if (cid === undefined) return
    const key = rows.blockKey(cid)
    if (location.again !== true && !this.staged.isStaged(key)) {
      this.counters.blocks++
      this.counters.storedBytes += location.length
    }
    this.staged.stage(key, rows.encodeLocation(location))
    this.#touched?.add(cid)
  }

  /** The verified bytes of a block, whoever holds it. What is damaged is quarantined. */
  async read(cid: CID): Promise<Uint8Array | null> {
    const [location] = await this.locations([cid])
    if (location === undefined || location === null) return null
    const bytes = await this.#bytesAt(location)
    if (bytes !== null && matches({ cid, bytes })) return bytes
    await this.#quarantine(cid, location)
    return null
  }

  /** On return everything that was kept and staged before the call is durable and indexed. Calls share their syncs. */
  settle(): Promise<void> {
    if (this.#next === null) {
      const turn = this.#settling.then(
        () => this.#settleNow(),
        () => this.#settleNow()
      )
      this.#next = turn
      this.#settling = turn
    }
    return this.#next
  }

  /** As `settle`; the index is durable too, so that the next start has nothing to replay. */
  saveIndex(): Promise<void> {
    this.#checkpointWanted = true
    return this.settle()
  }

  /** The index knows all that the packs hold. */
  replayed(): void {
    this.#replayed = true
  }

  /** @throws NodeDaemonError `BUSY` after a failed write, until the repository has recovered */
  refuseFailed(): void {
    if (this.#failure === null) return
    throw new NodeDaemonError('BUSY', 'the repository is recovering from a failed write; try again', {
      cause: this.#failure
    })
  }

  async #settleNow(): Promise<void> {
    this.#next = null
    this.refuseFailed()
    const end = this.packs.end
    const { put, remove } = this.staged.take()
    const counters = rows.encodeJson(this.counters)
    this.#unsynced = 0
    try {
      await this.packs.commit()
      const marks = [
        [rows.COUNTERS_KEY, counters],
        [rows.INDEXED_KEY, rows.encodePosition(end)]
      ] as const
      if (put.length + remove.length > 0) {
        await this.staged.level.write({ put: [...put, ...marks], remove }, { durable: false })
      }
      this.staged.written()
      this.#rowBytes += put.reduce((sum, [key, value]) => sum + key.length + value.length, 0)
      this.#rowBytes += remove.reduce((sum, key) => sum + key.length, 0)
      if (this.#checkpointIsDue(end)) await this.#writeCheckpoint(end)
    } catch (error) {
      this.#fail(error)
      throw error
    }
  }

  #checkpointIsDue(end: Position): boolean {
    if (!this.#replayed) return false
    if (this.#checkpointWanted) return true
    const since = end.pack === this.#checkpoint?.pack ? end.offset - this.#checkpoint.offset : end.offset
    return this.#rowBytes >= CHECKPOINT_ROW_BYTES || since >= this.#checkpointBytes
  }

  async #writeCheckpoint(end: Position): Promise<void> {
    const position = rows.encodePosition(end)
    const put = [
      [rows.CHECKPOINT_KEY, position],
      [rows.INDEXED_KEY, position]
    ] as const
    await this.staged.level.write({ put }, { durable: true })
    this.#checkpoint = end
    this.#checkpointWanted = false
    this.#rowBytes = 0
  }

  #fail(error: unknown): void {
    this.#failure ??= error
    this.staged.lost()
    this.#log.error({ error }, 'the repository could not be written; it is brought in order with the next write')
  }

  async #settleWhenFull(): Promise<void> {
    if (this.staged.size > STAGED_ROWS || this.#unsynced > UNSYNCED_BYTES) await this.settle()
  }

  async #refuseWithoutRoom(blocks: readonly Block[]): Promise<void> {
    if (this.#reserveBytes === 0) return
    const wanted = blocks.reduce((sum, { bytes }) => sum + bytes.length, 0)
    if (await this.#room.take(wanted, this.#reserveBytes)) return
    throw new NodeDaemonError('NO_SPACE', 'the main repository has no room for more', {
      advice: 'free some space on the disk of the main repository; writing goes on by itself once there is room'
    })
  }

  #closedCounts(link: rows.Link | null | undefined): rows.Counts | null {
    return link?.closed?.generation === this.#generation ? link.closed.counts : null
  }

  async #states(
    workspace: WorkspaceId,
    cids: readonly CID[],
    generation: number,
    adopt: boolean
  ): Promise<HeldState[]> {
    const links = await this.links(workspace, cids)
    const open = (index: number): boolean => this.#closedCounts(links[index]) === null
    const asked = cids.filter((_, index) => open(index) && (adopt || links[index] !== null))
    const found = (await this.locations(asked)).values()
    return cids.map((cid, index) => {
      const closed = this.#closedCounts(links[index])
      if (closed !== null) return { held: true, bytes: 0, closed }
      const location = adopt || links[index] !== null ? (found.next().value ?? null) : null
      if (location === null) return { held: false, bytes: 0, closed: null }
      if (links[index] === null) this.#stageLink(workspace, cid, location.length, generation)
      return { held: true, bytes: location.length, closed: null }
    })
  }

  #stageLink(workspace: WorkspaceId, cid: CID, bytes: number, generation: number): void {
    const leaf = { closed: { generation, counts: { blocks: 1, bytes } } }
    const link = cid.code === RAW_CODEC ? leaf : rows.HELD
    this.staged.stage(rows.linkKey(workspace, cid), rows.encodeLink(link))
    this.#touched?.add(cid)
  }

  /** Null where the place cannot be read. */
  async #bytesAt(location: Location): Promise<Uint8Array | null> {
    try {
      return await this.packs.read(location)
    } catch (error) {
      if (isUnreadable(error)) return null
      throw error
    }
  }

  /** Forgets where a damaged block lies, and every conclusion about closures that may rest on it. */
  async #quarantine(cid: CID, location: Location): Promise<void> {
    const key = rows.blockKey(cid)
    const [row = null, listed = null] = await this.staged.getMany([key, rows.damagedKey(cid)])
    if (row === null || !Buffer.from(rows.encodeLocation(location)).equals(row)) return
    this.#log.error({ cid: cid.toString(), ...location }, 'a block of the repository is damaged and set aside')
    this.#generation++
    this.counters.blocks--
    this.counters.storedBytes -= location.length
    const damage = this.damage.rowOf(cid, listed)
    // What is staged says the same at once, whatever said otherwise.
    this.staged.remove(key)
    for (const [name, value] of damage) this.staged.stage(name, value)
    const put = [[rows.GENERATION_KEY, rows.encodeJson(this.#generation)] as const, ...damage]
    await this.staged.level.write({ put, remove: [key] }, { durable: true })
  }
}

function checked(block: Block): Block {
  if (block.cid.code !== RAW_CODEC && block.cid.code !== DAG_PB_CODEC) {
    throw new NodeDaemonError('BAD_REQUEST', `${block.cid} is neither a chunk nor a node of a tree`)
  }
  verifyBlock(block)
  return block
}
