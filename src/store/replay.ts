import type { CID } from 'multiformats/cid'
import type { Tip } from '../content/heads.ts'
import type { Block } from '../core/blocks.ts'
import { open, RECORD_CODEC, type Signed } from '../core/envelope.ts'
import type { Logger } from '../core/log.ts'
import { headRecord, type Seal, type SignedHead, sealRecord } from '../core/records.ts'
import { adopt, adoptAgain } from './adopt.ts'
import type { Location } from './car.ts'
import { follows, goesOn, type Ledger, openAs, tipOf, withTip } from './ledger.ts'
import type { HeadKind, Note } from './notes.ts'
import type { PackItem } from './pack-files.ts'
import * as rows from './rows.ts'
import type { Shelf, Written } from './shelf.ts'

const LOOKUP_BLOCKS = 1024
const STAGED_ROWS = LOOKUP_BLOCKS * 8

type Verdict = Note & { readonly kind: 'verdict' }

interface Found {
  readonly block: Block
  readonly location: Location
}

/**
 * Brings the index up to the end of the packs, from its checkpoint on: where each block lies, and heads and seals as
 * they were judged when they were written. Doing it again changes nothing. At last the workspaces are linked to what
 * their heads name.
 *
 * @param nowMs the time of day
 */
export async function replay(shelf: Shelf, ledger: Ledger, log: Logger, nowMs: number): Promise<void> {
  const from = shelf.checkpoint
  const end = shelf.packs.end
  if (from?.pack !== end.pack || from.offset !== end.offset) await new Replay(shelf, ledger, log, nowMs).run()
  await endMends(shelf, ledger, log)
  shelf.replayed()
  if (from?.pack !== end.pack || from.offset !== end.offset) await shelf.saveIndex()
}

/** Blocks that were kept anew before a stop, and are listed as damaged still. */
async function endMends(shelf: Shelf, ledger: Ledger, log: Logger): Promise<void> {
  for await (const listed of shelf.damage.pages()) {
    const locations = await shelf.locations(listed.map(({ cid }) => cid))
    const mended = listed.filter((_, index) => locations[index] !== null)
    await adoptAgain(
      shelf,
      ledger,
      mended.filter(({ open }) => open).map(({ cid }) => cid),
      log
    )
    await shelf.endDamage(mended.map(({ cid }) => cid))
    await shelf.settle()
  }
}

class Replay {
  readonly #shelf: Shelf
  readonly #ledger: Ledger
  readonly #log: Logger
  readonly #nowMs: number
  /** Heads that were read; null when it is simpler to look at all that are known. */
  readonly #heads: CID[] | null
  /** Seals whose base was not the tip where they stand. */
  readonly #seals: Signed<Seal>[] = []
  #blocks: Found[] = []
  #verdict: Verdict | null = null
  #damaged = false

  constructor(shelf: Shelf, ledger: Ledger, log: Logger, nowMs: number) {
    this.#shelf = shelf
    this.#ledger = ledger
    this.#log = log
    this.#nowMs = nowMs
    this.#heads = shelf.checkpoint === null ? null : []
  }

  async run(): Promise<void> {
    const from = this.#shelf.checkpoint
    let pack = from?.pack ?? 1
    for await (const item of this.#shelf.packs.sections(from)) {
      if (item.pack > pack + 1) {
        this.#damaged = true
        this.#log.error({ before: item.pack, after: pack }, 'packs are missing')
      }
      pack = item.pack
      await this.#take(item)
      if (this.#shelf.staged.size >= STAGED_ROWS) await this.#shelf.settle()
    }
    await this.#stageBlocks()
    for (const seal of this.#seals) await this.#correctBase(seal)
    await this.#shelf.settle()
    for await (const head of this.#known()) await this.#adopt(head)
    await this.#shelf.settle()
  }

  async #take(item: PackItem & { readonly pack: number }): Promise<void> {
    if (item.kind === 'marker') return
    if (item.kind === 'note') return await this.#takeNote(item.note)
    if (item.kind === 'broken' || !item.valid) {
      this.#damaged = true
      this.#log.error({ pack: item.pack, offset: item.start }, 'a part of a pack is damaged and is left out')
      return
    }
    if (item.block.cid.code === RECORD_CODEC) await this.#takeRecord(item)
    else this.#blocks.push(item)
    if (this.#blocks.length >= LOOKUP_BLOCKS) await this.#stageBlocks()
  }

  async #takeNote(note: Note): Promise<void> {
    if (note.kind === 'verdict') this.#verdict = note
    else for (const cid of note.heads) await this.#ledger.stageDropped(cid)
  }

  async #stageBlocks(): Promise<void> {
    const found = this.#blocks
    this.#blocks = []
    const locations = await this.#shelf.locations(found.map(({ block }) => block.cid))
    for (const [index, { block, location }] of found.entries()) {
      if (locations[index] === null) this.#shelf.stageBlock(block.cid, location)
    }
  }

  async #takeRecord({ block, location: place }: Found): Promise<void> {
    const [known = null] = await this.#shelf.locations([block.cid])
    const location = { ...place, again: known !== null }
    const verdict = this.#verdict?.head.equals(block.cid) === true ? this.#verdict : null
    this.#verdict = null
    const head = await openAs(headRecord, block.bytes)
    if (head !== null) return await this.#takeHead(head, location, verdict)
    const seal = await openAs(sealRecord, block.bytes)
    if (seal !== null) return await this.#takeSeal(seal, location)
    this.#log.error({ ...location }, 'a record in a pack is neither a head nor a seal and is left out')
  }

