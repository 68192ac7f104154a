import type { Random } from '../../src/core/random.ts'
import type { DiskPath } from '../../src/worktree/file-system.ts'
import { Content } from './memory-content.ts'
import {
  type Attributes,
  type FolderNode,
  fileBytes,
  type LinkNode,
  type MemoryNode,
  SystemError
} from './memory-nodes.ts'

export interface MemoryVolumeOptions {
  /** The time of day in nanoseconds since 1970. It may jump. */
  readonly nowNs: () => bigint
  /** How much content it takes; without a limit where it is left out. */
  readonly capacityBytes?: number
  /** Can the whole be synced at once? Yes where it is left out. */
  readonly syncsWhole?: boolean
}

/** Where a path leads. */
export interface Place {
  readonly folder: FolderNode
  readonly name: string
  /** Null where nothing has the name. */
  readonly node: MemoryNode | null
}

/** Of a folder: what stands under a name from now on. */
interface NameChange {
  readonly order: number
  readonly folder: FolderNode
  readonly name: string
  readonly node: MemoryNode | null
  /** Where it was taken from. */
  readonly from: { readonly folder: FolderNode; readonly name: string } | null
}

const LINKS_MAX = 40
const NAME_BYTES_MAX = 255
const PATH_BYTES_MAX = 4096
const FINE_NS = 1_000_000n

/**
 * The files of one machine, in memory, with what of them is durable: see `FileSystem` for when something is. Links are
 * durable with their names, also their times; there are no hard links and no permissions. The same calls give the same
 * inode numbers, times and order of names.
 */
export class MemoryVolume {
  readonly syncsWhole: boolean
  readonly #nowNs: () => bigint
  readonly #capacity: number
  readonly #pending = new Set<NameChange>()
  readonly #root: FolderNode
  #used = 0
  #changes = 0
  #inodes = 1n
  #latestNs = 0n

  constructor({ nowNs, capacityBytes = Number.POSITIVE_INFINITY, syncsWhole = true }: MemoryVolumeOptions) {
    this.#nowNs = nowNs
    this.#capacity = capacityBytes
    this.syncsWhole = syncsWhole
    this.#root = this.folder(0o755)
  }

  /** Rises with each call while the time of day stands still or runs more slowly. */
  stamp(): bigint {
    const now = this.#nowNs()
    const ahead = this.#latestNs - now
    this.#latestNs = ahead >= 0n && ahead < FINE_NS ? this.#latestNs + 1n : now
    return this.#latestNs
  }

