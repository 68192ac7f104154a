import type { Random } from '../../src/core/random.ts'
import { SystemError } from './memory-nodes.ts'

/** The last piece of a write that power loss may tear. */
const SECTOR_BYTES = 512

type Change = { readonly at: number; readonly bytes: Uint8Array } | { readonly size: number }

/** Bytes that can be written anywhere. What lies beyond their end reads as zeros once they reach there. */
class Bytes {
  size = 0
  #room = new Uint8Array(0)

  get now(): Uint8Array {
    return this.#room.subarray(0, this.size)
  }

  apply(change: Change): void {
    if ('size' in change) return this.#resize(change.size)
    const end = change.at + change.bytes.length
    if (end > this.size) this.#resize(end)
    this.#room.set(change.bytes, change.at)
  }

  #resize(size: number): void {
    if (size > this.#room.length) {
      const larger = new Uint8Array(Math.max(size, 2 * this.#room.length))
      larger.set(this.now)
      this.#room = larger
    }
    this.#room.fill(0, Math.min(size, this.size), Math.max(size, this.size))
    this.size = size
  }
}

/** What is in a simulated file: as everybody sees it, and as a power loss leaves it. */
export class Content {
  #seen = new Bytes()
  #durable = new Bytes()
  /** From what is durable to what is seen, unless a sync has failed. */
  #unsynced: Change[] = []
  #owesError = false

  get size(): number {
    return this.#seen.size
  }

  read(bytes: Uint8Array, at: number): number {
    const there = this.#seen.now.subarray(at, at + bytes.length)
    bytes.set(there)
    return there.length
  }

  write(bytes: Uint8Array, at: number): void {
    this.#change({ at, bytes: new Uint8Array(bytes) })
  }

  truncate(size: number): void {
    this.#change({ size })
  }

  #change(change: Change): void {
    this.#seen.apply(change)
    this.#unsynced.push(change)
  }

  /** @throws SystemError `EIO` once, after a sync of the whole file system that failed */
  sync(): void {
    if (this.#owesError) {
      this.failedSync()
      throw new SystemError('EIO')
    }
    for (const change of this.#unsynced) this.#durable.apply(change)
    this.#unsynced = []
  }

  /** A sync failed: the system forgets what it could not write, and no later sync brings it to the disk. */
  failedSync(): void {
    this.#unsynced = []
    this.#owesError = false
  }

  /** So did one of the whole file system: this file has not told yet. */
  failedWholeSync(): void {
    this.#owesError = this.#unsynced.length > 0
    this.#unsynced = []
  }

  /** Of the unsynced changes a beginning survives; of the survivors some as zeros, and the one after them in part, torn. */
  crash(random: Random): void {
    const whole = Math.floor(random.fraction() * (this.#unsynced.length + 1))
    for (const change of this.#unsynced.slice(0, whole))
      this.#durable.apply(random.fraction() < 0.2 ? hole(change) : change)
    const next = this.#unsynced[whole]
    if (next !== undefined && 'bytes' in next) this.#durable.apply({ at: next.at, bytes: torn(next.bytes, random) })
    this.#unsynced = []
    this.#owesError = false
    this.#seen = new Bytes()
    this.#seen.apply({ at: 0, bytes: this.#durable.now })
  }

  /** Changes one byte where it lies, as a failing disk does. */
  flip(at: number): void {
    for (const { now } of [this.#seen, this.#durable]) {
      const old = now[at]
      if (old !== undefined) now[at] = old ^ 0x40
    }
  }
}

const hole = (change: Change): Change =>
  'size' in change ? change : { at: change.at, bytes: new Uint8Array(change.bytes.length) }

function torn(bytes: Uint8Array, random: Random): Uint8Array {
  const kept = bytes.slice(0, Math.floor(random.fraction() * bytes.length))
  const from = Math.max(0, kept.length - Math.ceil(random.fraction() * SECTOR_BYTES))
  if (random.fraction() < 0.5) kept.set(random.bytes(kept.length - from), from)
  else kept.fill(0, from)
  return kept
}
