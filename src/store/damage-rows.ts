import type { CID } from 'multiformats/cid'
import { type Block, DAG_PB_CODEC, RAW_CODEC } from '../core/blocks.ts'
import type { WorkspaceId } from '../core/ids.ts'
import { type LevelStore, pageOf } from './level.ts'
import * as rows from './rows.ts'
import type { StagedRows } from './staged.ts'

/** The values of a damaged block's row. */
const LACKS_ITSELF = Uint8Array.of(0)
const LACKS_BELOW = Uint8Array.of(1)

/** A block that is kept anew; `open` when nothing below it is linked yet to the workspaces that need it. */
export interface Mended {
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

  /** The row of a block whose bytes are damaged; none for a record, which nobody could send again. */
  rowOf(cid: CID): readonly (readonly [string, Uint8Array])[] {
    if (cid.code !== RAW_CODEC && cid.code !== DAG_PB_CODEC) return []
    this.#any = true
    return [[rows.damagedKey(cid), LACKS_ITSELF]]
  }

  async among(blocks: readonly Block[]): Promise<Mended[]> {
    if (!this.#any) return []
    const found = await this.#staged.getMany(blocks.map(({ cid }) => rows.damagedKey(cid)))
    return blocks.flatMap(({ cid }, index) => {
      const row = found[index]
      return row === undefined || row === null ? [] : [{ cid, open: cid.code === DAG_PB_CODEC && row[0] === 1 }]
    })
  }

  stageMended(blocks: readonly Mended[]): void {
    for (const { cid } of blocks) this.#staged.remove(rows.damagedKey(cid))
  }
}