  get freeBytes(): number {
    return Math.max(0, this.#capacity - this.#used)
  }

  file(mode: number): MemoryNode & { readonly kind: 'file' } {
    return { kind: 'file', content: new Content(), ...this.#fresh(mode) }
  }

  folder(mode: number): FolderNode {
    return { kind: 'folder', names: new Map(), durableNames: new Map(), ...this.#fresh(mode) }
  }

  link(target: Buffer): LinkNode {
    return { kind: 'link', target, ...this.#fresh(0o777) }
  }

  #fresh(mode: number): Omit<FolderNode, 'kind' | 'names' | 'durableNames'> {
    const at = this.stamp()
    const attributes = { mode, mtimeNs: at, ctimeNs: at }
    return { ino: ++this.#inodes, bornNs: at, attributes, durable: attributes, parent: null, name: '' }
  }

  /** @param follow a link at the end of the path too */
  find(path: DiskPath, follow: boolean): Place {
    const bytes = Buffer.from(path)
    if (bytes.length >= PATH_BYTES_MAX) throw new SystemError('ENAMETOOLONG')
    const left = parts(bytes)
    let at: MemoryNode = this.#root
    let links = 0
    for (let name = left.shift(); name !== undefined; name = left.shift()) {
      if (at.kind !== 'folder') throw new SystemError('ENOTDIR')
      if (name.length > NAME_BYTES_MAX) throw new SystemError('ENAMETOOLONG')
      const node: MemoryNode | undefined = name === '..' ? (at.parent ?? this.#root) : at.names.get(name)
      if (node === undefined) {
        if (left.length > 0) throw new SystemError('ENOENT')
        return { folder: at, name, node: null }
      }
      if (node.kind !== 'link' || (left.length === 0 && !follow)) {
        at = node
        continue
      }
      if (++links > LINKS_MAX) throw new SystemError('ELOOP')
      left.unshift(...parts(node.target))
      if (node.target[0] === SLASH_BYTE) at = this.#root
    }
    return { folder: at.parent ?? this.#root, name: at.name, node: at }
  }

  node(path: DiskPath, follow: boolean): MemoryNode {
    const { node } = this.find(path, follow)
    if (node === null) throw new SystemError('ENOENT')
    return node
  }

  folderAt(path: DiskPath): FolderNode {
    const node = this.node(path, true)
    if (node.kind !== 'folder') throw new SystemError('ENOTDIR')
    return node
  }

  pathOf(node: MemoryNode): string {
    const names: string[] = []
    for (let at = node; at.parent !== null; at = at.parent) names.unshift(at.name)
    return Buffer.from(`/${names.join('/')}`, 'latin1').toString()
  }

  /** Gives a node a name, in the place of whatever has it. */
  put({ folder, name }: Place, node: MemoryNode): void {
    this.#vacate(folder, name)
    const from = node.parent === null ? null : { folder: node.parent, name: node.name }
    if (from === null) this.#used += fileBytes(node)
    else {
      from.folder.names.delete(from.name)
      this.#touched(from.folder)
      this.#touched(node, {}, node.attributes.mtimeNs)
    }
    folder.names.set(name, node)
    node.parent = folder
    node.name = name
    this.#changed(folder, name, node, from)
  }

  remove({ folder, name }: Place): void {
    this.#vacate(folder, name)
    this.#changed(folder, name, null, null)
  }

  #vacate(folder: FolderNode, name: string): void {
    const node = folder.names.get(name)
    if (node === undefined) return
    this.#used -= fileBytes(node)
    node.parent = null
    folder.names.delete(name)
  }

  #changed(folder: FolderNode, name: string, node: MemoryNode | null, from: NameChange['from']): void {
    this.#touched(folder)
    this.#pending.add({ order: this.#changes++, folder, name, node, from })
  }

  /** Something of the node was changed now; its content too where no time of that is given. */
  #touched(node: MemoryNode, attributes: Partial<Attributes> = {}, mtimeNs?: bigint): void {
    const ctimeNs = this.stamp()
    node.attributes = { ...node.attributes, mtimeNs: mtimeNs ?? ctimeNs, ...attributes, ctimeNs }
    if (node.kind === 'link') node.durable = node.attributes
  }

  setAttributes(node: MemoryNode, attributes: Partial<Attributes>): void {
    this.#touched(node, attributes, node.attributes.mtimeNs)
  }

  /** How much of it there was room for. */
  write(node: MemoryNode & { readonly kind: 'file' }, bytes: Uint8Array, at: number): number {
    const before = node.content.size
    const fits = Math.min(bytes.length, Math.max(0, before - at) + this.freeBytes - Math.max(0, at - before))
    if (fits <= 0 && bytes.length > 0) throw new SystemError('ENOSPC')
    node.content.write(bytes.subarray(0, fits), at)
    this.#resized(node, before)
    return fits
  }

  truncate(node: MemoryNode & { readonly kind: 'file' }, size: number): void {
    const before = node.content.size
    node.content.truncate(size)
    this.#resized(node, before)
  }

  #resized(node: MemoryNode & { readonly kind: 'file' }, before: number): void {
    if (node.parent !== null) this.#used += node.content.size - before
    this.#touched(node)
  }

  sync(node: MemoryNode): void {
    if (node.kind === 'file') node.content.sync()
    node.durable = node.attributes
    if (node.kind === 'folder') for (const change of this.#pending) if (change.folder === node) this.#settle(change)
  }

  syncAll(): void {
    for (const change of this.#pending) this.#settle(change)
    for (const node of this.#all(({ names }) => names)) this.sync(node)
  }

  /** The whole could not be synced: what was written is lost with the next crash. */
  failedSyncAll(): void {
    for (const node of this.#all(({ names }) => names)) if (node.kind === 'file') node.content.failedWholeSync()
  }

  /** Makes a change durable, after those that brought the name that it takes away. */
  #settle(change: NameChange): void {
    if (!this.#pending.delete(change)) return
    const { order, folder, name, node, from } = change
    for (const earlier of from === null ? [] : this.#pending) {
      if (earlier.order > order) break
      if (earlier.folder === from?.folder && earlier.name === from.name) this.#settle(earlier)
    }
    if (from !== null && from.folder.durableNames.get(from.name) === node) from.folder.durableNames.delete(from.name)
    if (node === null) folder.durableNames.delete(name)
    else folder.durableNames.set(name, node)
  }

  /**
   * Power loss: of the name changes of each folder a beginning of random length survives, of unsynced content a part, and
   * unsynced modes and times or not. What is open is of no use afterwards.
   */
  crash(random: Random): void {
    const queues = Map.groupBy(this.#pending, ({ folder }) => folder)
    const survivors = [...queues.values()].flatMap((queue) =>
      queue.slice(0, Math.floor(random.fraction() * (queue.length + 1)))
    )
    for (const change of survivors.sort((a, b) => a.order - b.order)) this.#settle(change)
    this.#pending.clear()
    this.#used = 0
    for (const node of this.#all(({ durableNames }) => durableNames)) {
      if (random.fraction() < 0.5) node.attributes = node.durable
      else node.durable = node.attributes
      if (node.kind === 'file') node.content.crash(random)
      if (node.kind === 'folder') this.#stands(node)
      this.#used += fileBytes(node)
    }
  }

  #stands(folder: FolderNode): void {
    folder.names = new Map(folder.durableNames)
    for (const [name, node] of folder.names) {
      node.parent = folder
      node.name = name
    }
  }

  *#all(namesOf: (folder: FolderNode) => ReadonlyMap<string, MemoryNode>): Generator<MemoryNode> {
    const left: MemoryNode[] = [this.#root]
    for (let node = left.pop(); node !== undefined; node = left.pop()) {
      yield node
      if (node.kind === 'folder') left.push(...namesOf(node).values())
    }
  }
}

const SLASH_BYTE = 0x2f
const parts = (path: Buffer): string[] =>
  path
    .toString('latin1')
    .split('/')
    .filter((part) => part !== '' && part !== '.')
