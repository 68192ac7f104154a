import { CID } from 'multiformats/cid'
import type { Tip } from '../content/heads.ts'
import { type Block, blockOf } from '../core/blocks.ts'
import { RECORD_CODEC } from '../core/envelope.ts'
import { type Counts, decodeJson, encodeJson } from './rows.ts'

/** What is known of a workspace: everything follows from its heads and seals in the order in which they were written. */
export interface WorkspaceState {
  /** False until the first head or seal. */
  readonly known: boolean
  readonly tip: (Tip & { readonly counts: Counts }) | null
  readonly sealedEpoch: number
}

export const UNKNOWN: WorkspaceState = { known: false, tip: null, sealedEpoch: 0 }

interface SealRow {
  readonly base: {
    readonly cid: string
    readonly epoch: number
    readonly sequence: number
    readonly root: string
  } | null
  readonly record: string
}

export function encodeSeal(base: Tip | null, record: Uint8Array): Uint8Array {
  const flat = base === null ? null : { ...base, cid: base.cid.toString(), root: base.root.toString() }
  return encodeJson({ base: flat, record: Buffer.from(record).toString('base64') } satisfies SealRow)
}

/** A seal's base and its signed bytes. */
export function decodeSeal(row: Uint8Array): { readonly base: Tip | null; readonly record: Block } {
  const { base, record } = decodeJson(row) as SealRow
  return {
    base: base === null ? null : { ...base, cid: CID.parse(base.cid), root: CID.parse(base.root) },
    record: blockOf(RECORD_CODEC, Buffer.from(record, 'base64'))
  }
}

export function encodeState({ tip, sealedEpoch }: WorkspaceState): Uint8Array {
  const flat = tip === null ? null : { ...tip, cid: tip.cid.toString(), root: tip.root.toString() }
  return encodeJson({ tip: flat, sealedEpoch })
}

export function decodeState(row: Uint8Array | null): WorkspaceState {
  if (row === null) return UNKNOWN
  const { tip, sealedEpoch } = decodeJson(row) as StateRow
  return {
    known: true,
    sealedEpoch,
    tip: tip === null ? null : { ...tip, cid: CID.parse(tip.cid), root: CID.parse(tip.root) }
  }
}

interface StateRow {
  readonly sealedEpoch: number
  readonly tip: {
    readonly cid: string
    readonly epoch: number
    readonly sequence: number
    readonly root: string
    readonly counts: Counts
  } | null
}
