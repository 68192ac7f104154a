import type { Clock } from '../../src/core/clock.ts'
import type { Cancel, Chance, World } from './world.ts'

/** How a machine's clocks go. */
export interface ClockFaults {
  /** Milliseconds on its clocks for each true one. */
  readonly rate: number
  /** What its time of day is off, in milliseconds. */
  readonly wallOffMs: number
}

const BEGINNING_MS = Date.UTC(2026, 0, 1)

/** One run of a process: when it ends, nothing of it happens any more. */
export interface Life {
  over: boolean
}

/** A computer: its clock, its power, and the one process that runs on it. */
export class Machine {
  readonly world: World
  readonly name: string
  readonly ip: string
  readonly chance: Chance
  #faults: ClockFaults
  #wallOffMs: number
  #life: Life = { over: true }
  #pausedUntil = 0
  /** No power: nobody answers, not even to refuse. */
  isOff = false

  constructor(world: World, name: string, ip: string, faults: ClockFaults) {
    this.world = world
    this.name = name
    this.ip = ip
    this.chance = world.chance(`machine ${name}`)
    this.#faults = faults
    this.#wallOffMs = faults.wallOffMs
  }

  get isRunning(): boolean {
    return !this.#life.over
  }

  get isPaused(): boolean {
    return this.world.now < this.#pausedUntil
  }

  /** Begins a process. */
  begin(): Life {
    this.#life.over = true
    this.isOff = false
    this.#pausedUntil = 0
    this.#life = { over: false }
    return this.#life
  }

  /** Ends the process between two moments, as SIGKILL does. */
  end(): void {
    this.#life.over = true
  }

  /** The process stands still for a while, as by SIGSTOP; what would have happened to it happens afterwards. */
  pause(ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.world.now + ms)
  }

  /** Somebody sets the time of day. */
  setWall(offMs: number): void {
    this.#wallOffMs = offMs
  }

  /** Something that happens to this process, in true time. Not at all where it has ended by then, later where it stands still. */
  after(life: Life, ms: number, happen: () => void): Cancel {
    let inner: Cancel = { cancel: () => undefined }
    const plan = (at: number): void => {
      inner = this.world.at(at, () => {
        if (life.over) return
        if (this.world.now < this.#pausedUntil) plan(this.#pausedUntil)
        else happen()
      })
    }
    plan(this.world.now + Math.max(0, ms))
    return { cancel: () => inner.cancel() }
  }

  /** Its time of day, in milliseconds since 1970. */
  get wallMs(): number {
    return BEGINNING_MS + this.world.now * this.#faults.rate + this.#wallOffMs
  }

  clock(life: Life): Clock {
    const { rate } = this.#faults
    return {
      now: () => this.world.now * rate,
      wall: () => Math.floor(this.wallMs),
      after: (ms, callback) => this.after(life, ms / rate, callback)
    }
  }

  /** Lets a little time pass, as a disk does. Never resolves where the process has ended. */
  busy(life: Life, ms: number): Promise<void> {
    return new Promise((resolve) => this.after(life, ms, resolve))
  }
}
