import {
  type Adapter,
  Method,
  MethodNotSupportedError,
  type Resource,
  ResourceNotFoundError,
  ResourceTreeNotCompleteError
} from 'nephele'
import { WorkspaceResource } from './dav-resource.ts'
import type { Exchange } from './exchange.ts'
import { type FilePath, parseTarget } from './path.ts'
import { type Entry, type Found, lookup } from './tree.ts'

/** What nephele shall see in a folder. */
export type Members = (folder: FilePath) => Promise<readonly Entry[]>

/** One workspace, as nephele sees it during one request. */
export class WorkspaceAdapter implements Adapter {
  readonly exchange: Exchange
  readonly members: Members
  /** What this request has changed, to be acknowledged before it is answered. */
  readonly changed: FilePath[] = []
  readonly #resources = new Map<FilePath, WorkspaceResource>()

  constructor(exchange: Exchange, members: Members) {
    this.exchange = exchange
    this.members = members
  }

  get user(): string {
    return this.exchange.context.user
  }

  async getComplianceClasses(): Promise<string[]> {
    return ['2']
  }

  async getAllowedMethods(): Promise<string[]> {
    return []
  }

  async getOptionsResponseCacheControl(): Promise<string> {
    return 'private, no-cache'
  }

  /** The front door decided whose workspace this is; all of it is the user's. */
  async isAuthorized(): Promise<boolean> {
    return true
  }

  async getResource(url: URL, baseUrl: URL): Promise<Resource> {
    const path = this.#pathOf(url)
    const known = this.#resources.get(path)
    if (known !== undefined) return known
    const found = await lookup(this.exchange.context, path)
    if (found.kind === 'absent') throw new ResourceNotFoundError('there is no such file or folder')
    return this.resourceFor(found, baseUrl)
  }

  async newResource(url: URL, baseUrl: URL): Promise<Resource> {
    const found = await lookup(this.exchange.context, this.#pathOf(url))
    if (found.kind === 'absent' && !found.parent) {
      throw new ResourceTreeNotCompleteError('the folder that it should go into is missing')
    }
    return new WorkspaceResource(this, baseUrl, found)
  }

  async newCollection(): Promise<Resource> {
    throw new MethodNotSupportedError('folders are made without nephele')
  }

  getMethod(): typeof Method {
    return Method
  }

  /** The same resource for the same path: a listing asks for the folders above each entry. */
  resourceFor(found: Found, baseUrl: URL): WorkspaceResource {
    const resource = new WorkspaceResource(this, baseUrl, found)
    this.#resources.set(found.path, resource)
    return resource
  }

  #pathOf(url: URL): FilePath {
    return parseTarget(url.pathname, this.exchange.context.base).path
  }
}
