import type { OwnerId, ServiceName, WorkspaceId } from '../core/ids.ts'

export interface QuotasDeps {
  readonly table: { find(service: ServiceName, owner: OwnerId): WorkspaceId | null }
  readonly services: { list(): readonly { readonly name: ServiceName }[] }
  /** As its home said last, in bytes. */
  readonly usedBytes: (workspace: WorkspaceId) => number
  /** What an admin said of one user, in bytes; null: nothing. */
  readonly quotaOf: (owner: OwnerId) => number | null
}

export interface QuotasOptions {
  /** Of a user or a group, over all services. */
  readonly quotaBytes: number
  /** Of a guest. */
  readonly anonymousQuotaBytes: number
}

const isShared = (owner: OwnerId): boolean => owner.startsWith('service:')
export const isGuest = (owner: OwnerId): boolean => owner.startsWith('guest:')

/** How much the owners of workspaces may hold. What a whole service shares has no bound of its own. */
export class Quotas {
  readonly #deps: QuotasDeps
  readonly #options: QuotasOptions

  constructor(deps: QuotasDeps, options: QuotasOptions) {
    this.#deps = deps
    this.#options = options
  }

  /** Over all services, in bytes; null: no bound. */
  of(owner: OwnerId): number | null {
    if (isShared(owner)) return null
    if (isGuest(owner)) return this.#options.anonymousQuotaBytes
    return this.#deps.quotaOf(owner) ?? this.#options.quotaBytes
  }

  /** What one workspace may hold beside the others of its owner; null: no bound. Fast: asked for each request. */
  limitOf(owner: OwnerId, workspace: WorkspaceId): number | null {
    const { table, services, usedBytes } = this.#deps
    const quota = this.of(owner)
    const list = services.list()
    if (quota === null || list.length === 1) return quota
    let left = quota
    for (const { name } of list) {
      const other = table.find(name, owner)
      if (other !== null && other !== workspace) left -= usedBytes(other)
    }
    return Math.max(0, left)
  }
}
