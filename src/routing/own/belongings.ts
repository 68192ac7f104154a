import type { ServiceName, UserId, WorkspaceId } from '../../core/ids.ts'

/** What a user has in one service, as the coordinator knows it. */
export interface Belonging {
  readonly service: ServiceName
  readonly workspace: WorkspaceId
  readonly files: number
  readonly usedBytes: number
  /** When the newest state was made that the main repository has, as Unix time; null before the first. */
  readonly savedAtMs: number | null
  /** In how many places that state is: the main repository, the home, and the standbys that hold it. */
  readonly copies: number
  /** Since when something is not in the main repository yet, in milliseconds ago; 0: all is. */
  readonly unsavedAgeMs: number
  /** When it is removed if nobody uses it, as Unix time; null: it stays. */
  readonly expiresAtMs: number | null
}

export const EXPORTS = { tar: 'application/x-tar', car: 'application/vnd.ipld.car' } as const
export type ExportForm = keyof typeof EXPORTS

/** What users have, and may take with them or delete. */
export interface BelongingsBook {
  of(user: UserId): Promise<readonly Belonging[]>
  /** What the user may hold over all services, in bytes; null: no bound. */
  quotaBytes(user: UserId): number | null
  /**
   * The newest state that is saved, as an archive: `tar` for people, `car` with the blocks as they are kept.
   *
   * @throws NodeDaemonError `NOT_FOUND` nothing is saved; `BUSY` too many take something with them now. Its pieces may throw
   *   `INCOMPLETE` and `INTEGRITY`: then it is no whole archive
   */
  export(user: UserId, service: ServiceName, form: ExportForm): Promise<AsyncIterable<Uint8Array>>
  /** For good, with its history. On return nobody reaches it any more. @throws NodeDaemonError `NOT_FOUND`; `BUSY` not now */
  remove(user: UserId, service: ServiceName): Promise<void>
}
