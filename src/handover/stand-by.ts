import type { WorkspaceId } from '../core/ids.ts'
import type { Members } from '../sync/members.ts'
import { type Applied, StandbySync } from '../sync/standby.ts'
import type { Worktree } from '../worktree/worktree.ts'
import type { ResidentDeps } from './resident-deps.ts'
import type { ResidentRecord } from './resident-record.ts'

interface Parts {
  readonly worktree: Worktree
  /** What it has when it begins. */
  readonly applied: Applied | null
  readonly record: () => ResidentRecord
  /** Durable on return. */
  readonly save: (changes: Partial<ResidentRecord>) => Promise<void>
}

/** Tells others again what is on this disk for certain. */
export function tellHeld(members: Members, { role, head, suspect }: ResidentRecord): void {
  if (head !== null && !suspect && (role === 'home' || role === 'standby')) members.holds(head)
}

/** Begins to keep a workspace at its newest head here, from members nearby where they have it; others hear of what it holds. */
export function standBy(
  deps: ResidentDeps & { readonly workspace: WorkspaceId },
  { worktree, applied, record, save }: Parts
): StandbySync {
  const standby = new StandbySync(
    {
      ...deps,
      worktree,
      readAll: () => record().suspect,
      async onApplied(head, receipt) {
        await save({ head, receipt, suspect: false })
        deps.members.holds(head)
      },
      near: (head, signal) => deps.members.near(head, record().ownership.value, signal)
    },
    { workspace: deps.workspace, applied }
  )
  standby.start()
  return standby
}
