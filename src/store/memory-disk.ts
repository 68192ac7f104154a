import { NodeDaemonError } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import { checkPath, type Disk, folderOf } from './disk.ts'

/** A disk in memory that can lose power: for tests and the simulator. */
export interface MemoryDisk extends Disk {
  /**
   * Loses what was not synced: of the bytes of each file and of the name changes of each folder, a beginning of random
   * length survives; the last piece of surviving bytes may be torn.
   */
  crash(random: Random): void
  /** Changes one byte where it lies, as a failing disk does. */
  flip(path: string, offset: number): void
}

interface MemoryFile {
  bytes: Uint8Array
  length: number
  /** What a crash leaves for sure: the first `kept` bytes of `bytes`. */
  kept: number
  /** The synced content that an unsynced `truncate` cut off, from its new length on. */
  cut: Uint8Array | null
}

interface NameChange {
  readonly folder: string
  readonly apply: (names: Map<string, MemoryFile>) => void
}

export function memoryDisk(options: { readonly capacityBytes?: number } = {}): MemoryDisk {
  const capacity = options.capacityBytes ?? Number.MAX_SAFE_INTEGER
  let names = new Map<string, MemoryFile>()
  let durable = new Map<string, MemoryFile>()
  let changes: NameChange[] = []
  const folders = new Set<string>([''])

  const file = (path: string): MemoryFile => {
    const found = names.get(checkPath(path))
    if (found === undefined) throw new NodeDaemonError('UNEXPECTED', `there is no file ${path}`)
    return found
  }
  const used = (): number => [...names.values()].reduce((sum, { length }) => sum + length, 0)
  const change = (folder: string, apply: NameChange['apply']): void => {
    apply(names)
    changes.push({ folder, apply })
  }
  const makeFolder = (path: string): void => {
    if (path === '') return
    makeFolder(folderOf(path))
    folders.add(path)
  }

  return {
    async append(path, parts) {
      checkPath(path)
      const extra = parts.reduce((sum, part) => sum + part.length, 0)
      if (capacity < Number.MAX_SAFE_INTEGER && used() + extra > capacity) {
        throw new NodeDaemonError('NO_SPACE', `no room left: writing ${path}`)
      }
      if (!folders.has(folderOf(path))) throw new NodeDaemonError('UNEXPECTED', `there is no folder for ${path}`)
      if (!names.has(path)) {
        const created: MemoryFile = { bytes: new Uint8Array(0), length: 0, kept: 0, cut: null }
        change(folderOf(path), (map) => map.set(path, created))
      }
      for (const part of parts) add(file(path), part)
    },
    async sync(path) {
      const found = file(path)
      found.kept = found.length
      found.cut = null
    },
    async syncFolder(path) {
      for (const { folder, apply } of changes) if (folder === path) apply(durable)
      changes = changes.filter(({ folder }) => folder !== path)
    },
    async rename(from, to) {
      const moved = file(from)
      checkPath(to)
      change(folderOf(to), (map) => {
        map.delete(from)
        map.set(to, moved)
      })
    },
    async read(path, offset, length) {
      const { bytes, length: size } = file(path)
      return bytes.slice(Math.min(offset, size), Math.min(offset + length, size))
    },
    async list(path) {
      const below = path === '' ? '' : `${path}/`
      const inside = [...names.keys(), ...folders].filter((name) => name.startsWith(below) && name !== '')
      return [...new Set(inside.map((name) => name.slice(below.length).split('/')[0] ?? ''))].sort()
    },
    async size(path) {
      return names.get(checkPath(path))?.length ?? null
    },
    async truncate(path, length) {
      shorten(file(path), length)
    },
    async remove(path) {
      if (names.has(checkPath(path))) change(folderOf(path), (map) => map.delete(path))
    },
    async makeFolder(path) {
      if (path !== '') makeFolder(checkPath(path))
    },
    freeBytes: async () => Math.max(0, capacity - used()),
    close: async () => undefined,
    crash(random) {
      const queues = Map.groupBy(changes, ({ folder }) => folder)
      for (const queue of queues.values()) {
        for (const { apply } of queue.slice(0, Math.floor(random.fraction() * (queue.length + 1)))) apply(durable)
      }
      changes = []
      names = durable
      durable = new Map(names)
      for (const found of new Set(names.values())) lose(found, random)
    },
    flip(path, offset) {
      const { bytes, length } = file(path)
      const old = bytes[offset]
      if (old === undefined || offset >= length) throw new NodeDaemonError('BAD_REQUEST', 'there is no such byte')
      bytes[offset] = old ^ 0x40
    }
  }
}

function add(file: MemoryFile, part: Uint8Array): void {
  const length = file.length + part.length
  if (length > file.bytes.length) {
    const larger = new Uint8Array(Math.max(length, file.bytes.length * 2, 1024))
    larger.set(file.bytes.subarray(0, file.length))
    file.bytes = larger
  }
  file.bytes.set(part, file.length)
  file.length = length
}

function shorten(file: MemoryFile, length: number): void {
  if (length > file.length) throw new NodeDaemonError('BAD_REQUEST', 'a file is never made longer by truncating it')
  if (length < file.kept) {
    const cut = file.bytes.slice(length, file.kept)
    file.cut = file.cut === null ? cut : Buffer.concat([cut, file.cut])
    file.kept = length
  }
  file.length = length
}

/** What is left of a file after a crash. */
function lose(file: MemoryFile, random: Random): void {
  if (file.cut !== null && random.fraction() < 0.5) {
    file.length = file.kept
    add(file, file.cut)
  } else {
    const survived = Math.floor(random.fraction() * (file.length - file.kept + 1))
    file.length = file.kept + survived
    const torn = Math.min(survived, Math.floor(random.fraction() * 512))
    if (random.fraction() < 0.5) file.bytes.fill(0, file.length - torn, file.length)
  }
  file.kept = file.length
  file.cut = null
}
