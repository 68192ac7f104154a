import type { ServiceName, UserId, WorkspaceId } from '../core/ids.ts'

export interface QuotasDeps {
  readonly table: { find(service: ServiceName, user: UserId): WorkspaceId | null }
  readonly services: { list(): readonly { readonly name: ServiceName }[] }
  /** As its home said last, in bytes. */
  readonly usedBytes: (workspace: WorkspaceId) => number
  /** What an admin said of one user; null: nothing. */
  readonly quotaOf: (user: UserId) => number | null
}

export interface QuotasOptions {
  /** Of a user, over all services. */
  readonly quotaBytes: number
  /** Of a guest. */
  readonly anonymousQuotaBytes: number
}

export const isGuest = (owner: string): boolean => owner.startsWith('guest:')

/** How much users may hold. */
export class Quotas {
  readonly #deps: QuotasDeps
  readonly #options: QuotasOptions

  constructor(deps: QuotasDeps, options: QuotasOptions) {
    this.#deps = deps
    this.#options = options
  }

  /** Over all services. */
  of(user: UserId): number {
    if (isGuest(user)) return this.#options.anonymousQuotaBytes
    return this.#deps.quotaOf(user) ?? this.#options.quotaBytes
  }

  /** What one workspace of the user may hold beside the others. Fast: asked for each request. */
  limitOf(user: UserId, workspace: WorkspaceId): number {
    const { table, services, usedBytes } = this.#deps
    let left = this.of(user)
    const list = services.list()
    if (list.length === 1) return left
    for (const { name } of list) {
      const other = table.find(name, user)
      if (other !== null && other !== workspace) left -= usedBytes(other)
    }
    return Math.max(0, left)
  }
}
