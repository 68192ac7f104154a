/** An absolute path; as bytes where a name in it may not be UTF-8. */
export type DiskPath = string | Buffer

/** What stands at a path, as `lstat` of node:fs tells it with big integers. */
export interface FileStats {
  /** The kind in the upper bits, the permissions in the lowest twelve. */
  readonly mode: bigint
  readonly size: bigint
  /** Nanoseconds since 1970. */
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  readonly birthtimeNs: bigint
  readonly ino: bigint
  readonly nlink: bigint
  isFile(): boolean
  isDirectory(): boolean
  isSymbolicLink(): boolean
}

/**
 * How a file is opened, never through a link at the end of its path. `read`: what is there, without waiting for the other
 * end of a pipe. `folder`: a folder, to read and sync it. `create`: to write a file where nothing is. `extend`: to read and
 * write a file, which is made where none is. A file that is made is its user's alone (0600).
 */
export type OpenAs = 'read' | 'folder' | 'create' | 'extend'

/** An open file or folder. */
export interface OpenFile extends AsyncDisposable {
  stat(): Promise<FileStats>
  /** Fills `bytes` from the position `at`. Returns how many came: fewer where the file ends. */
  read(bytes: Uint8Array, at: number): Promise<number>
  /** Returns how many bytes were written: on a full disk fewer than given, or `ENOSPC`. */
  write(bytes: Uint8Array, at: number): Promise<number>
  truncate(size: number): Promise<void>
  chmod(mode: number): Promise<void>
  /** Sets both times to `time`: see `FileSystem.utimes`. */
  utimes(time: string): Promise<void>
  /**
   * On return the bytes, mode and times are durable; of a folder, its names too. Once it has failed, what was written before
   * may be lost although a later call succeeds: the file has to be written anew.
   */
  sync(): Promise<void>
  close(): Promise<void>
}

/**
 * What a workspace's directory needs of a file system. Everything is seen by all at once, and durable only after a sync: the
 * content, mode and times of a file after its own `sync`; that a name is made, changed or gone after `syncFolder` of the
 * folder it stands in (a rename into another folder: of that one); a link together with its name. A crash may take
 * everything else, in part too.
 *
 * Failures carry the system's code in `code`, as those of node:fs do (`ENOENT`, `EEXIST`, `ENOSPC`, …).
 */
export interface FileSystem {
  /** Of the path itself, not where a link there leads to. */
  lstat(path: DiskPath): Promise<FileStats>
  open(path: DiskPath, as: OpenAs): Promise<OpenFile>
  /** The names in a folder, in no order. */
  names(folder: DiskPath): Promise<Buffer[]>
  makeFolder(path: string, mode: number): Promise<void>
  /** With those above it. Returns the uppermost one that was made; null where all were there. */
  makeFolders(path: string, mode: number): Promise<string | null>
  /** In the place of what has the name: a file, link or empty folder of the same kind. */
  rename(from: string, to: string): Promise<void>
  /** Removes what is no folder. */
  unlink(path: DiskPath): Promise<void>
  /** Removes an empty folder. */
  removeFolder(path: DiskPath): Promise<void>
  symlink(target: string, path: string): Promise<void>
  readlink(path: string): Promise<Buffer>
  /** Follows links. */
  chmod(path: DiskPath, mode: number): Promise<void>
  /**
   * Sets both times of what a path leads to, links followed.
   *
   * @param time seconds since 1970, as text: see `utimesText`
   */
  utimes(path: string, time: string): Promise<void>
  /** The same for the path itself. */
  lutimes(path: string, time: string): Promise<void>
  /** The same place without links in its path. */
  realpath(path: string): Promise<string>
  /** Bytes that may still be written where the folder lies. */
  freeBytes(folder: string): Promise<number>
  /** On return the names in a folder are durable. */
  syncFolder(path: DiskPath): Promise<void>
  /** On return all of the file system that the folder lies on is durable. False where that cannot be asked for, or fails. */
  syncFileSystem(folder: string): Promise<boolean>
}

/** The calls with which a reader looks at a disk on its own thread; failures as those of `FileSystem`. */
export interface LookFiles {
  /** Null where there is no such entry. */
  lstat(path: string): FileStats | null
  /** Gives a file the time 0, and so a new time of change. */
  touch(path: string): void
  realpath(path: string): string
  names(folder: string): string[]
  bytesOfNames(folder: string): Buffer[]
  /** For reading, as `read` of `OpenAs`. */
  open(path: string): number
  /** Where an open file lies, without links in its path; null where the system cannot tell. */
  pathOf(descriptor: number): string | null
  stat(descriptor: number): FileStats
  /** Reads up to `length` bytes from `at` to `offset` of `bytes`. Returns how many came: none where the file ends. */
  read(descriptor: number, bytes: Uint8Array, offset: number, length: number, at: number): number
  close(descriptor: number): void
}
