import { CID } from 'multiformats/cid'
import type { Tip } from '../content/heads.ts'
import { open, type RecordType, type Signed } from '../core/envelope.ts'
import { hasCode, NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import { type Head, headRecord, type Seal, type SignedHead } from '../core/records.ts'
import { decodeSeal, decodeState, encodeSeal, encodeState, type WorkspaceState } from './ledger-rows.ts'
import { pageOf } from './level.ts'
import { DROPPED_HEADS, droppedNote, type HeadKind } from './notes.ts'
import type { HistoryRange } from './repository.ts'
import * as rows from './rows.ts'
import type { Shelf, Written } from './shelf.ts'

/** Does this head follow the tip in an epoch that is not sealed? Live and on a rebuild, by this rule alone it becomes the tip. */
export function follows({ tip, sealedEpoch }: WorkspaceState, head: Head): boolean {
  const previous = tip === null ? head.previous === null : head.previous?.equals(tip.cid) === true
  return (
    previous &&
    head.sequence === (tip?.sequence ?? 0) + 1 &&
    head.epoch >= (tip?.epoch ?? 1) &&
    head.epoch > sealedEpoch
  )
}

/**
 * Does this head go on where the records in between were lost? Asked only on a rebuild from packs that are damaged:
 * its previous head is lost, or it begins a later epoch on a head from before heads that the lost seal made void.
 */
export function goesOn({ tip, sealedEpoch }: WorkspaceState, head: Head, previous: HeadKind | null): boolean {
  const epoch = tip?.epoch ?? 0
  const later = head.epoch > sealedEpoch && head.epoch >= epoch && head.sequence > (tip?.sequence ?? 0)
  const lost = head.previous !== null && previous === null
  return later && (lost || (head.epoch > epoch && previous === 'accepted'))
}

export function withTip(state: WorkspaceState, { cid, value }: SignedHead, counts: rows.Counts): WorkspaceState {
  const { epoch, sequence, root } = value
  return { ...state, known: true, tip: { cid, epoch, sequence, root, counts } }
}

const ACCEPTED = 1
const DIVERGED = 2

/** Heads and seals over the shelf's rows. `rows` sees what is staged; `settled` only what is durable. */
export class Ledger {
  readonly #shelf: Shelf

  constructor(shelf: Shelf) {
    this.#shelf = shelf
  }

  async settled(workspace: WorkspaceId): Promise<WorkspaceState> {
    return decodeState(await this.#shelf.staged.level.get(rows.workspaceKey(workspace)))
  }

  async staged(workspace: WorkspaceId): Promise<WorkspaceState> {
    return decodeState(await this.#shelf.staged.get(rows.workspaceKey(workspace)))
  }

  /** Was this head kept, and how? Null where it was not. */
  async kindOf(cid: CID): Promise<HeadKind | null> {
    const row = await this.#shelf.staged.get(rows.headKey(cid))
    if (row === null) return null
    return row[0] === DIVERGED ? 'diverged' : 'accepted'
  }

  /** When the head of this sequence was accepted; null where it is in no history. */
  async acceptedAtMs(workspace: WorkspaceId, sequence: number): Promise<number | null> {
    const key = rows.historyKey(workspace, sequence)
    const row = await this.#shelf.staged.get(key)
    return row === null ? null : rows.decodeHistory(key, row).acceptedAtMs
  }

  /** A durable head, its signature checked again. */
  async head(cid: CID): Promise<SignedHead | null> {
    const row = await this.#shelf.staged.level.get(rows.headKey(cid))
    return row === null ? null : await open(headRecord, row.slice(1))
  }

  stageTip(before: WorkspaceState, after: WorkspaceState, head: SignedHead, accepted: Accepted): void {
    this.stagePast(head, accepted)
    this.stageCounts(before, after, head.value.workspace)
  }

  /** An accepted head that is not the tip. */
  stagePast(head: SignedHead, accepted: Accepted): void {
    const { workspace, sequence } = head.value
    this.#stageHead(head, accepted, ACCEPTED)
    const row = rows.encodeHistory({ cid: head.cid, sequence, acceptedAtMs: accepted.acceptedAtMs })
    this.#shelf.staged.stage(rows.historyKey(workspace, sequence), row)
  }

  /** The tip, or what is known to lie below it, has changed. */
  stageCounts(before: WorkspaceState, after: WorkspaceState, workspace: WorkspaceId): void {
    this.#stageState(workspace, before, after)
    this.#shelf.counters.logicalBytes += (after.tip?.counts.bytes ?? 0) - (before.tip?.counts.bytes ?? 0)
  }

  stageDiverged(head: SignedHead, location: Written): void {
    this.#stageHead(head, location, DIVERGED)
    const key = rows.divergedKey(head.value.workspace, head.value.sequence, head.cid)
    this.#shelf.staged.stage(key, head.cid.bytes)
  }

  /**
   * Takes heads out of their histories: first in the packs, so that a rebuild knows it too. Their records stay until
   * their packs are written anew.
   */
  async drop(heads: readonly Droppable[], kind: HeadKind = 'accepted'): Promise<void> {
    const notes = []
    for (let from = 0; from < heads.length; from += DROPPED_HEADS) {
      notes.push(droppedNote(heads.slice(from, from + DROPPED_HEADS).map(({ cid }) => cid)))
    }
    await this.#shelf.append(notes, () => {
      for (const { cid, workspace, sequence } of heads) this.#stageDropped(cid, placeOf(kind, workspace, sequence, cid))
    })
    await this.#shelf.settle()
  }

  /** The same on a rebuild, where the note is in the packs already. */
  async stageDropped(cid: CID): Promise<void> {
    const row = await this.#shelf.staged.get(rows.headKey(cid))
    if (row === null) return
    const { workspace, sequence } = (await open(headRecord, row.slice(1))).value
    this.#stageDropped(cid, placeOf(row[0] === DIVERGED ? 'diverged' : 'accepted', workspace, sequence, cid))
    const state = await this.staged(workspace)
    // Only of a workspace that was forgotten is the tip among them.
    if (state.tip?.cid.equals(cid) === true) this.stageCounts(state, { ...state, tip: null }, workspace)
  }

  /** All that is left of a workspace once its heads are dropped. */
  async stageForgotten(workspace: WorkspaceId, { known, tip }: WorkspaceState): Promise<void> {
    const { staged, counters } = this.#shelf
    for await (const [key] of staged.level.entries({ prefix: rows.sealRows(workspace) })) staged.remove(key)
    staged.remove(rows.workspaceKey(workspace))
    counters.logicalBytes -= tip?.counts.bytes ?? 0
    if (known) counters.workspaces--
  }

  /** Seals an epoch on the present tip. */
  stageSeal(before: WorkspaceState, seal: Signed<Seal>, location: Written): WorkspaceState {
    const { workspace, epoch } = seal.value
    const after = { ...before, known: true, sealedEpoch: Math.max(before.sealedEpoch, epoch) }
    this.#shelf.stageBlock(seal.cid, location)
    this.stageBase(seal, tipOf(before))
    this.#stageState(workspace, before, after)
    return after
  }

  stageBase({ value: { workspace, epoch }, bytes }: Signed<Seal>, base: Tip | null): void {
    this.#shelf.staged.stage(rows.sealKey(workspace, epoch), encodeSeal(base, bytes))
  }

  /** What the row of this seal's epoch says of its base; undefined where there is none. */
  async stagedBase({ workspace, epoch }: Seal): Promise<Tip | null | undefined> {
    const row = await this.#shelf.staged.get(rows.sealKey(workspace, epoch))
    return row === null ? undefined : decodeSeal(row).base
  }

  /** A head as the base of a seal, from its row or its record. Null where both are lost. */
  async tipNamed(cid: CID): Promise<Tip | null> {
    const row = await this.#shelf.staged.get(rows.headKey(cid))
    const bytes = row === null ? await this.#shelf.read(cid) : row.slice(1)
    if (bytes === null) return null
    const { epoch, sequence, root } = (await open(headRecord, bytes)).value
    return { cid, epoch, sequence, root }
  }

  /** The tip at the time when this epoch was sealed. */
  async base(workspace: WorkspaceId, epoch: number): Promise<Tip | null> {
    const prefix = rows.sealRows(workspace)
    const after = rows.sealKey(workspace, epoch - 1)
    for await (const [, row] of this.#shelf.staged.level.entries({ prefix, after, limit: 1 })) {
      return decodeSeal(row).base
    }
    throw new NodeDaemonError('NOT_FOUND', `epoch ${epoch} of workspace ${workspace} is not sealed`)
  }

  /** Some retained heads, newest first, without their records: of those before a sequence, or the newest. */
  async past(workspace: WorkspaceId, { limit, before }: HistoryRange): Promise<rows.HistoryRow[]> {
    const prefix = rows.historyRows(workspace)
    const range = { prefix, limit, ...(before !== undefined && { after: rows.historyKey(workspace, before) }) }
    const page = await pageOf(this.#shelf.staged.level, range)
    return page.map(([key, row]) => rows.decodeHistory(key, row))
  }

  /** The snapshots of those of these heads that are kept. */
  async roots(heads: readonly CID[]): Promise<CID[]> {
    const found = await Promise.all(heads.map((cid) => this.head(cid)))
    return found.flatMap((head) => head?.value.root ?? [])
  }

  async history(workspace: WorkspaceId, range: HistoryRange): Promise<SignedHead[]> {
    const heads: SignedHead[] = []
    for (const { cid } of await this.past(workspace, range)) {
      const head = await this.head(cid)
      if (head !== null) heads.push(head)
    }
    return heads
  }

  /** The next workspaces after one, by their ids. */
  async workspaces(after: WorkspaceId | null, limit: number): Promise<WorkspaceId[]> {
    const found: WorkspaceId[] = []
    const range = { prefix: rows.WORKSPACE_ROWS, limit, ...(after !== null && { after: rows.workspaceKey(after) }) }
    for await (const [key] of this.#shelf.staged.level.entries(range)) found.push(rows.workspaceOfKey(key))
    return found
  }

  async diverged(workspace: WorkspaceId, limit: number): Promise<SignedHead[]> {
    const heads: SignedHead[] = []
    const prefix = rows.divergedRows(workspace)
    for await (const [, row] of this.#shelf.staged.level.entries({ prefix, limit })) {
      const head = await this.head(CID.decode(row))
      if (head !== null) heads.push(head)
    }
    return heads
  }

  #stageHead({ cid, bytes }: SignedHead, location: Written, kind: number): void {
    const row = new Uint8Array(bytes.length + 1)
    row[0] = kind
    row.set(bytes, 1)
    this.#shelf.stageBlock(cid, location)
    this.#shelf.staged.stage(rows.headKey(cid), row)
    this.#shelf.counters.heads++
  }

  #stageDropped(cid: CID, placeKey: string): void {
    this.#shelf.staged.remove(rows.headKey(cid))
    this.#shelf.staged.remove(placeKey)
    this.#shelf.counters.heads--
  }

  #stageState(workspace: WorkspaceId, before: WorkspaceState, after: WorkspaceState): void {
    if (!before.known) this.#shelf.counters.workspaces++
    this.#shelf.staged.stage(rows.workspaceKey(workspace), encodeState(after))
  }
}

const placeOf = (kind: HeadKind, workspace: WorkspaceId, sequence: number, cid: CID): string =>
  kind === 'diverged' ? rows.divergedKey(workspace, sequence, cid) : rows.historyKey(workspace, sequence)

/** The tip alone, as others see it. */
export function tipOf({ tip }: WorkspaceState): Tip | null {
  return tip === null ? null : { cid: tip.cid, epoch: tip.epoch, sequence: tip.sequence, root: tip.root }
}

/** A record of this type; null where the bytes are a valid record of another. */
export async function openAs<T>(type: RecordType<T>, bytes: Uint8Array): Promise<Signed<T> | null> {
  try {
    return await open(type, bytes)
  } catch (error) {
    if (hasCode(error, 'BAD_SIGNATURE', 'BAD_REQUEST')) return null
    throw error
  }
}

/** Where the record of an accepted head was written, and when it was accepted. */
export interface Accepted extends Written {
  readonly acceptedAtMs: number
}

/** A retained head that can be dropped. */
interface Droppable {
  readonly cid: CID
  readonly workspace: WorkspaceId
  readonly sequence: number
}
