import { open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import {
  type Lock,
  MethodNotSupportedError,
  type Properties,
  type Resource,
  ResourceExistsError,
  type User
} from 'nephele'
import type { WorkspaceAdapter } from './dav-adapter.ts'
import { WorkspaceProperties } from './dav-properties.ts'
import { diskPath, requireUnlocked } from './exchange.ts'
import type { HeldLock } from './locks.ts'
import { mediaTypeOf } from './media-types.ts'
import { hrefOf, nameOf } from './path.ts'
import type { Found } from './tree.ts'

/**
 * A file or folder, as nephele sees it. Reading, writing, copying and moving never come this way: they need no XML, and
 * go through one rename each.
 */
export class WorkspaceResource implements Resource {
  readonly adapter: WorkspaceAdapter
  readonly baseUrl: URL
  readonly found: Found

  constructor(adapter: WorkspaceAdapter, baseUrl: URL, found: Found) {
    this.adapter = adapter
    this.baseUrl = baseUrl
    this.found = found
  }

  async getLocks(): Promise<Lock[]> {
    return this.adapter.exchange.remembered.locks.at(this.found.path).map((lock) => this.#lockOf(lock))
  }

  async getLocksByUser(user: User): Promise<Lock[]> {
    const locks = this.adapter.exchange.remembered.locks.at(this.found.path)
    return locks.filter((lock) => lock.user === user.username).map((lock) => this.#lockOf(lock))
  }

  async createLockForUser(user: User): Promise<Lock> {
    const { clock } = this.adapter.exchange
    return new WorkspaceLock(this, {
      token: '',
      path: this.found.path,
      user: user.username,
      depth: '0',
      scope: 'exclusive',
      provisional: true,
      owner: {},
      expiresAt: clock.now()
    })
  }

  #lockOf(lock: HeldLock): Lock {
    return new WorkspaceLock(this, lock)
  }

  async getProperties(): Promise<Properties> {
    return new WorkspaceProperties(this)
  }

  /** Makes the empty file on which a client locks a name that is free. */
  async create(): Promise<void> {
    const { exchange } = this.adapter
    if (this.found.kind !== 'absent') throw new ResourceExistsError('there is something of that name already')
    requireUnlocked(exchange, this.found.path, { membership: true, below: false })
    exchange.context.allowance.take(0)
    await using file = await open(diskPath(exchange, this.found.path), 'wx', 0o644)
    await file.chmod(0o644)
    const now = exchange.stamps.next()
    await file.utimes(now, now)
    this.adapter.changed.push(this.found.path)
  }

  async getLength(): Promise<number> {
    return this.found.kind === 'file' ? this.found.sizeBytes : 0
  }

  async getEtag(): Promise<string> {
    return this.found.kind === 'absent' ? '' : this.found.etag.slice(1, -1)
  }

  async getMediaType(): Promise<string | null> {
    return this.found.kind === 'file' ? mediaTypeOf(nameOf(this.found.path)) : null
  }

  async getCanonicalName(): Promise<string> {
    return nameOf(this.found.path)
  }

  async getCanonicalPath(): Promise<string> {
    return `/${this.found.path}`
  }

  async getCanonicalUrl(): Promise<URL> {
    const { base } = this.adapter.exchange.context
    return new URL(hrefOf(base, this.found.path, this.found.kind === 'folder'), this.baseUrl)
  }

  async isCollection(): Promise<boolean> {
    return this.found.kind === 'folder'
  }

  async getInternalMembers(): Promise<Resource[]> {
    const entries = await this.adapter.members(this.found.path)
    return entries.map((entry) => this.adapter.resourceFor(entry, this.baseUrl))
  }

  async getStream(): Promise<Readable> {
    throw notHere()
  }

  async setStream(): Promise<void> {
    throw notHere()
  }

  async delete(): Promise<void> {
    throw notHere()
  }

  async copy(): Promise<void> {
    throw notHere()
  }

  async move(): Promise<void> {
    throw notHere()
  }
}

const notHere = (): Error => new MethodNotSupportedError('files are changed without nephele')

/** A lock in nephele's shape. nephele changes its fields, then saves it. */
class WorkspaceLock implements Lock {
  readonly resource: WorkspaceResource
  token: string
  date: Date
  timeout: number
  scope: 'exclusive' | 'shared'
  depth: '0' | 'infinity'
  provisional: boolean
  owner: unknown
  readonly #held: HeldLock

  constructor(resource: WorkspaceResource, held: HeldLock) {
    const { clock } = resource.adapter.exchange
    this.#held = held
    this.resource = resource
    this.token = held.token
    this.date = new Date(clock.wall())
    this.timeout = held.expiresAt - clock.now()
    this.scope = held.scope
    this.depth = held.depth
    this.provisional = held.provisional
    this.owner = held.owner
  }

  async save(): Promise<void> {
    const { clock, remembered, limits } = this.resource.adapter.exchange
    const { token, scope, depth, provisional, owner } = this
    const expiresAt = clock.now() + Math.min(this.timeout, limits.lockMsMax)
    remembered.locks.save({ ...this.#held, token, scope, depth, provisional, owner, expiresAt })
  }

  async delete(): Promise<void> {
    this.resource.adapter.exchange.remembered.locks.remove({ path: this.#held.path, token: this.token })
  }
}
