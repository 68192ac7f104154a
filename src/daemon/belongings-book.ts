import type { CID } from 'multiformats/cid'
import { tarOf } from '../content/tar.ts'
import { BoundedMap } from '../core/bounded-map.ts'
import type { Clock, Instant } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { ServiceName, UserId, WorkspaceId } from '../core/ids.ts'
import type { SignedHead } from '../core/records.ts'
import type { Belonging, BelongingsBook, ExportForm } from '../routing/own/belongings.ts'
import { carOf } from '../store/car-export.ts'
import type { CoordinatorCore } from './coordinator-parts.ts'

/** Each reads as fast as its user takes it. */
const EXPORTS_MAX = 16
const EXPORTS_PER_USER_MAX = 2
/** Exports of the same workspace in so long are one line of the audit log. */
const TOLD_ONCE_MS = 3_600_000
const TOLD_MAX = 10_000

type Core = Pick<
  CoordinatorCore,
  'table' | 'services' | 'repository' | 'holdings' | 'fleet' | 'quotas' | 'expiry' | 'removals' | 'audit'
>

/** What users have, by what the coordinator knows itself: no instance is asked. Who looks at it uses it. */
export class LiveBelongings implements BelongingsBook {
  readonly #core: Core
  readonly #clock: Clock
  readonly #exports = new Map<UserId, number>()
  readonly #toldAt = new BoundedMap<string, Instant>(TOLD_MAX)

  constructor(core: Core, clock: Clock) {
    this.#core = core
    this.#clock = clock
  }

  async of(user: UserId): Promise<readonly Belonging[]> {
    const { services } = this.#core
    const all = await Promise.all(services.list().map(({ name }) => this.#belonging(name, user)))
    return all.filter((one) => one !== null)
  }

  quotaBytes(user: UserId): number | null {
    return this.#core.quotas.of(user)
  }

  async export(user: UserId, service: ServiceName, form: ExportForm): Promise<AsyncIterable<Uint8Array>> {
    const { table, repository, expiry } = this.#core
    const workspace = table.find(service, user)
    if (workspace !== null) expiry.used(workspace)
    const tip = workspace === null ? null : await repository.tip(workspace)
    if (workspace === null || tip === null) throw nothingIn(service)
    const leave = this.#enter(user)
    try {
      const { head } = tip
      await this.#noteExport(user, workspace, { head: head.cid.toString(), form })
      const { root } = head.value
      const pieces = form === 'car' ? carOf([root], repository.closure(head)) : this.#tar(head, service)
      return until(pieces, leave)
    } catch (error) {
      leave()
      throw error
    }
  }

  async #noteExport(
    user: UserId,
    workspace: WorkspaceId,
    details: { readonly head: string; readonly form: ExportForm }
  ): Promise<void> {
    const key = `${user} ${workspace}`
    const now = this.#clock.now()
    const toldAt = this.#toldAt.get(key)
    if (toldAt !== undefined && now - toldAt < TOLD_ONCE_MS) return
    await this.#core.audit.append({ actor: user, action: 'workspace.export', target: workspace, details })
    this.#toldAt.set(key, now)
  }

  async remove(user: UserId, service: ServiceName): Promise<void> {
    const { table, removals } = this.#core
    const workspace = table.find(service, user)
    if (workspace === null) throw nothingIn(service)
    await removals.remove(workspace, user, 'its owner wants it', () => {
      if (table.get(workspace)?.signed.value.owner !== user) throw nothingIn(service)
    })
  }

  async #belonging(service: ServiceName, user: UserId): Promise<Belonging | null> {
    const { table, repository, holdings, fleet, expiry } = this.#core
    const workspace = table.find(service, user)
    const value = workspace === null ? undefined : table.get(workspace)?.signed.value
    if (workspace === null || value === undefined) return null
    expiry.used(workspace)
    const head = (await repository.tip(workspace))?.head ?? null
    const { home, standbys } = value
    const holding = head === null ? [] : standbys.filter((peer) => holdings.receipt(workspace, peer, head.cid) !== null)
    return {
      service,
      workspace,
      files: head?.value.files ?? 0,
      usedBytes: head?.value.bytes ?? 0,
      savedAtMs: head?.value.createdAtMs ?? null,
      copies: head === null ? 0 : 1 + (home === null ? 0 : 1) + holding.length,
      unsavedAgeMs: fleet.unsynced([workspace]).ageMs,
      expiresAtMs: expiry.expiresAtMs(workspace)
    }
  }

  async *#tar(head: SignedHead, service: ServiceName): AsyncGenerator<Uint8Array> {
    const { repository } = this.#core
    const { workspace, root } = head.value
    // As long as its blocks are listed the head stays in its history, and what it needs is not given back.
    const kept = repository.closure(head)
    try {
      await kept.next()
      yield* tarOf(root, service, (cid) => this.#load(workspace, cid))
    } finally {
      await kept.return(undefined)
    }
  }

  async #load(workspace: WorkspaceId, cid: CID): Promise<Uint8Array> {
    const bytes = await this.#core.repository.read(workspace, cid)
    if (bytes !== null) return bytes
    throw new NodeDaemonError('INCOMPLETE', `block ${cid} of the repository is damaged`, {
      advice: 'have it repaired from the instances that hold it: node-daemon repo verify'
    })
  }

  /** The returned function is to be called once it has ended. @throws NodeDaemonError `BUSY` */
  #enter(user: UserId): () => void {
    const own = this.#exports.get(user) ?? 0
    const all = [...this.#exports.values()].reduce((sum, count) => sum + count, 0)
    if (all >= EXPORTS_MAX || own >= EXPORTS_PER_USER_MAX) {
      throw new NodeDaemonError('BUSY', 'Too many downloads of whole workspaces are under way. Try again in a while.')
    }
    this.#exports.set(user, own + 1)
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      const left = (this.#exports.get(user) ?? 1) - 1
      if (left > 0) this.#exports.set(user, left)
      else this.#exports.delete(user)
    }
  }
}

const nothingIn = (service: ServiceName): NodeDaemonError =>
  new NodeDaemonError('NOT_FOUND', `You have saved nothing in ${service}.`)

/** The same pieces; `onEnd` is called when they end, or nobody takes more. */
function until(pieces: AsyncGenerator<Uint8Array>, onEnd: () => void): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]: () => ({
      next: async () => {
        try {
          const next = await pieces.next()
          if (next.done === true) onEnd()
          return next
        } catch (error) {
          onEnd()
          throw error
        }
      },
      return: async () => {
        onEnd()
        await pieces.return(undefined)
        return { done: true, value: undefined }
      }
    })
  }
}
