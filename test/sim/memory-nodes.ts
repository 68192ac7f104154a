import type { FileStats } from '../../src/worktree/file-system.ts'
import type { Content } from './memory-content.ts'

/** What a power loss may take back together, until it is synced. */
export interface Attributes {
  readonly mode: number
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
}

interface NodeBase {
  readonly ino: bigint
  readonly bornNs: bigint
  attributes: Attributes
  durable: Attributes
  /** The folder that it stands in, and under which name. Null for the uppermost folder and for what was removed. */
  parent: FolderNode | null
  name: string
}

export interface FileNode extends NodeBase {
  readonly kind: 'file'
  readonly content: Content
}

/** Names are bytes, as text of one character each. */
export interface FolderNode extends NodeBase {
  readonly kind: 'folder'
  names: Map<string, MemoryNode>
  readonly durableNames: Map<string, MemoryNode>
}

export interface LinkNode extends NodeBase {
  readonly kind: 'link'
  readonly target: Buffer
}

export type MemoryNode = FileNode | FolderNode | LinkNode

const KIND_BITS = { file: 0o100_000, folder: 0o040_000, link: 0o120_000 } as const
const FOLDER_SIZE = 4096

export function statsOf(node: MemoryNode): FileStats {
  const { mode, mtimeNs, ctimeNs } = node.attributes
  return {
    mode: BigInt(mode | KIND_BITS[node.kind]),
    size: BigInt(sizeOf(node)),
    mtimeNs,
    ctimeNs,
    birthtimeNs: node.bornNs,
    ino: node.ino,
    nlink: node.parent === null ? 0n : 1n,
    isFile: () => node.kind === 'file',
    isDirectory: () => node.kind === 'folder',
    isSymbolicLink: () => node.kind === 'link'
  }
}

function sizeOf(node: MemoryNode): number {
  if (node.kind === 'file') return node.content.size
  return node.kind === 'link' ? node.target.length : FOLDER_SIZE
}

export const fileBytes = (node: MemoryNode): number => (node.kind === 'file' ? node.content.size : 0)

const TEXTS = {
  EBADF: 'bad file descriptor',
  EEXIST: 'file already exists',
  EINVAL: 'invalid argument',
  EISDIR: 'illegal operation on a directory',
  ELOOP: 'too many symbolic links encountered',
  EMFILE: 'too many open files',
  ENAMETOOLONG: 'name too long',
  ENOENT: 'no such file or directory',
  ENOSPC: 'no space left on device',
  ENOTDIR: 'not a directory',
  ENOTEMPTY: 'directory not empty',
  EBUSY: 'resource busy or locked',
  EIO: 'i/o error'
} as const
export type SystemCode = keyof typeof TEXTS

/** A failed call, as node:fs says it. */
export class SystemError extends Error {
  readonly code: SystemCode

  constructor(code: SystemCode, where = '') {
    super(`${code}: ${TEXTS[code]}${where === '' ? '' : `, ${where}`}`)
    this.code = code
  }
}
