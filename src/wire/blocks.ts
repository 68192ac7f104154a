import { varint as varints } from 'multiformats'
import type { CID } from 'multiformats/cid'
import { type Block, MAX_BLOCK_BYTES } from '../core/blocks.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import { parse } from '../core/parse.ts'
import { BlocksReply, BlocksRequest } from './generated/blocks.ts'
import { type Protocol, unknownKind, type WireCodec, wireCodec } from './protocol.ts'

export const BLOCKS_LIMITS = {
  /** Content ids in one message. */
  cidsMax: 4096,
  /** Bytes of the blocks of one message; a single larger block goes alone. */
  batchBytes: 1024 * 1024,
  /** Requests of one stream that are worked on at once, and their bytes; more are not read until some are answered. */
  requestsMax: 64,
  underWayBytes: 16 * 1024 * 1024,
  /** The same of all streams of one repository together. */
  requestsMaxOfAll: 4096,
  underWayBytesOfAll: 64 * 1024 * 1024
} as const

export const BLOCKS_PROTOCOL: Protocol = {
  id: '/node-daemon/blocks/1.0.0',
  maxFrameBytes: BLOCKS_LIMITS.batchBytes + MAX_BLOCK_BYTES + 512 * 1024,
  maxStreams: 64,
  open: 'members'
}

export type ToBlocks =
  /** The first message: all that follows is about this workspace. */
  | { readonly kind: 'open'; readonly workspace: WorkspaceId }
  /** Answered by `missing`. */
  | { readonly kind: 'have'; readonly cids: readonly CID[] }
  /** Answered by `kept`, which is the receiver's credit for more. */
  | { readonly kind: 'put'; readonly blocks: readonly Block[] }
  /** Answered by one or more `blocks`, the last of them empty; what is not held is left out. */
  | { readonly kind: 'want'; readonly cids: readonly CID[] }

export type FromBlocks =
  | { readonly kind: 'opened' }
  | { readonly kind: 'missing'; readonly cids: readonly CID[] }
  | { readonly kind: 'blocks'; readonly blocks: readonly Block[] }
  /** Taken, not yet durable. */
  | { readonly kind: 'kept' }
  | { readonly kind: 'failure'; readonly code: ErrorCode; readonly message: string }

const cidList = (cids: readonly CID[]): { cids: Uint8Array<ArrayBuffer>[] } => ({
  cids: cids.map((cid) => cid.bytes as Uint8Array<ArrayBuffer>)
})

interface RawBlock {
  cid: Uint8Array<ArrayBuffer>
  data: Uint8Array<ArrayBuffer>
}

/** Blocks as they stand in a message. */
export const toWire = (blocks: readonly Block[]): RawBlock[] =>
  blocks.map(({ cid, bytes }) => ({
    cid: cid.bytes as Uint8Array<ArrayBuffer>,
    data: bytes as Uint8Array<ArrayBuffer>
  }))

/** Blocks out of a message. Their bytes are not yet compared with their names. */
export const fromWire = (blocks: readonly RawBlock[]): Block[] =>
  blocks.map(({ cid, data }) => ({ cid: parse.cid(cid), bytes: data }))

/** A `put` in parts, one after another: the bytes of the blocks are not copied. */
export const putParts = (blocks: readonly Block[]): Uint8Array[] => blockListParts(PUT_FIELD, blocks)
/** The same of a `blocks`. */
export const blocksParts = (blocks: readonly Block[]): Uint8Array[] => blockListParts(BLOCKS_FIELD, blocks)

/** The numbers of the fields in the schema. */
const PUT_FIELD = 3
const BLOCKS_FIELD = 2
const CID_FIELD = 1
const DATA_FIELD = 2

function blockListParts(field: number, blocks: readonly Block[]): Uint8Array[] {
  const entries = blocks.map(({ cid, bytes }) => {
    const name = [tag(CID_FIELD), varint(cid.bytes.length), cid.bytes]
    const head = Buffer.concat([...name, ...(bytes.length > 0 ? [tag(DATA_FIELD), varint(bytes.length)] : [])])
    return { head: Buffer.concat([tag(CID_FIELD), varint(head.length + bytes.length), head]), bytes }
  })
  const length = entries.reduce((sum, { head, bytes }) => sum + head.length + bytes.length, 0)
  return [tag(field), varint(length), ...entries.flatMap(({ head, bytes }) => [head, bytes])]
}

/** Of a field whose length stands before it. */
const tag = (field: number): Uint8Array => Uint8Array.of((field << 3) | 2)
const varint = (value: number): Uint8Array => varints.encodeTo(value, new Uint8Array(varints.encodingLength(value)))
const joined = (parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts)

export const blocksRequest: WireCodec<ToBlocks> = wireCodec(
  (message) => {
    switch (message.kind) {
      case 'open':
        return BlocksRequest.encode({ open: message.workspace })
      case 'have':
        return BlocksRequest.encode({ have: cidList(message.cids) })
      case 'put':
        return joined(putParts(message.blocks))
      case 'want':
        return BlocksRequest.encode({ want: cidList(message.cids) })
    }
  },
  (frame) => {
    const raw = BlocksRequest.decode(frame)
    if (raw.open !== undefined) return { kind: 'open', workspace: parse.workspace(raw.open) }
    if (raw.have !== undefined) return { kind: 'have', cids: raw.have.cids.map(parse.cid) }
    if (raw.put !== undefined) return { kind: 'put', blocks: fromWire(raw.put.blocks) }
    if (raw.want !== undefined) return { kind: 'want', cids: raw.want.cids.map(parse.cid) }
    throw unknownKind()
  }
)

export const blocksReply: WireCodec<FromBlocks> = wireCodec(
  (message) => {
    switch (message.kind) {
      case 'opened':
        return BlocksReply.encode({ opened: {} })
      case 'missing':
        return BlocksReply.encode({ missing: cidList(message.cids) })
      case 'blocks':
        return joined(blocksParts(message.blocks))
      case 'kept':
        return BlocksReply.encode({ kept: {} })
      case 'failure':
        return BlocksReply.encode({ failure: { code: message.code, message: message.message } })
    }
  },
  (frame) => {
    const raw = BlocksReply.decode(frame)
    if (raw.missing !== undefined) return { kind: 'missing', cids: raw.missing.cids.map(parse.cid) }
    if (raw.blocks !== undefined) return { kind: 'blocks', blocks: fromWire(raw.blocks.blocks) }
    if (raw.kept !== undefined) return { kind: 'kept' }
    if (raw.opened !== undefined) return { kind: 'opened' }
    if (raw.failure !== undefined) {
      return {
        kind: 'failure',
        code: parse.errorCode(raw.failure.code),
        message: parse.line(raw.failure.message, 1000)
      }
    }
    throw unknownKind()
  }
)
