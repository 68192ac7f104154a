import { describe, expect, test } from 'vitest'
import { systemCode } from '../../../src/worktree/disk.ts'
import type { DiskPath, FileSystem, LookFiles, OpenAs } from '../../../src/worktree/file-system.ts'

export interface FilesUnderTest {
  readonly files: FileSystem
  readonly look: LookFiles
  /** An empty folder, without links in its path. */
  readonly base: string
}

const codeOf = (work: Promise<unknown>): Promise<string> => work.then(() => 'done', systemCode)

/** What every file system promises while nothing fails. */
export function describeFileSystem(name: string, make: () => Promise<FilesUnderTest>): void {
  const write = async (files: FileSystem, path: DiskPath, text: string, as: OpenAs = 'create'): Promise<void> => {
    await using file = await files.open(path, as)
    expect(await file.write(Buffer.from(text), 0)).toBe(text.length)
  }
  const read = async (files: FileSystem, path: DiskPath): Promise<string> => {
    await using file = await files.open(path, 'read')
    const bytes = Buffer.alloc(1000)
    return bytes.subarray(0, await file.read(bytes, 0)).toString()
  }
  const list = async (files: FileSystem, folder: DiskPath): Promise<string[]> =>
    (await files.names(folder)).map((bytes) => bytes.toString('latin1')).sort()

  describe(`a file system: ${name}`, () => {
    test('bytes are read where they were written; what was left out reads as zeros', async () => {
      const { files, base } = await make()
      await using file = await files.open(`${base}/file`, 'extend')
      await file.write(Buffer.from('world'), 7)
      await file.write(Buffer.from('hello'), 0)
      expect(await read(files, `${base}/file`)).toBe('hello\0\0world')
      await file.truncate(3)
      await file.truncate(6)
      expect(await read(files, `${base}/file`)).toBe('hel\0\0\0')
      const bytes = Buffer.alloc(10, 'x')
      expect(await file.read(bytes, 2)).toBe(4)
      expect(bytes.toString()).toBe('l\0\0\0xxxxxx')
      expect(await file.read(bytes, 6)).toBe(0)
      await file.sync()
      expect((await file.stat()).size).toBe(6n)
      expect((await file.stat()).ino).toBe((await files.lstat(`${base}/file`)).ino)
    })

    test('each way to open takes what it is for, and nothing else', async () => {
      const { files, base } = await make()
      await write(files, `${base}/file`, 'x')
      await files.makeFolder(`${base}/folder`, 0o700)
      await files.symlink('file', `${base}/link`)
      await files.symlink('nowhere', `${base}/dangling`)
      const outcomes = []
      for (const as of ['read', 'folder', 'create', 'extend'] as const) {
        for (const at of ['file', 'folder', 'link', 'dangling', 'nothing', 'file/below', 'nothing/below']) {
          const work = files.open(`${base}/${at}`, as).then((file) => file.close())
          outcomes.push(`${as} ${at}: ${await codeOf(work)}`)
          if (at === 'nothing' && (as === 'create' || as === 'extend')) await files.unlink(`${base}/${at}`)
        }
      }
      expect(outcomes).toEqual([
        'read file: done',
        'read folder: done',
        'read link: ELOOP',
        'read dangling: ELOOP',
        'read nothing: ENOENT',
        'read file/below: ENOTDIR',
        'read nothing/below: ENOENT',
        'folder file: ENOTDIR',
        'folder folder: done',
        'folder link: ENOTDIR',
        'folder dangling: ENOTDIR',
        'folder nothing: ENOENT',
        'folder file/below: ENOTDIR',
        'folder nothing/below: ENOENT',
        'create file: EEXIST',
        'create folder: EEXIST',
        'create link: EEXIST',
        'create dangling: EEXIST',
        'create nothing: done',
        'create file/below: ENOTDIR',
        'create nothing/below: ENOENT',
        'extend file: done',
        'extend folder: EISDIR',
        'extend link: ELOOP',
        'extend dangling: ELOOP',
        'extend nothing: done',
        'extend file/below: ENOTDIR',
        'extend nothing/below: ENOENT'
      ])
    })

    test('what was opened to read cannot be written, a folder not read, and a closed file not used', async () => {
      const { files, base } = await make()
      await write(files, `${base}/file`, 'x')
      const file = await files.open(`${base}/file`, 'read')
      expect(await codeOf(file.write(Buffer.from('y'), 0))).toBe('EBADF')
      expect(await codeOf(file.truncate(0))).toBe('EINVAL')
      await file.close()
      expect(await codeOf(file.stat())).toBe('EBADF')
      await using folder = await files.open(base, 'folder')
      expect(await codeOf(folder.read(Buffer.alloc(1), 0))).toBe('EISDIR')
      await using fresh = await files.open(`${base}/fresh`, 'create')
      expect(await codeOf(fresh.read(Buffer.alloc(1), 0))).toBe('EBADF')
    })

    test('a rename replaces what may be replaced', async () => {
      const { files, base } = await make()
      const outcomes = []
      for (const from of ['file', 'link', 'folder', 'full', 'nothing']) {
        for (const to of ['file', 'link', 'folder', 'full', 'nothing', 'nowhere/x']) {
          const at = `${base}/${from} to ${to.replace('/', ' ')}`
          for (const side of [`${at}/from`, `${at}/to`]) {
            await files.makeFolders(side, 0o700)
            await write(files, `${side}/file`, side)
            await files.symlink('file', `${side}/link`)
            await files.makeFolder(`${side}/folder`, 0o700)
            await files.makeFolders(`${side}/full/of`, 0o700)
          }
          const { ino } = await files.lstat(`${at}/from/${from}`).catch(() => ({ ino: null }))
          const code = await codeOf(files.rename(`${at}/from/${from}`, `${at}/to/${to}`))
          outcomes.push(`${from} to ${to}: ${code}`)
          if (code !== 'done') continue
          expect((await files.lstat(`${at}/to/${to}`)).ino).toBe(ino)
          expect(await list(files, `${at}/from`)).not.toContain(from)
        }
      }
      expect(outcomes).toEqual([
        'file to file: done',
        'file to link: done',
        'file to folder: EISDIR',
        'file to full: EISDIR',
        'file to nothing: done',
        'file to nowhere/x: ENOENT',
        'link to file: done',
        'link to link: done',
        'link to folder: EISDIR',
        'link to full: EISDIR',
        'link to nothing: done',
        'link to nowhere/x: ENOENT',
        'folder to file: ENOTDIR',
        'folder to link: ENOTDIR',
        'folder to folder: done',
        'folder to full: ENOTEMPTY',
        'folder to nothing: done',
        'folder to nowhere/x: ENOENT',
        'full to file: ENOTDIR',
        'full to link: ENOTDIR',
        'full to folder: done',
        'full to full: ENOTEMPTY',
        'full to nothing: done',
        'full to nowhere/x: ENOENT',
        ...['file', 'link', 'folder', 'full', 'nothing', 'nowhere/x'].map((to) => `nothing to ${to}: ENOENT`)
      ])
      await files.makeFolders(`${base}/a/b`, 0o700)
      expect(await codeOf(files.rename(`${base}/a`, `${base}/a/b/c`))).toBe('EINVAL')
      expect(await codeOf(files.rename(`${base}/a`, `${base}/a`))).toBe('done')
      expect(await list(files, `${base}/a`)).toEqual(['b'])
    })

    test('who has a replaced or removed file open goes on with it', async () => {
      const { files, base } = await make()
      await write(files, `${base}/old`, 'old')
      await write(files, `${base}/new`, 'new')
      await using old = await files.open(`${base}/old`, 'extend')
      await files.rename(`${base}/new`, `${base}/old`)
      const bytes = Buffer.alloc(3)
      await old.write(Buffer.from('O'), 0)
      await old.read(bytes, 0)
      expect(bytes.toString()).toBe('Old')
      expect((await old.stat()).nlink).toBe(0n)
      expect(await read(files, `${base}/old`)).toBe('new')
      expect((await files.lstat(`${base}/old`)).nlink).toBe(1n)
      expect(await list(files, base)).toEqual(['old'])
    })

    test('only what fits is removed', async () => {
      const { files, base } = await make()
      await write(files, `${base}/file`, 'x')
      await files.symlink('file', `${base}/link`)
      await files.makeFolders(`${base}/folder/inner`, 0o700)
      expect(await codeOf(files.unlink(`${base}/folder`))).toBe('EISDIR')
      expect(await codeOf(files.removeFolder(`${base}/folder`))).toBe('ENOTEMPTY')
      expect(await codeOf(files.removeFolder(`${base}/file`))).toBe('ENOTDIR')
      expect(await codeOf(files.removeFolder(`${base}/link`))).toBe('ENOTDIR')
      expect(await codeOf(files.removeFolder(`${base}/nothing`))).toBe('ENOENT')
      expect(await codeOf(files.unlink(`${base}/nothing`))).toBe('ENOENT')
      await files.unlink(`${base}/link`)
      expect(await read(files, `${base}/file`)).toBe('x')
      await files.removeFolder(`${base}/folder/inner`)
      await files.removeFolder(`${base}/folder`)
      await files.unlink(`${base}/file`)
      expect(await list(files, base)).toEqual([])
    })

    test('folders are made one by one and together, and say which was the first', async () => {
      const { files, base } = await make()
      await files.makeFolder(`${base}/a`, 0o700)
      expect(await codeOf(files.makeFolder(`${base}/a`, 0o700))).toBe('EEXIST')
      expect(await codeOf(files.makeFolder(`${base}/b/c`, 0o700))).toBe('ENOENT')
      expect(await files.makeFolders(`${base}/a`, 0o700)).toBeNull()
      expect(await files.makeFolders(`${base}/a/b/c`, 0o700)).toBe(`${base}/a/b`)
      expect((await files.lstat(`${base}/a/b/c`)).mode & 0o7777n).toBe(0o700n)
      expect((await files.lstat(`${base}/a/b/c`)).isDirectory()).toBe(true)
      await write(files, `${base}/file`, 'x')
      await files.symlink('a', `${base}/link`)
      expect(await files.makeFolders(`${base}/link/b/d`, 0o700)).toBe(`${base}/link/b/d`)
      expect(await codeOf(files.makeFolders(`${base}/file`, 0o700))).toBe('EEXIST')
      expect(await codeOf(files.makeFolders(`${base}/file/below`, 0o700))).toBe('ENOTDIR')
      expect(await list(files, `${base}/a/b`)).toEqual(['c', 'd'])
      expect(await codeOf(files.names(`${base}/file`))).toBe('ENOTDIR')
      expect(await codeOf(files.names(`${base}/nothing`))).toBe('ENOENT')
    })

    test('links are kept as they are, and followed on the way and where asked', async () => {
      const { files, base } = await make()
      await files.makeFolders(`${base}/a/b`, 0o700)
      await write(files, `${base}/a/file`, 'x')
      await files.symlink('../a', `${base}/a/loop`)
      await files.symlink(`${base}/a/b`, `${base}/absolute`)
      await files.symlink('self', `${base}/self`)
      const odd = Buffer.concat([Buffer.from(`${base}/`), Buffer.from([0xff, 0x41])])
      await write(files, odd, 'odd')
      expect((await files.readlink(`${base}/a/loop`)).toString()).toBe('../a')
      expect((await files.lstat(`${base}/a/loop`)).isSymbolicLink()).toBe(true)
      expect((await files.lstat(`${base}/a/loop`)).size).toBe(4n)
      expect(await read(files, `${base}/a/loop/loop/file`)).toBe('x')
      expect(await read(files, `${base}/absolute/../file`)).toBe('x')
      expect(await files.realpath(`${base}/absolute/../loop/b`)).toBe(`${base}/a/b`)
      expect(await files.realpath(`${base}/a/loop`)).toBe(`${base}/a`)
      expect(await codeOf(files.realpath(`${base}/nothing`))).toBe('ENOENT')
      expect(await codeOf(files.names(`${base}/self`))).toBe('ELOOP')
      expect(await list(files, `${base}/a/loop`)).toEqual(['b', 'file', 'loop'])
      expect(await codeOf(files.readlink(`${base}/a/file`))).toBe('EINVAL')
      expect(await codeOf(files.readlink(`${base}/nothing`))).toBe('ENOENT')
      expect(await codeOf(files.symlink('x', `${base}/a`))).toBe('EEXIST')
      expect(await list(files, base)).toEqual(['a', 'absolute', 'self', '\u00ffA'])
      expect(await read(files, odd)).toBe('odd')
      await files.unlink(odd)
      expect(await codeOf(files.lstat(`${base}/${'n'.repeat(256)}`))).toBe('ENAMETOOLONG')
      expect(await codeOf(files.lstat(`${base}${'/n'.repeat(2100)}`))).toBe('ENAMETOOLONG')
      await write(files, `${base}/${'é'.repeat(127)}n`, 'long')
    })

    test('times come back as they were set, to the microsecond; a change of anything moves the time of change', async () => {
      const { files, base } = await make()
      await write(files, `${base}/file`, 'x')
      await files.symlink('file', `${base}/link`)
      for (const time of [
        '-2000000000.000001',
        '-1.5',
        '-0.0000015',
        '0',
        '1700000000.9999995',
        '4294967295.0000015',
        '5000000000'
      ]) {
        const { ctimeNs } = await files.lstat(`${base}/link`)
        await files.utimes(`${base}/file`, time)
        await files.lutimes(`${base}/link`, time)
        await using file = await files.open(`${base}/file`, 'read')
        const set = await file.stat()
        // A double is read as nanoseconds towards the past; which nanosecond is up to the system.
        const wanted = BigInt(Math.floor(Number(time) * 1e6))
        expect(floorUs(set.mtimeNs), time).toBe(wanted)
        expect(floorUs((await files.lstat(`${base}/link`)).mtimeNs), time).toBe(wanted)
        expect((await files.lstat(`${base}/link`)).ctimeNs).toBeGreaterThanOrEqual(ctimeNs)
        await file.utimes('7.25')
        await file.chmod(0o4640)
        const after = await files.lstat(`${base}/file`)
        expect([after.mtimeNs, after.mode & 0o7777n]).toEqual([7_250_000_000n, 0o4640n])
        expect(after.ctimeNs).toBeGreaterThanOrEqual(set.ctimeNs)
      }
      await files.utimes(`${base}/link`, '9')
      await files.chmod(`${base}/link`, 0o600)
      const { mtimeNs, mode, ctimeNs } = await files.lstat(`${base}/file`)
      expect([mtimeNs, mode & 0o7777n]).toEqual([9_000_000_000n, 0o600n])
      await files.rename(`${base}/file`, `${base}/other`)
      const moved = await files.lstat(`${base}/other`)
      expect(moved.mtimeNs).toBe(9_000_000_000n)
      expect(moved.ctimeNs).toBeGreaterThanOrEqual(ctimeNs)
      await using written = await files.open(`${base}/other`, 'extend')
      await written.write(Buffer.from('y'), 0)
      expect((await written.stat()).mtimeNs).toBeGreaterThan(9_000_000_000n)
    })

    test('what changes in a folder moves its time, what changes below does not', async () => {
      const { files, base } = await make()
      await files.makeFolders(`${base}/a/b`, 0o700)
      const moved = async (work: () => Promise<unknown>): Promise<boolean> => {
        await files.utimes(`${base}/a`, '5')
        await work()
        return (await files.lstat(`${base}/a`)).mtimeNs !== 5_000_000_000n
      }
      expect(await moved(() => write(files, `${base}/a/file`, 'x'))).toBe(true)
      expect(await moved(() => write(files, `${base}/a/file`, 'y', 'extend'))).toBe(false)
      expect(await moved(() => files.chmod(`${base}/a/file`, 0o600))).toBe(false)
      expect(await moved(() => write(files, `${base}/a/b/file`, 'x'))).toBe(false)
      expect(await moved(() => files.rename(`${base}/a/file`, `${base}/a/b/moved`))).toBe(true)
      expect(await moved(() => files.rename(`${base}/a/b/moved`, `${base}/a/back`))).toBe(true)
      expect(await moved(() => files.unlink(`${base}/a/back`))).toBe(true)
    })

    test('everything that can be synced is, folders through links too', async () => {
      const { files, base } = await make()
      await files.makeFolder(`${base}/a`, 0o700)
      await files.symlink('a', `${base}/link`)
      await write(files, `${base}/a/file`, 'x')
      await files.syncFolder(`${base}/a`)
      await files.syncFolder(`${base}/link`)
      expect(await codeOf(files.syncFolder(`${base}/nothing`))).toBe('ENOENT')
      await using folder = await files.open(`${base}/a`, 'folder')
      await folder.sync()
      expect(typeof (await files.syncFileSystem(base))).toBe('boolean')
      expect(await files.freeBytes(base)).toBeGreaterThan(1_000_000)
    })

    test('a reader looks at the same files', async () => {
      const { files, look, base } = await make()
      await files.makeFolder(`${base}/a`, 0o700)
      await write(files, `${base}/a/file`, 'content')
      await files.symlink('a', `${base}/link`)
      expect(look.lstat(`${base}/nothing`)).toBeNull()
      expect(look.lstat(`${base}/a/file`)?.ino).toBe((await files.lstat(`${base}/a/file`)).ino)
      expect(look.realpath(`${base}/link`)).toBe(`${base}/a`)
      expect(look.names(`${base}/link`)).toEqual(['file'])
      expect(look.bytesOfNames(`${base}/a`)).toEqual([Buffer.from('file')])
      expect(() => look.open(`${base}/link`)).toThrow(/ELOOP/)
      expect(() => look.names(`${base}/nothing`)).toThrow(/ENOENT/)
      expect(() => look.lstat(`${base}/a/file/below`)).toThrow(/ENOTDIR/)
      const file = look.open(`${base}/link/file`)
      expect(look.pathOf(file)).toBe(`${base}/a/file`)
      expect(look.stat(file).size).toBe(7n)
      const bytes = Buffer.alloc(8, '.')
      expect(look.read(file, bytes, 1, 4, 3)).toBe(4)
      expect(look.read(file, bytes, 0, 4, 7)).toBe(0)
      expect(bytes.toString()).toBe('.tent...')
      look.close(file)
      look.touch(`${base}/a/file`)
      expect((await files.lstat(`${base}/a/file`)).mtimeNs).toBe(0n)
    })
  })
}

function floorUs(ns: bigint): bigint {
  return (ns - (((ns % 1000n) + 1000n) % 1000n)) / 1000n
}
