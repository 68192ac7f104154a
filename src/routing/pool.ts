import type { Duplex } from 'node:stream'
import type { Clock, TimerHandle } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Tunnel } from './neighbours.ts'

export interface PoolLimits {
  /** Streams to one home, in use, idle and being opened. */
  readonly streams: number
  /** Requests that wait for a stream to one home. */
  readonly queue: number
  /** How long a stream may take to open. */
  readonly connectMs: number
  /** An idle stream is closed after one to two times this long. */
  readonly idleMs: number
}

export interface PooledStream {
  readonly stream: Duplex
  /** It has carried a request before: the other side may have closed it in the meantime. */
  readonly reused: boolean
}

interface Waiter {
  resolve(stream: PooledStream): void
  reject(error: Error): void
}

/** The streams to the homes. The one used last is used next, so that those not needed grow old and are closed. */
export class Pools {
  readonly #deps: { readonly tunnel: Tunnel; readonly clock: Clock }
  readonly #limits: PoolLimits
  readonly #pools = new Map<PeerIdText, Pool>()
  #sweep: TimerHandle | null = null
  #closed = false

  constructor(deps: { readonly tunnel: Tunnel; readonly clock: Clock }, limits: PoolLimits) {
    this.#deps = deps
    this.#limits = limits
  }

  /** An idle stream at once, else a promise of one. */
  acquire(home: PeerIdText): PooledStream | Promise<PooledStream> {
    if (this.#closed) return Promise.reject(new NodeDaemonError('CLOSED', 'the front door is closed'))
    let pool = this.#pools.get(home)
    if (pool === undefined) {
      pool = new Pool(() => this.#deps.tunnel.connect(home), this.#deps.clock, this.#limits)
      this.#pools.set(home, pool)
      this.#sweep ??= this.#deps.clock.after(this.#limits.idleMs, () => this.#sweepAll())
    }
    return pool.acquire()
  }

  /** Gives a stream back whose exchange has ended cleanly. A stream that broke is noticed by its `close`. */
  release(home: PeerIdText, stream: Duplex): void {
    const pool = this.#pools.get(home)
    if (pool === undefined) stream.destroy()
    else pool.release(stream)
  }

  /** Breaks every stream to a home, so that what is under way there is decided now and not by a time-out. */
  drop(home: PeerIdText): void {
    const pool = this.#pools.get(home)
    this.#pools.delete(home)
    pool?.close()
  }

  close(): void {
    this.#closed = true
    this.#sweep?.cancel()
    for (const home of [...this.#pools.keys()]) this.drop(home)
  }

  #sweepAll(): void {
    for (const [home, pool] of this.#pools) if (pool.sweep() === 0) this.#pools.delete(home)
    this.#sweep = this.#pools.size === 0 ? null : this.#deps.clock.after(this.#limits.idleMs, () => this.#sweepAll())
  }
}

class Pool {
  readonly #connect: () => Promise<Duplex>
  readonly #clock: Clock
  readonly #limits: PoolLimits
  readonly #all = new Set<Duplex>()
  /** In the order of their last use. */
  #idle: { readonly stream: Duplex; sweeps: number }[] = []
  readonly #waiters: Waiter[] = []
  #opening = 0
  #closed = false

  constructor(connect: () => Promise<Duplex>, clock: Clock, limits: PoolLimits) {
    this.#connect = connect
    this.#clock = clock
    this.#limits = limits
  }

  acquire(): PooledStream | Promise<PooledStream> {
    const stream = this.#takeIdle()
    if (stream !== null) return { stream, reused: true }
    if (this.#all.size + this.#opening < this.#limits.streams) return this.#open()
    if (this.#waiters.length >= this.#limits.queue) {
      return Promise.reject(new NodeDaemonError('BUSY', 'too many requests wait for this instance'))
    }
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }))
  }

  release(stream: Duplex): void {
    if (this.#closed || stream.destroyed || !stream.readable || !stream.writable) {
      stream.destroy()
      return
    }
    const waiter = this.#waiters.shift()
    if (waiter !== undefined) {
      waiter.resolve({ stream, reused: true })
      return
    }
    stream.on('data', breakOff)
    stream.on('end', breakOff)
    stream.resume()
    this.#idle.push({ stream, sweeps: 0 })
  }

  /** Closes what was idle for a whole round. How many streams there are still. */
  sweep(): number {
    const old = this.#idle.filter((entry) => entry.sweeps > 0)
    this.#idle = this.#idle.filter((entry) => entry.sweeps === 0)
    for (const entry of this.#idle) entry.sweeps += 1
    for (const { stream } of old) stream.destroy()
    return this.#all.size - old.length + this.#opening + this.#waiters.length
  }

  close(): void {
    this.#closed = true
    const gone = new NodeDaemonError('OUT_OF_REACH', 'the connections to this instance were closed')
    for (const waiter of this.#waiters.splice(0)) waiter.reject(gone)
    for (const stream of [...this.#all]) stream.destroy()
  }

  #takeIdle(): Duplex | null {
    for (let entry = this.#idle.pop(); entry !== undefined; entry = this.#idle.pop()) {
      const { stream } = entry
      if (stream.destroyed || !stream.writable) continue
      stream.removeListener('data', breakOff)
      stream.removeListener('end', breakOff)
      return stream
    }
    return null
  }

  async #open(): Promise<PooledStream> {
    this.#opening += 1
    try {
      const stream = await this.#connectInTime()
      this.#all.add(stream)
      stream.once('close', () => this.#lost(stream))
      // An error is followed by `close`; whoever uses the stream then listens for both.
      stream.on('error', () => undefined)
      return { stream, reused: false }
    } catch (error) {
      // Those behind would only find out one after another.
      for (const waiter of this.#waiters.splice(0)) waiter.reject(asError(error))
      throw error
    } finally {
      this.#opening -= 1
    }
  }

  #connectInTime(): Promise<Duplex> {
    const { promise, resolve, reject } = Promise.withResolvers<Duplex>()
    let waiting = true
    const timer = this.#clock.after(this.#limits.connectMs, () => {
      waiting = false
      reject(new NodeDaemonError('OUT_OF_REACH', 'the instance did not take a stream in time'))
    })
    this.#connect().then(
      (stream) => {
        timer.cancel()
        if (waiting && !this.#closed && !stream.destroyed) return resolve(stream)
        stream.on('error', () => undefined)
        stream.destroy()
        reject(new NodeDaemonError('OUT_OF_REACH', 'the connection to this instance was closed'))
      },
      (error: unknown) => {
        timer.cancel()
        reject(asError(error))
      }
    )
    return promise
  }

  #lost(stream: Duplex): void {
    this.#all.delete(stream)
    const index = this.#idle.findIndex((entry) => entry.stream === stream)
    if (index !== -1) this.#idle.splice(index, 1)
    const waiter = this.#waiters.shift()
    if (waiter !== undefined) this.#open().then(waiter.resolve, waiter.reject)
  }
}

/** An instance that speaks unasked could put its words into the next answer. */
function breakOff(this: Duplex): void {
  this.destroy()
}

const asError = (error: unknown): Error =>
  error instanceof Error ? error : new NodeDaemonError('OUT_OF_REACH', String(error))
