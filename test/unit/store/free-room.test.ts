import { expect, test } from 'vitest'
import { FreeRoom } from '../../../src/store/free-room.ts'
import { memoryDisk } from '../../../src/store/memory-disk.ts'
import { manualClock } from '../../tools/clock.ts'

const GIB = 1024 ** 3
const RESERVE = 100

function room(free: number): {
  room: FreeRoom
  clock: ReturnType<typeof manualClock>
  asked: () => number
  set: (bytes: number) => void
} {
  let bytes = free
  let asked = 0
  const clock = manualClock()
  const disk = Object.assign(Object.create(memoryDisk()), {
    freeBytes: async () => {
      asked++
      return bytes
    }
  })
  return {
    room: new FreeRoom(disk, clock),
    clock,
    asked: () => asked,
    set: (now) => {
      bytes = now
    }
  }
}

test('a disk with much room is asked once a second', async () => {
  const { room: free, clock, asked } = room(2 * GIB)
  for (let count = 0; count < 100; count++) expect(await free.take(1000, RESERVE)).toBe(true)
  expect(asked()).toBe(1)
  clock.advance(1001)
  expect(await free.take(1000, RESERVE)).toBe(true)
  expect(asked()).toBe(2)
})

test('a disk that fills up is asked each time, and the reserve is never touched', async () => {
  const { room: free, asked, set } = room(1000)
  expect(await free.take(900, RESERVE)).toBe(true)
  set(100)
  expect(await free.take(1, RESERVE)).toBe(false)
  expect(asked()).toBe(2)
  set(2 * GIB)
  expect(await free.take(GIB, RESERVE)).toBe(true)
})

test('what was taken counts before the disk tells of it', async () => {
  const { room: free, asked } = room(GIB)
  for (let count = 0; count < 3; count++) expect(await free.take(GIB / 4, RESERVE)).toBe(true)
  expect(asked()).toBeGreaterThan(1)
})
