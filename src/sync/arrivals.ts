import type { WorkspaceId } from '../core/ids.ts'

/** What has come here of workspaces, for a heartbeat to tell. */
export class Arrivals {
  readonly #bytes = new Map<WorkspaceId, number>()

  note(workspace: WorkspaceId, bytes: number): void {
    this.#bytes.set(workspace, (this.#bytes.get(workspace) ?? 0) + bytes)
  }

  /** What has come since it was taken before, of at most so many workspaces. The rest is for the next time. */
  take(limit: number): { workspace: WorkspaceId; bytes: number }[] {
    const taken: { workspace: WorkspaceId; bytes: number }[] = []
    for (const [workspace, bytes] of this.#bytes) {
      if (taken.length === limit) break
      taken.push({ workspace, bytes })
      this.#bytes.delete(workspace)
    }
    return taken
  }
}
