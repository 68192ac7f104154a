import type { CID } from 'multiformats/cid'
import type { RecordType, Signed } from './envelope.ts'
import { NodeDaemonError } from './errors.ts'
import * as proto from './generated/records.ts'
import type { OwnerId, PeerIdText, ServiceName, WorkspaceId } from './ids.ts'
import { cidBytes, parse } from './parse.ts'

/** The state of a workspace at one moment, said by its home. Signed by the writer. */
export interface Head {
  readonly workspace: WorkspaceId
  readonly epoch: number
  /** Rises by one with each head of the workspace, across epochs. The first is 1. */
  readonly sequence: number
  /** The snapshot: the root of a UnixFS folder. */
  readonly root: CID
  /** The head before this one; the base for the first head of an epoch; null for the first of all. */
  readonly previous: CID | null
  readonly createdAtMs: number
  readonly files: number
  readonly bytes: number
  /** Paths that could not be taken exactly: they kept changing, or cannot be named. At most 100. */
  readonly unsettled: readonly string[]
}

/** What a recipient says once it holds a head's whole closure durably. Signed by the recipient. */
export interface Receipt {
  readonly workspace: WorkspaceId
  readonly epoch: number
  readonly sequence: number
  readonly head: CID
  readonly root: CID
  readonly blocks: number
  readonly bytes: number
  readonly durability: 'fsynced'
  readonly role: 'repository' | 'instance'
  readonly issuedAtMs: number
  readonly recipient: PeerIdText
}

/** The repository's promise to accept no more heads of this epoch. `head` is the base of the next one, null where there is none. */
export interface Seal {
  readonly workspace: WorkspaceId
  readonly epoch: number
  readonly head: CID | null
  readonly sealedAtMs: number
}

/** Who may write a workspace. Signed by the coordinator; a lower number than one already seen is refused. */
export interface Ownership {
  readonly federation: PeerIdText
  readonly workspace: WorkspaceId
  readonly service: ServiceName
  readonly owner: OwnerId
  readonly epoch: number
  readonly base: CID | null
  /** Null while nobody serves the workspace. */
  readonly home: PeerIdText | null
  readonly standbys: readonly PeerIdText[]
  readonly number: number
  /** The workspace is no more: whoever holds it removes its files. The last record of a workspace. */
  readonly removed?: true
}

/** What a member is for: it serves workspaces, or it lets users in. */
export const MEMBER_ROLES = ['instance', 'front-door'] as const
export type MemberRole = (typeof MEMBER_ROLES)[number]

/** An instance is what was there before there were others: nothing is said of it. */
export const roleText = (role: MemberRole): string => (role === 'instance' ? '' : role)
export const roleOf = (text: string): MemberRole => (text === '' ? 'instance' : parse.word(text, MEMBER_ROLES, 'role'))

/** A peer's membership, as it proves it to other members. Signed by the coordinator. */
export interface Certificate {
  readonly federation: PeerIdText
  readonly peer: PeerIdText
  readonly name: string
  readonly number: number
  readonly issuedAtMs: number
  readonly role: MemberRole
}

/** All members. Signed by the coordinator; a lower number than one already seen is refused. */
export interface MemberList {
  readonly federation: PeerIdText
  readonly number: number
  readonly issuedAtMs: number
  readonly members: readonly ListedMember[]
}

export interface ListedMember {
  readonly peer: PeerIdText
  readonly name: string
  readonly state: string
  readonly role: MemberRole
}

/** The last state of everything that an instance was home of, and who holds it now. Signed by the coordinator. */
export interface ExitStatement {
  readonly federation: PeerIdText
  readonly instance: PeerIdText
  readonly issuedAtMs: number
  readonly heads: readonly {
    readonly workspace: WorkspaceId
    readonly epoch: number
    readonly sequence: number
    readonly head: CID
    readonly recipient: PeerIdText
  }[]
}

/** Whose the ingress is that answers at an address. Signed by the instance, for whoever asked with the nonce. */
export interface IngressProof {
  /** Scheme, host and port, as in the `Origin` of a page. */
  readonly url: string
  readonly nonce: Uint8Array
  /** The id of the newest ticket key that it knows; empty where it knows none. */
  readonly key: string
}

