import { describe, expect, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import type { Disk } from '../../../src/store/disk.ts'

const text = (value: string): Uint8Array => Buffer.from(value)

/** What every disk promises while nothing fails. */
export function describeDisk(name: string, make: () => Promise<Disk>): void {
  const textOf = async (disk: Disk, path: string): Promise<string> =>
    Buffer.from(await disk.read(path, 0, 1_000_000)).toString()

  describe(`a disk: ${name}`, () => {
    test('what is appended is read back from any place, and ends where the file ends', async () => {
      const disk = await make()
      await disk.append('file', [text('hello '), text(''), text('world')])
      await disk.append('file', [text('!')])
      expect(await textOf(disk, 'file')).toBe('hello world!')
      expect(Buffer.from(await disk.read('file', 6, 5)).toString()).toBe('world')
      expect((await disk.read('file', 11, 50)).length).toBe(1)
      expect((await disk.read('file', 99, 5)).length).toBe(0)
      expect(await disk.size('file')).toBe(12)
    })

    test('appends at the same time come one after another, each as a whole', async () => {
      const disk = await make()
      const parts = Array.from({ length: 40 }, (_, index) => text(String(index).padStart(3, '0')))
      await Promise.all(parts.map((part) => disk.append('file', [part.subarray(0, 1), part.subarray(1)])))
      const whole = await textOf(disk, 'file')
      expect(whole.match(/.{3}/g)?.sort()).toEqual(parts.map((part) => Buffer.from(part).toString()))
    })

    test('large appends arrive whole', async () => {
      const disk = await make()
      const parts = Array.from({ length: 3000 }, (_, index) => new Uint8Array(1000).fill(index % 251))
      await disk.append('file', parts)
      await disk.sync('file')
      const bytes = await disk.read('file', 0, 4_000_000)
      expect(Buffer.from(bytes).equals(Buffer.concat(parts))).toBe(true)
    })

    test('folders are listed by name, and hold what was put into them', async () => {
      const disk = await make()
      await disk.makeFolder('a/b')
      await disk.makeFolder('a/b')
      await disk.append('a/b/two', [text('2')])
      await disk.append('a/b/one', [text('1')])
      await disk.sync('a/b/one')
      await disk.syncFolder('a/b')
      expect(await disk.list('a/b')).toEqual(['one', 'two'])
      expect(await disk.list('a')).toEqual(['b'])
      expect(await disk.list('nothing')).toEqual([])
      expect(await disk.size('a/nothing')).toBeNull()
    })

    test('a renamed file replaces the other; a removed one is gone, and can be written anew', async () => {
      const disk = await make()
      await disk.append('old', [text('old')])
      await disk.append('new', [text('new')])
      await disk.rename('new', 'old')
      expect(await textOf(disk, 'old')).toBe('new')
      expect(await disk.list('')).toEqual(['old'])
      await disk.remove('old')
      await disk.remove('old')
      expect(await disk.size('old')).toBeNull()
      await disk.append('old', [text('again')])
      expect(await textOf(disk, 'old')).toBe('again')
    })

    test('a truncated file ends there, and goes on from there', async () => {
      const disk = await make()
      await disk.append('file', [text('0123456789')])
      await disk.sync('file')
      await disk.truncate('file', 4)
      expect(await textOf(disk, 'file')).toBe('0123')
      await disk.append('file', [text('x')])
      expect(await textOf(disk, 'file')).toBe('0123x')
    })

    test('a file that is not there cannot be read, and no path leads out', async () => {
      const disk = await make()
      await expect(disk.read('nothing', 0, 1)).rejects.toThrow()
      for (const path of ['../outside', 'a/../b', '/absolute', 'a//b']) {
        expect(
          await Promise.resolve()
            .then(() => disk.append(path, [text('x')]))
            .then(() => 'none', codeOf),
          path
        ).toBe('BAD_REQUEST')
      }
    })

    test('it works on after its files were given back', async () => {
      const disk = await make()
      await disk.append('file', [text('a')])
      await disk.close()
      await disk.append('file', [text('b')])
      expect(await textOf(disk, 'file')).toBe('ab')
    })

    test('more files than may be open at once', async () => {
      const disk = await make()
      const names = Array.from({ length: 150 }, (_, index) => `file-${index}`)
      await Promise.all(names.map((name) => disk.append(name, [text(name)])))
      const found = await Promise.all(names.map((name) => textOf(disk, name)))
      expect(found).toEqual(names)
    })
  })
}