  async #takeHead(head: SignedHead, location: Written, verdict: Verdict | null): Promise<void> {
    this.#heads?.push(head.cid)
    if ((await this.#ledger.kindOf(head.cid)) !== null) return
    const state = await this.#ledger.staged(head.value.workspace)
    if ((verdict?.as ?? (await this.#judge(head))) === 'diverged') return this.#ledger.stageDiverged(head, location)
    const isTip = head.value.sequence > (state.tip?.sequence ?? 0)
    const acceptedAtMs = verdict?.acceptedAtMs ?? (await this.#believed(head, state.tip, isTip))
    const accepted = { ...location, acceptedAtMs }
    if (!isTip) return this.#ledger.stagePast(head, accepted)
    this.#ledger.stageTip(state, withTip(state, head, { blocks: 0, bytes: 0 }), head, accepted)
  }

  /**
   * Where no note tells when a head was accepted: when its writer says that it was made. What cannot be true, since the
   * head before was accepted later or that time is still to come, counts as the time of the head before.
   */
  async #believed({ value }: SignedHead, tip: Tip | null, isTip: boolean): Promise<number> {
    const tipAtMs = tip === null ? 0 : ((await this.#ledger.acceptedAtMs(value.workspace, tip.sequence)) ?? 0)
    const { createdAtMs } = value
    if (!isTip) return Math.min(createdAtMs, tipAtMs)
    return createdAtMs >= tipAtMs && createdAtMs <= this.#nowMs ? createdAtMs : tipAtMs
  }

  /** Where the note is lost that told: by the rules by which heads are accepted. */
  async #judge({ value }: SignedHead): Promise<HeadKind> {
    const state = await this.#ledger.staged(value.workspace)
    const previous = value.previous === null ? null : await this.#ledger.kindOf(value.previous)
    return follows(state, value) || (this.#damaged && goesOn(state, value, previous)) ? 'accepted' : 'diverged'
  }

  async #takeSeal(seal: Signed<Seal>, location: Written): Promise<void> {
    const known = await this.#ledger.stagedBase(seal.value)
    const state = await this.#ledger.staged(seal.value.workspace)
    if (known === undefined) this.#ledger.stageSeal(state, seal, location)
    if (!isBase(seal.value, known === undefined ? tipOf(state) : known)) this.#seals.push(seal)
  }

  /** The record of its base stands elsewhere, since it was written again. */
  async #correctBase(seal: Signed<Seal>): Promise<void> {
    const base = seal.value.head === null ? null : await this.#ledger.tipNamed(seal.value.head)
    if (isBase(seal.value, base)) this.#ledger.stageBase(seal, base)
    else this.#log.error({ workspace: seal.value.workspace, epoch: seal.value.epoch }, 'the base of a seal is lost')
  }

  async *#known(): AsyncGenerator<SignedHead> {
    if (this.#heads !== null) {
      for (const cid of this.#heads) {
        const head = await this.#ledger.head(cid)
        if (head !== null) yield head
      }
      return
    }
    const { level } = this.#shelf.staged
    for await (const [, row] of level.entries({ prefix: rows.HEAD_ROWS })) yield await open(headRecord, row.slice(1))
  }

  async #adopt(head: SignedHead): Promise<void> {
    const { workspace, root } = head.value
    const counts = await adopt(this.#shelf, workspace, root, this.#log)
    const state = await this.#ledger.staged(workspace)
    if (state.tip?.cid.equals(head.cid) !== true) return
    this.#ledger.stageCounts(state, withTip(state, head, counts), workspace)
    if (this.#shelf.staged.size >= STAGED_ROWS) await this.#shelf.settle()
  }
}

function isBase({ head }: Seal, base: Tip | null): boolean {
  return head === null ? base === null : base?.cid.equals(head) === true
}
