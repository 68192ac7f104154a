import type { CID } from 'multiformats/cid'
import { type Block, blockOf } from '../core/blocks.ts'
import { RECORD_CODEC } from '../core/envelope.ts'
import { sectionHead } from './car.ts'
import { type Collection, step } from './collection.ts'
import { decodeSeal } from './ledger-rows.ts'
import { pageOf } from './level.ts'
import { Marks } from './marks.ts'
import { verdictNote } from './notes.ts'
import * as rows from './rows.ts'

const PAGE = 1000

/** What lies in a pack, as the index knows it. */
export interface PackUse {
  readonly pack: number
  /** Where what counts ends. */
  readonly end: number
  /** Of the sections that are needed, with what belongs to them. */
  readonly liveBytes: number
  readonly liveBlocks: number
  readonly deadBlocks: number
}

export interface Survey {
  /** Blocks and records that are needed: by a workspace, as a head, as a seal, or as the base of one. */
  readonly live: Marks
  readonly packs: readonly PackUse[]
  /** The pack that was written to when the survey began: of what is in it, and later ones, too little is known. */
  readonly present: number
}

/** Which blocks are needed, and how much of each pack that is. */
export async function survey(run: Collection): Promise<Survey> {
  const present = await beginSurvey(run)
  const live = await liveBlocks(run)
  const ends = await step(run, ({ packs }) => packs.ends())
  const uses = new Map(
    ends.map(({ pack, offset }) => [pack, { liveBytes: 0, liveBlocks: 0, deadBlocks: 0, end: offset }])
  )
  for await (const [key, row] of entries(run, rows.BLOCK_ROWS)) {
    const { pack, length } = rows.decodeLocation(row)
    const use = uses.get(pack)
    if (use === undefined) continue
    const cid = rows.cidOfBlockKey(key)
    if (live.has(cid)) {
      use.liveBlocks++
      use.liveBytes += sectionBytes(cid, length)
    } else use.deadBlocks++
  }
  return { live, present, packs: [...uses].map(([pack, use]) => ({ pack, ...use })) }
}

/** What was written before is in the index, which will not go on from a place in a pack whose places change. */
async function beginSurvey({ access, parts }: Collection): Promise<number> {
  return await access.writing(async (found) => {
    access.refuseOther(parts)
    const present = found.packs.end.pack
    await found.shelf.saveIndex()
    return present
  })
}

async function liveBlocks(run: Collection): Promise<Marks> {
  const live = new Marks(2, run.access.marksKey)
  for await (const [key] of entries(run, rows.LINK_ROWS)) live.add(rows.cidOfLinkKey(key))
  for await (const [key] of entries(run, rows.HEAD_ROWS)) live.add(rows.cidOfHeadKey(key))
  for await (const [, row] of entries(run, rows.SEAL_ROWS)) {
    const { base, record } = decodeSeal(row)
    live.add(record.cid)
    if (base !== null) live.add(base.cid)
  }
  return live
}

async function* entries(run: Collection, prefix: string): AsyncGenerator<[string, Uint8Array]> {
  for (let after = ''; ; ) {
    const from = after
    const page = await step(run, ({ level }) => pageOf(level, { prefix, after: from, limit: PAGE }))
    yield* page
    const last = page.at(-1)
    if (last === undefined) return
    after = last[0]
  }
}

const NOTE_BYTES = lengthOf(verdictNote(blockOf(RECORD_CODEC, new Uint8Array(0)).cid, 'accepted'))

function sectionBytes(cid: CID, length: number): number {
  const record = cid.code === RECORD_CODEC ? NOTE_BYTES : 0
  return record + length + cid.bytes.length + lengthPrefix(cid.bytes.length + length)
}

const lengthPrefix = (value: number): number => (value < 2 ** 7 ? 1 : value < 2 ** 14 ? 2 : 3)

function lengthOf(block: Block): number {
  return sectionHead(block).length + block.bytes.length
}
