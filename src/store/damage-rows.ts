import type { CID } from 'multiformats/cid'
import { type Block, DAG_PB_CODEC, RAW_CODEC } from '../core/blocks.ts'
import type { WorkspaceId } from '../core/ids.ts'
import { type LevelStore, pageOf } from './level.ts'
import * as rows from './rows.ts'
import type { StagedRows } from './staged.ts'

/** The values of a damaged block's row. */
const LACKS_ITSELF = Uint8Array.of(0)
const LACKS_BELOW = Uint8Array.of(1)
const PAGE = 1000

/** A block that is listed; `open` when nothing below it is linked yet to the workspaces that need it. */
export interface Listed {
  readonly cid: CID
  readonly open: boolean
}

/** The list of blocks that were found damaged and are not held anew. */
export class DamageRows {
  readonly #staged: StagedRows
  #any: boolean

  private constructor(staged: StagedRows, any: boolean) {
    this.#staged = staged
    this.#any = any
  }

  static async open(staged: StagedRows, level: LevelStore): Promise<DamageRows> {
    const page = await pageOf(level, { prefix: rows.DAMAGED_ROWS, limit: 1 })
    return new DamageRows(staged, page.length > 0)
  }

  /** A head of this workspace needs a block that is not there, so that what lies below it is not linked yet. */
  stageLack(workspace: WorkspaceId, cid: CID): void {
    this.#staged.stage(rows.linkKey(workspace, cid), rows.encodeLink(rows.HELD))
    this.#staged.stage(rows.damagedKey(cid), LACKS_BELOW)
    this.#any = true
  }

  /**
   * The row of a block whose bytes are damaged; none for a record, which nobody could send again.
   *
   * @param before the row that it has already
   */
  rowOf(cid: CID, before: Uint8Array | null): readonly (readonly [string, Uint8Array])[] {
    if (cid.code !== RAW_CODEC && cid.code !== DAG_PB_CODEC) return []
    this.#any = true
    return [[rows.damagedKey(cid), before ?? LACKS_ITSELF]]
  }

  /** All that are listed and written, a page at a time. */
  async *pages(): AsyncGenerator<Listed[]> {
    for (let after = ''; this.#any; ) {
      const range = { prefix: rows.DAMAGED_ROWS, limit: PAGE, ...(after !== '' && { after }) }
      const page = await pageOf(this.#staged.level, range)
      const last = page.at(-1)
      if (last === undefined) return
      yield page.map(([key, row]) => {
        const cid = rows.cidOfDamagedKey(key)
        return { cid, open: isOpen(cid, row) }
      })
      after = last[0]
    }
  }

  /** Those of these that are listed. */
  async among(blocks: readonly Pick<Block, 'cid'>[]): Promise<Listed[]> {
    if (!this.#any) return []
    const found = await this.#staged.getMany(blocks.map(({ cid }) => rows.damagedKey(cid)))
    return blocks.flatMap(({ cid }, index) => {
      const row = found[index]
      return row === undefined || row === null ? [] : [{ cid, open: isOpen(cid, row) }]
    })
  }

  stageMended(cids: readonly CID[]): void {
    for (const cid of cids) this.#staged.remove(rows.damagedKey(cid))
  }
}

const isOpen = (cid: CID, row: Uint8Array): boolean => cid.code === DAG_PB_CODEC && row[0] === LACKS_BELOW[0]
