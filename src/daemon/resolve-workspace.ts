import { NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'

/** The workspace whose id begins like this. @throws NodeDaemonError `NOT_FOUND`, `AMBIGUOUS` */
export function resolveWorkspace(table: OwnershipTable, text: string): WorkspaceId {
  const wanted = text.toLowerCase()
  const ids = [...table.all()].map(({ signed }) => signed.value.workspace)
  const found = ids.filter((id) => id.startsWith(wanted))
  const [only] = found
  if (only === undefined || wanted === '') {
    throw new NodeDaemonError('NOT_FOUND', `there is no workspace "${text}"`, {
      advice: 'see "node-daemon workspaces ls"'
    })
  }
  if (found.length > 1) {
    throw new NodeDaemonError('AMBIGUOUS', `${found.length} workspaces begin with "${text}"`, {
      advice: 'give more of the id'
    })
  }
  return only
}
