import { CID } from 'multiformats/cid'

/** What the index records of a workspace as a whole. */
export interface TreeState {
  /** The tree that the records describe; null for a new workspace. */
  readonly root: CID | null
  /** Everything but folders. */
  readonly files: number
  /** Content of the files. */
  readonly bytes: number
  /** At and below the root, each counted as often as it is linked; null where nobody counted them. */
  readonly blocks: number | null
  /** The files are being replaced: what is on disk is between two roots. */
  readonly applying: boolean
}

export const NEW_STATE: TreeState = { root: null, files: 0, bytes: 0, blocks: null, applying: false }

export function encodeState(state: TreeState): Uint8Array {
  return Buffer.from(JSON.stringify({ ...state, root: state.root?.toString() ?? null }))
}

/** Null for what is not such a state. */
export function decodeState(value: Uint8Array): TreeState | null {
  try {
    const raw: unknown = JSON.parse(Buffer.from(value).toString())
    if (typeof raw !== 'object' || raw === null || !('root' in raw && 'files' in raw && 'bytes' in raw)) return null
    const { root, files, bytes } = raw
    if (!isCount(files) || !isCount(bytes)) return null
    const applying = 'applying' in raw && raw.applying === true
    const blocks = 'blocks' in raw && isCount(raw.blocks) ? raw.blocks : null
    if (root === null) return { root, files, bytes, blocks, applying }
    return typeof root === 'string' ? { root: CID.parse(root), files, bytes, blocks, applying } : null
  } catch {
    return null
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0
