import type { CID } from 'multiformats/cid'
import type { Block } from '../core/blocks.ts'
import { RECORD_CODEC } from '../core/envelope.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Access } from './access.ts'
import { allWorkspaces } from './adopt.ts'
import { decodeSeal } from './ledger-rows.ts'
import type { LevelStore } from './level.ts'
import { verdictNote } from './notes.ts'
import type { Parts } from './open-repository.ts'
import type { Damage } from './repository.ts'
import * as rows from './rows.ts'

const DAMAGE_TOLD = 1000
const DAMAGE_COUNTED = 10_000
const WORKSPACES_TOLD = 100

/** How many blocks are known to be damaged; at most 10,000. */
export async function damagedCount(level: LevelStore): Promise<number> {
  let count = 0
  for await (const _ of level.entries({ prefix: rows.DAMAGED_ROWS, limit: DAMAGE_COUNTED })) count++
  return count
}

/** See `MainRepository.damaged`. */
export function damagedBlocks(access: Access): Promise<readonly Damage[]> {
  return access.reading(async ({ shelf, ledger, level }) => {
    const cids: CID[] = []
    for await (const [key] of level.entries({ prefix: rows.DAMAGED_ROWS, limit: DAMAGE_TOLD })) {
      cids.push(rows.cidOfDamagedKey(key))
    }
    const found = cids.map((cid) => ({ cid, workspaces: [] as WorkspaceId[] }))
    if (cids.length === 0) return found
    for await (const workspace of allWorkspaces(ledger)) {
      const links = await shelf.links(workspace, cids)
      for (const [index, { workspaces }] of found.entries()) {
        if (links[index] !== null && workspaces.length < WORKSPACES_TOLD) workspaces.push(workspace)
      }
    }
    return found.filter(({ workspaces }) => workspaces.length > 0)
  })
}

/** Writes a damaged record of a head or a seal again, from what the index has of it. False where it has nothing. */
export async function repairRecord(parts: Parts, cid: CID): Promise<boolean> {
  if (cid.code !== RECORD_CODEC) return false
  const { shelf } = parts
  const record = await recordOf(parts, cid)
  if (record === null) return false
  await shelf.append(record, (locations) => {
    const location = locations.at(-1)
    if (location !== undefined) shelf.stageBlock(cid, location)
  })
  await shelf.settle()
  return true
}

/** With the note that belongs before it. */
async function recordOf({ shelf, ledger }: Parts, cid: CID): Promise<Block[] | null> {
  const kind = await ledger.kindOf(cid)
  if (kind === null) {
    const bytes = await sealBytes(shelf.staged.level, cid)
    return bytes === undefined ? null : [{ cid, bytes }]
  }
  const head = await ledger.head(cid)
  if (head === null) return null
  const { workspace, sequence } = head.value
  return [verdictNote(cid, kind, await ledger.acceptedAtMs(workspace, sequence)), head]
}

async function sealBytes(level: LevelStore, cid: CID): Promise<Uint8Array | undefined> {
  for await (const [, row] of level.entries({ prefix: rows.SEAL_ROWS })) {
    const { record } = decodeSeal(row)
    if (record.cid.equals(cid)) return record.bytes
  }
  return undefined
}