export const headRecord: RecordType<Head> = {
  domain: 'node-daemon-head/1',
  encode: (head) =>
    proto.Head.encode({
      ...head,
      root: cidBytes(head.root),
      previous: cidBytes(head.previous),
      unsettled: [...head.unsettled]
    }),
  decode(payload) {
    const raw = proto.Head.decode(payload)
    if (raw.sequence < 1 || raw.epoch < 1)
      throw new NodeDaemonError('BAD_REQUEST', 'a head counts epochs and sequences from 1')
    return {
      ...raw,
      workspace: parse.workspace(raw.workspace),
      root: parse.cid(raw.root),
      previous: parse.cidOrNull(raw.previous)
    }
  }
}

export const receiptRecord: RecordType<Receipt> = {
  domain: 'node-daemon-receipt/1',
  encode: (receipt) => proto.Receipt.encode({ ...receipt, head: cidBytes(receipt.head), root: cidBytes(receipt.root) }),
  decode(payload) {
    const raw = proto.Receipt.decode(payload)
    return {
      ...raw,
      workspace: parse.workspace(raw.workspace),
      head: parse.cid(raw.head),
      root: parse.cid(raw.root),
      recipient: parse.peer(raw.recipient),
      durability: parse.word(raw.durability, ['fsynced'], 'durability'),
      role: parse.word(raw.role, ['repository', 'instance'], 'role')
    }
  }
}

export const sealRecord: RecordType<Seal> = {
  domain: 'node-daemon-seal/1',
  encode: (value) => proto.Seal.encode({ ...value, head: cidBytes(value.head) }),
  decode(payload) {
    const raw = proto.Seal.decode(payload)
    return { ...raw, workspace: parse.workspace(raw.workspace), head: parse.cidOrNull(raw.head) }
  }
}

export const ownershipRecord: RecordType<Ownership> = {
  domain: 'node-daemon-ownership/1',
  encode: (value) =>
    proto.Ownership.encode({
      ...value,
      base: cidBytes(value.base),
      home: value.home ?? '',
      standbys: [...value.standbys],
      removed: value.removed === true
    }),
  decode(payload) {
    const raw = proto.Ownership.decode(payload)
    return {
      federation: parse.peer(raw.federation),
      workspace: parse.workspace(raw.workspace),
      service: parse.service(raw.service),
      owner: parse.owner(raw.owner),
      epoch: raw.epoch,
      base: parse.cidOrNull(raw.base),
      home: raw.home === '' ? null : parse.peer(raw.home),
      standbys: raw.standbys.map(parse.peer),
      number: raw.number,
      ...(raw.removed && { removed: true as const })
    }
  }
}

export const certificateRecord: RecordType<Certificate> = {
  domain: 'node-daemon-certificate/1',
  encode: (value) => proto.Certificate.encode({ ...value, role: roleText(value.role) }),
  decode(payload) {
    const raw = proto.Certificate.decode(payload)
    return { ...raw, federation: parse.peer(raw.federation), peer: parse.peer(raw.peer), role: roleOf(raw.role) }
  }
}

export const memberListRecord: RecordType<MemberList> = {
  domain: 'node-daemon-members/1',
  encode: (value) =>
    proto.MemberList.encode({
      ...value,
      members: value.members.map((member) => ({ ...member, role: roleText(member.role) }))
    }),
  decode(payload) {
    const raw = proto.MemberList.decode(payload)
    return {
      federation: parse.peer(raw.federation),
      number: raw.number,
      issuedAtMs: raw.issuedAtMs,
      members: raw.members.map((one) => ({ ...one, peer: parse.peer(one.peer), role: roleOf(one.role) }))
    }
  }
}

export const exitRecord: RecordType<ExitStatement> = {
  domain: 'node-daemon-exit/1',
  encode: (value) =>
    proto.ExitStatement.encode({
      ...value,
      heads: value.heads.map((head) => ({ ...head, head: cidBytes(head.head) }))
    }),
  decode(payload) {
    const raw = proto.ExitStatement.decode(payload)
    return {
      federation: parse.peer(raw.federation),
      instance: parse.peer(raw.instance),
      issuedAtMs: raw.issuedAtMs,
      heads: raw.heads.map((head) => ({
        ...head,
        workspace: parse.workspace(head.workspace),
        head: parse.cid(head.head),
        recipient: parse.peer(head.recipient)
      }))
    }
  }
}

export const ingressProofRecord: RecordType<IngressProof> = {
  domain: 'node-daemon-ingress/1',
  encode: (value) => proto.IngressProof.encode({ ...value, nonce: new Uint8Array(value.nonce) }),
  decode: (payload) => proto.IngressProof.decode(payload)
}

export type SignedHead = Signed<Head>
export type SignedReceipt = Signed<Receipt>
export type SignedOwnership = Signed<Ownership>
