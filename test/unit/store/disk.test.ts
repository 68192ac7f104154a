import { expect, onTestFinished, test } from 'vitest'
import { diskError } from '../../../src/store/disk.ts'
import { memoryDisk } from '../../../src/store/memory-disk.ts'
import { nodeDisk, writeWhole } from '../../../src/store/node-disk.ts'
import { describeDisk } from './disk-suite.ts'
import { seeded, temporaryFolder } from './support.ts'

describeDisk('memory', async () => memoryDisk())
describeDisk('a real folder', async () => {
  const disk = nodeDisk(await temporaryFolder())
  onTestFinished(() => disk.close())
  return disk
})

const bytes = (length: number, value = 1): Uint8Array => new Uint8Array(length).fill(value)

test('a crash keeps what was synced, and at most the beginning of what was not', async () => {
  const lengths = new Set<number>()
  for (let seed = 0; seed < 40; seed++) {
    const disk = memoryDisk()
    await disk.append('file', [bytes(100)])
    await disk.sync('file')
    await disk.syncFolder('')
    await disk.append('file', [bytes(50, 2)])
    disk.crash(seeded(seed))
    const found = await disk.read('file', 0, 1000)
    expect(Buffer.from(found.subarray(0, 100)).equals(bytes(100))).toBe(true)
    expect(found.length).toBeLessThanOrEqual(150)
    lengths.add(found.length)
  }
  expect(lengths.size).toBeGreaterThan(5)
})

test('a crash may take a name whose folder was not synced, and brings back what was renamed', async () => {
  const outcomes = new Set<string>()
  for (let seed = 0; seed < 60; seed++) {
    const disk = memoryDisk()
    await disk.append('kept', [bytes(1)])
    await disk.sync('kept')
    await disk.syncFolder('')
    await disk.append('new', [bytes(1)])
    await disk.sync('new')
    await disk.rename('kept', 'moved')
    disk.crash(seeded(seed))
    outcomes.add((await disk.list('')).join())
  }
  expect([...outcomes].sort()).toEqual(['kept', 'kept,new', 'moved,new'])
})

test('a crash may undo a truncation that was not synced', async () => {
  const sizes = new Set<number | null>()
  for (let seed = 0; seed < 40; seed++) {
    const disk = memoryDisk()
    await disk.append('file', [bytes(100)])
    await disk.sync('file')
    await disk.syncFolder('')
    await disk.truncate('file', 10)
    disk.crash(seeded(seed))
    sizes.add(await disk.size('file'))
  }
  expect([...sizes].sort()).toEqual([10, 100])
})

test('a full disk says so and takes nothing', async () => {
  const disk = memoryDisk({ capacityBytes: 100 })
  await disk.append('file', [bytes(90)])
  await expect(disk.append('file', [bytes(20)])).rejects.toMatchObject({ code: 'NO_SPACE' })
  expect(await disk.freeBytes()).toBe(10)
})

test.each(['ENOSPC', 'EDQUOT'])('%s is told as no space', (code) => {
  const error = diskError(Object.assign(new Error('full'), { code }), 'writing')
  expect(error).toMatchObject({ code: 'NO_SPACE', advice: expect.stringContaining('space') })
})

test('what the system takes only in part is written to the end', async () => {
  const written: Uint8Array[] = []
  await writeWhole(
    {
      writev: async (parts: readonly Uint8Array[]) => {
        const taken = Buffer.concat(parts).subarray(0, 7)
        written.push(taken)
        return { bytesWritten: taken.length, buffers: [] }
      },
      write: async (whole: Uint8Array, offset: number) => {
        written.push(whole.slice(offset, offset + 3))
        return { bytesWritten: Math.min(3, whole.length - offset), buffer: whole }
      }
    } as unknown as Parameters<typeof writeWhole>[0],
    [Buffer.from('hello '), Buffer.from('world and more')]
  )
  expect(Buffer.concat(written).toString()).toBe('hello world and more')
})
