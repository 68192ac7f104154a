import type { CID } from 'multiformats/cid'
import { type Block, MAX_BLOCK_BYTES } from '../core/blocks.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import { parse } from '../core/parse.ts'
import { fromWire, toWire } from './blocks.ts'
import { HeadsReply, HeadsRequest } from './generated/heads.ts'
import { type Protocol, unknownKind, type WireCodec, wireCodec } from './protocol.ts'

export const HEADS_LIMITS = {
  /** Bytes of the blocks that travel with a head; more go over the blocks protocol first. */
  inlineBytes: 512 * 1024,
  /** Content ids of missing blocks that one failure names. */
  missingMax: 1000,
  /** Requests that one peer may have under way at once. */
  requestsMax: 1024,
  /** Bytes of requests of one stream that are worked on at once; more are not read until some are answered. */
  underWayBytes: 16 * 1024 * 1024
} as const

export const HEADS_PROTOCOL: Protocol = {
  id: '/node-daemon/heads/1.0.0',
  maxFrameBytes: HEADS_LIMITS.inlineBytes + MAX_BLOCK_BYTES + 256 * 1024,
  maxStreams: 4,
  open: 'members'
}

export type HeadsAsk =
  /** Answered by a receipt once the head and its closure are durable. */
  | { readonly kind: 'publish' | 'diverged'; readonly head: Uint8Array; readonly blocks: readonly Block[] }
  /** Answered by the newest head, or nothing. */
  | { readonly kind: 'tip'; readonly workspace: WorkspaceId }
  /** Answered like `tip`; from then on each new head is sent with id 0. */
  | { readonly kind: 'follow'; readonly workspace: WorkspaceId }
  | { readonly kind: 'unfollow'; readonly workspace: WorkspaceId }
  /** The sender's own receipt: it holds a head durably. Answered by nothing. */
  | { readonly kind: 'holding'; readonly receipt: Uint8Array }

export type HeadsAnswer =
  | { readonly kind: 'receipt'; readonly receipt: Uint8Array }
  | { readonly kind: 'head'; readonly head: Uint8Array }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'failure'; readonly code: ErrorCode; readonly message: string; readonly missing: readonly CID[] }

/** `id` pairs an answer with its request; 0 stands for a new head of a workspace that is followed. */
export type ToHeads = { readonly id: number } & HeadsAsk
export type FromHeads = { readonly id: number } & HeadsAnswer

const own = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => bytes as Uint8Array<ArrayBuffer>

export const headsRequest: WireCodec<ToHeads> = wireCodec(
  ({ id, ...ask }) => {
    switch (ask.kind) {
      case 'publish':
        return HeadsRequest.encode({ id, publish: { head: own(ask.head), blocks: toWire(ask.blocks) } })
      case 'diverged':
        return HeadsRequest.encode({ id, diverged: { head: own(ask.head), blocks: toWire(ask.blocks) } })
      case 'tip':
        return HeadsRequest.encode({ id, tip: ask.workspace })
      case 'follow':
        return HeadsRequest.encode({ id, follow: ask.workspace })
      case 'unfollow':
        return HeadsRequest.encode({ id, unfollow: ask.workspace })
      case 'holding':
        return HeadsRequest.encode({ id, holding: own(ask.receipt) })
    }
  },
  (frame) => {
    const raw = HeadsRequest.decode(frame)
    const { id } = raw
    if (raw.publish !== undefined) {
      return { id, kind: 'publish', head: raw.publish.head, blocks: fromWire(raw.publish.blocks) }
    }
    if (raw.diverged !== undefined) {
      return { id, kind: 'diverged', head: raw.diverged.head, blocks: fromWire(raw.diverged.blocks) }
    }
    if (raw.tip !== undefined) return { id, kind: 'tip', workspace: parse.workspace(raw.tip) }
    if (raw.follow !== undefined) return { id, kind: 'follow', workspace: parse.workspace(raw.follow) }
    if (raw.unfollow !== undefined) return { id, kind: 'unfollow', workspace: parse.workspace(raw.unfollow) }
    if (raw.holding !== undefined) return { id, kind: 'holding', receipt: raw.holding }
    throw unknownKind()
  }
)

export const headsReply: WireCodec<FromHeads> = wireCodec(
  ({ id, ...answer }) => {
    switch (answer.kind) {
      case 'receipt':
        return HeadsReply.encode({ id, receipt: own(answer.receipt) })
      case 'head':
        return HeadsReply.encode({ id, head: own(answer.head) })
      case 'nothing':
        return HeadsReply.encode({ id, nothing: {} })
      case 'failure':
        return HeadsReply.encode({
          id,
          failure: {
            code: answer.code,
            message: answer.message,
            missing: answer.missing.slice(0, HEADS_LIMITS.missingMax).map((cid) => own(cid.bytes))
          }
        })
    }
  },
  (frame) => {
    const raw = HeadsReply.decode(frame)
    const { id } = raw
    if (raw.receipt !== undefined) return { id, kind: 'receipt', receipt: raw.receipt }
    if (raw.head !== undefined) return { id, kind: 'head', head: raw.head }
    if (raw.nothing !== undefined) return { id, kind: 'nothing' }
    if (raw.failure === undefined) throw unknownKind()
    return {
      id,
      kind: 'failure',
      code: parse.errorCode(raw.failure.code),
      message: parse.line(raw.failure.message, 1000),
      missing: raw.failure.missing.map(parse.cid)
    }
  }
)
