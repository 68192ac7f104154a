import type { Entry } from '../content/folder.ts'
import { type EntryRecord, stillStands } from './entry-record.ts'
import type { Facts } from './facts.ts'
import type { WorkspacePath } from './paths.ts'
import type { Listing } from './reader.ts'
import { intact, type TreeIndex } from './tree-index.ts'

/** What differs from the folder that the index knows. */
export class Changes {
  readonly put: Entry[] = []
  readonly remove: string[] = []

  note(name: string, before: EntryRecord | null, now: EntryRecord | null): void {
    if (now === null && before !== null) this.remove.push(name)
    if (now !== null && before?.cid.equals(now.cid) !== true) {
      this.put.push({ name, cid: now.cid, totalBytes: now.totalBytes })
    }
  }

  get count(): number {
    return this.put.length + this.remove.length
  }

  applyTo(entries: Map<string, Entry>): void {
    for (const name of this.remove) entries.delete(name)
    for (const entry of this.put) entries.set(entry.name, entry)
  }
}

/** An entry of a folder that has to be looked into: it is new, looks different, or is a folder. */
export interface Due {
  readonly name: string
  readonly facts: Facts
  readonly was: EntryRecord | null
}

/** Where a folder on disk and the records of its entries part. What is not named here is as it was. */
export interface Compared {
  readonly others: readonly Due[]
  readonly folders: readonly Due[]
  readonly gone: readonly (readonly [string, EntryRecord])[]
}

/**
 * Compares a folder's listing with the index, record by record: in memory is only what differs.
 *
 * @param index null to compare with nothing
 * @throws Outdated
 */
export async function compareFolder(index: TreeIndex | null, path: WorkspacePath, listing: Listing): Promise<Compared> {
  const fresh = new Map(listing.names.map((name, at) => [name, at]))
  const others: Due[] = []
  const folders: Due[] = []
  const gone: (readonly [string, EntryRecord])[] = []
  const note = (name: string, at: number, was: EntryRecord | null): void => {
    const facts = listing.facts.get(at)
    const due = facts.kind === 'folder' ? folders : others
    due.push({ name, facts, was })
  }
  if (index !== null) {
    for await (const [name, value] of index.keptEntriesOf(path)) {
      const at = fresh.get(name)
      if (at === undefined) {
        gone.push([name, intact(value)])
        continue
      }
      fresh.delete(name)
      const isFolder = listing.facts.kind(at) === 'folder'
      if (isFolder || !stillStands(value, listing.facts, at)) note(name, at, intact(value))
    }
  }
  for (const [name, at] of fresh) note(name, at, null)
  return { others, folders, gone }
}
