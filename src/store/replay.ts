import type { Block } from '../core/blocks.ts'
import { RECORD_CODEC, type Signed } from '../core/envelope.ts'
import { hasCode } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import { headRecord, type Seal, type SignedHead, sealRecord } from '../core/records.ts'
import type { Location } from './car.ts'
import { checkClosure } from './closure.ts'
import { follows, goesOn, type Ledger, openAs, withTip } from './ledger.ts'
import type { Counts } from './rows.ts'
import type { Shelf } from './shelf.ts'

const LOOKUP_BLOCKS = 1024

interface Found {
  readonly block: Block
  readonly location: Location
}

/**
 * Brings the index up to the end of the packs, from its checkpoint on: where each block lies, and heads and seals in
 * the order in which they were written, by the rules by which they were accepted. Doing it again changes nothing.
 * The workspaces' links are those that their heads name.
 */
export async function replay(shelf: Shelf, ledger: Ledger, log: Logger): Promise<void> {
  const from = shelf.checkpoint
  const end = shelf.packs.end
  if (from?.pack === end.pack && from.offset === end.offset) return
  let blocks: Found[] = []
  let damaged = false
  let pack = from?.pack ?? 1
  const flush = async (): Promise<void> => {
    const found = blocks
    blocks = []
    await stageUnknown(shelf, found)
  }
  for await (const item of shelf.packs.sections(from)) {
    if (item.pack > pack + 1) {
      damaged = true
      log.error({ before: item.pack, after: pack }, 'packs are missing')
    }
    pack = item.pack
    if (item.kind === 'marker') continue
    if (item.kind === 'broken' || !item.valid) {
      damaged = true
      log.error({ pack: item.pack, offset: item.start }, 'a part of a pack is damaged and is left out')
      continue
    }
    if (item.block.cid.code !== RECORD_CODEC) blocks.push(item)
    if (item.block.cid.code === RECORD_CODEC || blocks.length >= LOOKUP_BLOCKS) await flush()
    if (item.block.cid.code === RECORD_CODEC) await replayRecord(shelf, ledger, item, damaged, log)
    if (shelf.staged.size >= LOOKUP_BLOCKS * 8) await shelf.settle()
  }
  await flush()
  await shelf.close()
}

async function stageUnknown(shelf: Shelf, found: readonly Found[]): Promise<void> {
  const locations = await shelf.locations(found.map(({ block }) => block.cid))
  for (const [index, { block, location }] of found.entries()) {
    if (locations[index] === null) shelf.stageBlock(block.cid, location)
  }
}

async function replayRecord(
  shelf: Shelf,
  ledger: Ledger,
  { block, location }: Found,
  damaged: boolean,
  log: Logger
): Promise<void> {
  const head = await openAs(headRecord, block.bytes)
  if (head !== null) return await replayHead(shelf, ledger, head, location, damaged, log)
  const seal = await openAs(sealRecord, block.bytes)
  if (seal !== null) return await replaySeal(ledger, seal, location)
  log.error({ ...location }, 'a record in a pack is neither a head nor a seal and is left out')
}

async function replayHead(
  shelf: Shelf,
  ledger: Ledger,
  head: SignedHead,
  location: Location,
  damaged: boolean,
  log: Logger
): Promise<void> {
  if ((await ledger.kindOf(head.cid)) !== null) return
  const counts = await adopt(shelf, head, log)
  const state = await ledger.staged(head.value.workspace)
  const previous = head.value.previous === null ? null : await ledger.kindOf(head.value.previous)
  const isTip = follows(state, head.value) || (damaged && goesOn(state, head.value, previous))
  if (isTip) ledger.stageTip(state, withTip(state, head, counts), head, location)
  else ledger.stageDiverged(head, location)
}

/** Links everything below a head to its workspace. What has been damaged since stays missing. */
async function adopt(shelf: Shelf, { value }: SignedHead, log: Logger): Promise<Counts> {
  try {
    const view = shelf.view(value.workspace, { adopt: true })
    const { counts, missing } = await checkClosure(value.root, view)
    if (missing.length > 0) log.error({ workspace: value.workspace, missing: missing.length }, 'a head lacks blocks')
    return counts
  } catch (error) {
    if (!hasCode(error, 'INTEGRITY', 'BAD_REQUEST')) throw error
    log.error({ workspace: value.workspace, error }, 'the tree of a head cannot be read')
    return { blocks: 0, bytes: 0 }
  }
}

async function replaySeal(ledger: Ledger, seal: Signed<Seal>, location: Location): Promise<void> {
  const state = await ledger.staged(seal.value.workspace)
  if (seal.value.epoch > state.sealedEpoch) ledger.stageSeal(state, seal, location)
}
