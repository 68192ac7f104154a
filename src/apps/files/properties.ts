import type { Budget } from './budget.ts'
import { type FilePath, isBelow } from './path.ts'
import { Refusal } from './refusal.ts'

/** A property's value, as nephele parsed it from XML. */
export type PropertyValue = string | object

export interface PropertyChange {
  readonly name: string
  /** Undefined: taken away. */
  readonly value: PropertyValue | undefined
}

const PROPERTY_BYTES = 128

/**
 * Dead properties (RFC 4918, section 4) of one workspace: notes that programs attach to files. Only files are kept
 * durably; these live in memory until the workspace moves or the daemon stops, which no client that we know minds.
 */
export class PropertyTable {
  readonly #budget: Budget
  readonly #byPath = new Map<FilePath, Map<string, PropertyValue>>()

  constructor(budget: Budget) {
    this.#budget = budget
  }

  get empty(): boolean {
    return this.#byPath.size === 0
  }

  of(path: FilePath): ReadonlyMap<string, PropertyValue> {
    return this.#byPath.get(path) ?? new Map()
  }

  /**
   * All of the changes or, if the call throws, none.
   *
   * @throws Refusal 507 where too much is remembered already
   */
  change(path: FilePath, changes: readonly PropertyChange[]): void {
    const next = new Map(this.of(path))
    for (const { name, value } of changes) {
      if (value === undefined) next.delete(name)
      else next.set(name, value)
    }
    if (!this.#replace(path, next)) throw new Refusal(507, 'there are too many properties; remove some')
  }

  /** Puts in place of a path's properties, and of all below it, those of another, as far as there is room. */
  copy(from: FilePath, to: FilePath): void {
    const copies = [...this.#byPath]
      .filter(([path]) => path === from || isBelow(path, from))
      .map(([path, properties]) => [to + path.slice(from.length), properties] as const)
    this.drop(to)
    for (const [path, properties] of copies) this.#replace(path, new Map(properties))
  }

  /** As `copy`, and forgets those of the old path. */
  move(from: FilePath, to: FilePath): void {
    const moved = [...this.#byPath].filter(([path]) => path === from || isBelow(path, from))
    this.drop(to)
    this.drop(from)
    for (const [path, properties] of moved) this.#replace(to + path.slice(from.length), properties)
  }

  /** Forgets those of a path and of all below it. */
  drop(path: FilePath): void {
    for (const known of [...this.#byPath.keys()]) {
      if (known === path || isBelow(known, path)) this.#replace(known, new Map())
    }
  }

  /** False, and nothing changed, where there is no room. */
  #replace(path: FilePath, next: Map<string, PropertyValue>): boolean {
    const before = bytesOf(path, this.of(path))
    const after = bytesOf(path, next)
    if (after > before && !this.#budget.take(after - before)) return false
    if (before > after) this.#budget.give(before - after)
    if (next.size === 0) this.#byPath.delete(path)
    else this.#byPath.set(path, next)
    return true
  }
}

function bytesOf(path: FilePath, properties: ReadonlyMap<string, PropertyValue>): number {
  let bytes = 0
  for (const [name, value] of properties) {
    bytes += PROPERTY_BYTES + 2 * (path.length + name.length + JSON.stringify(value).length)
  }
  return bytes
}
