import type { WorkspaceId } from '../core/ids.ts'
import type { Resident } from '../handover/resident.ts'
import { REPORT_LIMITS, type ReportedWorkspace, reportCodec } from '../wire/report.ts'
import type { KnownMembers } from './known-members.ts'

/** What the coordinator has signed for this instance: a page of it, beginning after that workspace. */
export function reportPage(
  resident: Pick<Resident, 'signed'>,
  { certificate, list: memberList }: Pick<KnownMembers, 'certificate' | 'list'>,
  after: WorkspaceId | null
): Uint8Array {
  const workspaces: ReportedWorkspace[] = []
  let bytes = 0
  let more = false
  for (const one of resident.signed(after)) {
    more = workspaces.length >= REPORT_LIMITS.workspacesMax || bytes >= REPORT_LIMITS.pageBytes
    if (more) break
    workspaces.push(one)
    bytes += one.ownership.length + (one.head?.length ?? 0) + (one.receipt?.length ?? 0)
  }
  const proof = after === null ? { certificate, memberList } : { certificate: null, memberList: null }
  return reportCodec.encode({ ...proof, workspaces, more })
}
