import { type Clock, sleep, type TimerHandle } from '../../core/clock.ts'
import { messageOf } from '../../core/errors.ts'
import type { Random } from '../../core/random.ts'
import { type InputFile, sha256 } from './input-files.ts'
import type { Tally, WebUser } from './web-user.ts'

const EVERY_MS = 50
const IN_FLIGHT_MAX = 200
const SAVES_SHARE = 0.3
const PROBE_GAP_MS = 20

export interface LoadDeps {
  readonly clock: Clock
  readonly random: Random
  readonly tally: Tally
}

/** People at work: about twenty requests a second, reads of what they have saved and new notes. */
export class Load {
  readonly #users: readonly WebUser[]
  readonly #deps: LoadDeps
  readonly #inFlight = new Set<Promise<void>>()
  #timer: TimerHandle | null = null
  #count = 0

  constructor(users: readonly WebUser[], deps: LoadDeps) {
    this.#users = users
    this.#deps = deps
  }

  start(): void {
    this.#timer = this.#deps.clock.after(EVERY_MS, () => {
      this.start()
      this.#oneMore()
    })
  }

  /** Resolves once every request that was begun has ended. */
  async stop(): Promise<void> {
    this.#timer?.cancel()
    await Promise.all(this.#inFlight)
  }

  #oneMore(): void {
    const user = this.#users[this.#count % this.#users.length]
    if (user === undefined || this.#inFlight.size >= IN_FLIGHT_MAX) return
    this.#count += 1
    const work = this.#request(user, this.#count)
      .catch((error: unknown) => this.#deps.tally.fail(`${user.name}: ${messageOf(error)}`))
      .finally(() => this.#inFlight.delete(work))
    this.#inFlight.add(work)
  }

  async #request(user: WebUser, number: number): Promise<void> {
    const paths = [...user.saved.keys()]
    const path = paths[Math.floor(this.#deps.random.fraction() * paths.length)]
    if (path === undefined || this.#deps.random.fraction() < SAVES_SHARE) {
      await user.save(note(user.name, number))
      return
    }
    await user.stillHas(path)
  }
}

function note(user: string, number: number): InputFile {
  const bytes = Buffer.from(`Note ${number} of ${user}: saved while servers came and went.\n`)
  return { path: `notes/note-${number}.txt`, bytes, sha256: sha256(bytes) }
}

export interface Look {
  readonly endedAt: number
  readonly tookMs: number
  readonly by: string
}

/** One user who reads the same file over and over: what they notice of a handover. */
export class Probe {
  readonly looks: Look[] = []
  readonly user: WebUser
  readonly #clock: Clock
  readonly #stopped = new AbortController()
  readonly #work: Promise<void>

  constructor(user: WebUser, path: string, clock: Clock) {
    this.user = user
    this.#clock = clock
    this.#work = this.#look(path)
    this.#work.catch(() => undefined)
  }

  /** Resolves once the last look has ended. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#work
  }

  async #look(path: string): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      const served = await this.user.read(path)
      if (served !== null) this.looks.push({ endedAt: this.#clock.now(), tookMs: served.tookMs, by: served.by })
      await sleep(this.#clock, PROBE_GAP_MS)
    }
  }
}

/** The smallest value that at least this share of the values does not exceed; 0 of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0
}
