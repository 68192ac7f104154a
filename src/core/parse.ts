import { CID } from 'multiformats/cid'
import { type ErrorCode, isErrorCode, NodeDaemonError } from './errors.ts'
import {
  isOwnerId,
  isPeerIdText,
  isServiceName,
  isUserId,
  isWorkspaceId,
  type OwnerId,
  type PeerIdText,
  type ServiceName,
  type UserId,
  type WorkspaceId
} from './ids.ts'

const bad = (what: string): NodeDaemonError =>
  new NodeDaemonError('BAD_REQUEST', `a record or message has a bad ${what}`)

function checked<T extends string>(text: string, is: (text: string) => text is T, what: string): T {
  if (!is(text)) throw bad(what)
  return text
}

/** What was read from outside, as the words of this house. Each throws `BAD_REQUEST` where it is not one. */
export const parse = {
  peer: (text: string): PeerIdText => checked(text, isPeerIdText, 'peer id'),
  workspace: (text: string): WorkspaceId => checked(text, isWorkspaceId, 'workspace id'),
  service: (text: string): ServiceName => checked(text, isServiceName, 'service name'),
  user: (text: string): UserId => checked(text, isUserId, 'user'),
  owner: (text: string): OwnerId => checked(text, isOwnerId, 'owner'),
  errorCode: (text: string): ErrorCode => (isErrorCode(text) ? text : 'UNEXPECTED'),
  cid(bytes: Uint8Array): CID {
    try {
      return CID.decode(bytes)
    } catch {
      throw bad('content id')
    }
  },
  cidOrNull: (bytes: Uint8Array): CID | null => (bytes.length === 0 ? null : parse.cid(bytes)),
  /** One of a fixed set of words. */
  word<const T extends string>(text: string, words: readonly T[], what: string): T {
    const word = words.find((candidate) => candidate === text)
    if (word === undefined) throw bad(what)
    return word
  },
  /** A line of text for people: control characters become spaces, and it is cut at `max` characters. */
  line: (text: string, max: number): string =>
    text
      .replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')
      .trim()
      .slice(0, max)
} as const

/** The bytes of a CID, none for null: how both stand in a message. */
export const cidBytes = (cid: CID | null): Uint8Array<ArrayBuffer> => new Uint8Array(cid?.bytes ?? [])
