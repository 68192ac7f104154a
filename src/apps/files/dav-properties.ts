import { lutimes } from 'node:fs/promises'
import {
  MethodNotSupportedError,
  type Properties,
  PropertyIsProtectedError,
  PropertyNotFoundError,
  type User
} from 'nephele'
import type { Allowance } from '../allowance.ts'
import type { WorkspaceResource } from './dav-resource.ts'
import { diskPath, type Exchange } from './exchange.ts'
import { mediaTypeOf } from './media-types.ts'
import { nameOf } from './path.ts'
import type { PropertyChange, PropertyValue } from './properties.ts'
import { type Entry, lookupEntry } from './tree.ts'

type Instruction = ['set' | 'remove', string, unknown]
type Failure = [string, Error]

const LOCK_KINDS = {
  lockentry: [
    { lockscope: { exclusive: {} }, locktype: { write: {} } },
    { lockscope: { shared: {} }, locktype: { write: {} } }
  ]
}

// XML 1.0 has no way to write these.
const NOT_IN_XML = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu

const onlyFiles =
  (value: (entry: Entry) => string) =>
  (entry: Entry): PropertyValue | undefined =>
    entry.kind === 'file' ? value(entry) : undefined

/** Properties that follow from the file itself (RFC 4918, section 15). */
const LIVE: Readonly<Record<string, (entry: Entry) => PropertyValue | undefined>> = {
  creationdate: (entry) => new Date(entry.createdMs).toISOString(),
  displayname: (entry) => nameOf(entry.path).replaceAll(NOT_IN_XML, '\u{FFFD}'),
  getcontentlength: onlyFiles((entry) => String(entry.sizeBytes)),
  getcontenttype: onlyFiles((entry) => mediaTypeOf(nameOf(entry.path))),
  getetag: (entry) => entry.etag,
  getlastmodified: (entry) => new Date(entry.modifiedMs).toUTCString(),
  resourcetype: (entry) => (entry.kind === 'folder' ? { collection: {} } : {}),
  supportedlock: () => LOCK_KINDS
}

/** Of a folder, where the workspace is bounded (RFC 4331): told to those who ask for them by name. */
const QUOTA: Readonly<Record<string, (allowance: Allowance) => string | undefined>> = {
  'quota-available-bytes': ({ usedBytes, limitBytes }) =>
    limitBytes === null ? undefined : String(Math.max(0, limitBytes - usedBytes)),
  'quota-used-bytes': ({ usedBytes }) => String(usedBytes)
}

/** Properties with which clients set the time of last change, and how they write it, in milliseconds. */
const TIMES: Readonly<Record<string, (value: string) => number>> = {
  lastmodified: (value) => (/^\d{1,11}$/.test(value) ? Number(value) * 1000 : Number.NaN),
  'urn:schemas-microsoft-com:%%Win32LastModifiedTime': (value) => Date.parse(value)
}

/** The properties of one file or folder, as nephele sees them. */
export class WorkspaceProperties implements Properties {
  readonly resource: WorkspaceResource

  constructor(resource: WorkspaceResource) {
    this.resource = resource
  }

  async get(name: string): Promise<PropertyValue> {
    const all = this.#all()
    const value = Object.hasOwn(all, name) ? all[name] : this.#quota(name)
    if (value === undefined) throw new PropertyNotFoundError(`there is no property ${name}`)
    return value
  }

  async getAll(): Promise<Record<string, PropertyValue>> {
    return this.#all()
  }

  async list(): Promise<string[]> {
    return Object.keys(this.#all())
  }

  async listLive(): Promise<string[]> {
    return Object.keys(this.#live())
  }

  async listDead(): Promise<string[]> {
    return [...this.#dead().keys()]
  }

  /** All of the changes, or none and the reasons. */
  async runInstructions(instructions: Instruction[]): Promise<Failure[] | undefined> {
    const { exchange } = this.resource.adapter
    const failures = instructions.flatMap(([action, name, value]): Failure[] => {
      const protectedOne =
        Object.hasOwn(LIVE, name) ||
        Object.hasOwn(QUOTA, name) ||
        (Object.hasOwn(TIMES, name) && !isTime(action, name, value))
      return protectedOne ? [[name, new PropertyIsProtectedError(`${name} cannot be set so`)]] : []
    })
    if (failures.length > 0) return failures
    const { path } = this.resource.found
    exchange.remembered.properties.change(
      path,
      instructions.filter(([, name]) => !Object.hasOwn(TIMES, name)).map(asChange)
    )
    for (const [, name, value] of instructions) {
      const time = Object.hasOwn(TIMES, name) ? TIMES[name]?.(textOf(value)) : undefined
      if (time !== undefined) await setTime(exchange, path, time / 1000)
      if (time !== undefined) this.resource.adapter.changed.push(path)
    }
    return undefined
  }

  getByUser(name: string): Promise<PropertyValue> {
    return this.get(name)
  }

  getAllByUser(): Promise<Record<string, PropertyValue>> {
    return this.getAll()
  }

  listByUser(): Promise<string[]> {
    return this.list()
  }

  listLiveByUser(): Promise<string[]> {
    return this.listLive()
  }

  listDeadByUser(): Promise<string[]> {
    return this.listDead()
  }

  runInstructionsByUser(instructions: Instruction[], _user: User): Promise<Failure[] | undefined> {
    return this.runInstructions(instructions)
  }

  async set(): Promise<void> {
    throw oneByOne()
  }

  async setByUser(): Promise<void> {
    throw oneByOne()
  }

  async remove(): Promise<void> {
    throw oneByOne()
  }

  async removeByUser(): Promise<void> {
    throw oneByOne()
  }

  #live(): Record<string, PropertyValue> {
    const { found } = this.resource
    const live: Record<string, PropertyValue> = {}
    if (found.kind === 'absent') return live
    for (const [name, of] of Object.entries(LIVE)) {
      const value = of(found)
      if (value !== undefined) live[name] = value
    }
    return live
  }

  #quota(name: string): string | undefined {
    const { found, adapter } = this.resource
    if (found.kind !== 'folder' || !Object.hasOwn(QUOTA, name)) return undefined
    return QUOTA[name]?.(adapter.exchange.context.allowance)
  }

  #dead(): ReadonlyMap<string, PropertyValue> {
    return this.resource.adapter.exchange.remembered.properties.of(this.resource.found.path)
  }

  #all(): Record<string, PropertyValue> {
    return { ...Object.fromEntries(this.#dead()), ...this.#live() }
  }
}

const oneByOne = (): Error => new MethodNotSupportedError('properties are changed all at once')

/** The text of a value, which nephele wraps in an object where its element has attributes. */
function textOf(value: unknown): string {
  return String(typeof value === 'object' && value !== null && '_' in value ? value._ : value)
}

const isTime = (action: string, name: string, value: unknown): boolean =>
  action === 'set' && Number.isFinite(TIMES[name]?.(textOf(value)))

function asChange([action, name, value]: Instruction): PropertyChange {
  const known = typeof value === 'string' || (typeof value === 'object' && value !== null) ? value : ''
  return { name, value: action === 'set' ? known : undefined }
}

/** Never of what a link points to. */
async function setTime(exchange: Exchange, path: string, seconds: number): Promise<void> {
  await lookupEntry(exchange.context, path)
  await lutimes(diskPath(exchange, path), seconds, seconds)
}
