import type { FileSystem, OpenFile } from '../../src/worktree/file-system.ts'

/** The same files; calls that wait for a disk take their time, and others are at work meanwhile. */
export function slowFiles(files: FileSystem, busy: () => Promise<void>): FileSystem {
  const slowly = async <T>(work: () => Promise<T>): Promise<T> => {
    await busy()
    return await work()
  }
  return {
    lstat: (path) => files.lstat(path),
    open: async (path, as) => slowlySynced(await files.open(path, as), busy),
    names: (folder) => files.names(folder),
    makeFolder: (path, mode) => files.makeFolder(path, mode),
    makeFolders: (path, mode) => files.makeFolders(path, mode),
    rename: (from, to) => slowly(() => files.rename(from, to)),
    unlink: (path) => slowly(() => files.unlink(path)),
    removeFolder: (path) => files.removeFolder(path),
    symlink: (target, path) => files.symlink(target, path),
    readlink: (path) => files.readlink(path),
    chmod: (path, mode) => files.chmod(path, mode),
    utimes: (path, time) => files.utimes(path, time),
    lutimes: (path, time) => files.lutimes(path, time),
    realpath: (path) => files.realpath(path),
    freeBytes: (folder) => files.freeBytes(folder),
    syncFolder: (path) => slowly(() => files.syncFolder(path)),
    syncFileSystem: (folder) => slowly(() => files.syncFileSystem(folder))
  }
}

function slowlySynced(file: OpenFile, busy: () => Promise<void>): OpenFile {
  return {
    stat: () => file.stat(),
    read: (bytes, at) => file.read(bytes, at),
    write: async (bytes, at) => {
      await busy()
      return await file.write(bytes, at)
    },
    truncate: (size) => file.truncate(size),
    chmod: (mode) => file.chmod(mode),
    utimes: (time) => file.utimes(time),
    sync: async () => {
      await busy()
      await file.sync()
    },
    close: () => file.close(),
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose]()
  }
}
