import { open, type Signed } from '../core/envelope.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import {
  headRecord,
  type MemberList,
  memberListRecord,
  ownershipRecord,
  receiptRecord,
  type SignedHead,
  type SignedOwnership
} from '../core/records.ts'
import type { ReportOrder } from '../wire/control.ts'
import { type ReportedWorkspace, reportCodec } from '../wire/report.ts'

const PAGE_MS = 30_000
/** Of one instance. */
const WORKSPACES_MAX = 1_000_000

/** What one instance holds of a workspace. The ownership record is this coordinator's own. */
export interface Testified {
  readonly ownership: SignedOwnership
  /** Signed by whoever made it; whether that one was the home then is not checked yet. */
  readonly head: SignedHead | null
  /** The repository had that head once, as its receipt says. */
  readonly isProven: boolean
  readonly role: ReportedWorkspace['role']
}

/** All that this coordinator has signed for an instance, verified. */
export interface MemberReport {
  readonly peer: PeerIdText
  readonly memberList: Signed<MemberList> | null
  readonly workspaces: readonly Testified[]
}

/** One that can be asked: see `Session`. */
export interface Asked {
  readonly peer: PeerIdText
  order(order: ReportOrder, timeoutMs: number): Promise<Uint8Array>
}

/**
 * Asks an instance for everything that this coordinator has signed for it.
 *
 * @throws NodeDaemonError `BAD_SIGNATURE` one of the records is not; `PROTOCOL_VIOLATION` it does not come to an end, or
 *   names other workspaces than in their order; what the order throws
 */
export async function askReport(asked: Asked, coordinator: PeerIdText): Promise<MemberReport> {
  const workspaces: Testified[] = []
  let memberList: Signed<MemberList> | null = null
  for (let after: WorkspaceId | null = null; ; ) {
    const page = reportCodec.decode(await asked.order({ kind: 'report', after }, PAGE_MS))
    if (after === null && page.memberList !== null) {
      memberList = await open(memberListRecord, page.memberList, coordinator)
    }
    for (const one of page.workspaces) {
      const testified = await opened(one, coordinator)
      const { workspace } = testified.ownership.value
      if (after !== null && workspace <= after) throw violation('names workspaces twice, or out of order')
      after = workspace
      workspaces.push(testified)
    }
    if (workspaces.length > WORKSPACES_MAX) throw violation('does not come to an end')
    if (!page.more) return { peer: asked.peer, memberList, workspaces }
  }
}

async function opened(reported: ReportedWorkspace, coordinator: PeerIdText): Promise<Testified> {
  const { ownership, head, receipt, role } = reported
  const record = await open(ownershipRecord, ownership, coordinator)
  const signedHead = head === null ? null : await open(headRecord, head)
  if (record.value.federation !== coordinator) throw violation('holds a record of another federation')
  if (signedHead !== null && signedHead.value.workspace !== record.value.workspace) {
    throw violation('names the head of another workspace')
  }
  const isProven = signedHead !== null && receipt !== null && (await isReceiptFor(signedHead, receipt, coordinator))
  return { ownership: record, head: signedHead, isProven, role }
}

async function isReceiptFor({ cid }: SignedHead, receipt: Uint8Array, coordinator: PeerIdText): Promise<boolean> {
  const { value } = await open(receiptRecord, receipt, coordinator)
  return value.role === 'repository' && value.recipient === coordinator && value.head.equals(cid)
}

const violation = (what: string): NodeDaemonError =>
  new NodeDaemonError('PROTOCOL_VIOLATION', `the report of an instance ${what}`)
