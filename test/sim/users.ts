import type { UserId } from '../../src/core/ids.ts'
import type { SimulatedCoordinator } from './coordinator.ts'
import type { Ask, Told } from './exchange-values.ts'
import type { Chance, World } from './world.ts'

/** What a file may hold, by what its user was told. Null: there is no such file. */
interface Known {
  readonly path: string
  possible: Set<string | null>
  /** What the user was last told to be saved. */
  acknowledged: string | null
  /** All that it ever held, or may have. */
  readonly before: Set<string | null>
  /** The user does not know what became of a change: it is left alone from then on. */
  isRetired: boolean
}

const FILES_AT_ONCE = 5
const LOG = 'log'
const LARGE = 90_000

export interface UserOptions {
  /** Between two requests, in milliseconds. */
  readonly pauseMs: number
  /** Acknowledged by the home's disk alone: with the home, what was not published yet goes away until it comes back. */
  readonly mayFallBack: boolean
  /** What is not as the user was told. */
  readonly onProblem: (what: string) => void
}

/** Somebody who saves and reads, and remembers what they were told. */
export class SimulatedUser {
  readonly id: UserId
  readonly files: Known[] = []
  /** Ids of lines of the log that were acknowledged, and of those of which nobody knows. */
  readonly logged: string[] = []
  readonly uncertain = new Set<string>()
  /** What was acknowledged and is not there any more: of each, one of these must be kept in a diverged head. */
  readonly setAside: (readonly string[])[] = []
  requests = 0
  failed = 0
  /** Of those that failed: reads, and changes of which nobody knows whether they were made. */
  failedReads = 0
  unsafe = 0
  slowestMs = 0
  readonly #world: World
  readonly #coordinator: SimulatedCoordinator
  readonly #chance: Chance
  readonly #options: UserOptions
  #count = 0
  #stopped = false

  constructor(
    parts: { readonly world: World; readonly coordinator: SimulatedCoordinator },
    id: UserId,
    options: UserOptions
  ) {
    this.#world = parts.world
    this.#coordinator = parts.coordinator
    this.id = id
    this.#options = options
    this.#chance = parts.world.chance(`user ${id}`)
  }

  stop(): void {
    this.#stopped = true
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      await this.#act()
      await this.#world.sleep(this.#chance.between(0.2, 1.8) * this.#options.pauseMs)
    }
  }

  async #act(): Promise<void> {
    const kind = this.#chance.fraction()
    if (kind < 0.45) return this.#save()
    if (kind < 0.55) return this.#append()
    if (kind < 0.62) return this.#remove()
    const file = this.#chance.one([...this.files, null])
    if (file !== null) await this.read(file)
    else if (this.logged.length > 0) await this.readLog()
  }

  async #save(): Promise<void> {
    const file = this.#fileToChange()
    const value = this.#newValue()
    const before = file.possible
    file.possible = new Set([...before, value])
    file.before.add(value)
    const told = await this.#ask({ method: 'PUT', path: file.path, body: value })
    this.#learn(file, told, before, value)
  }

  async #remove(): Promise<void> {
    const file = this.files.find(({ isRetired, acknowledged }) => !isRetired && acknowledged !== null)
    if (file === undefined) return
    const before = file.possible
    file.possible = new Set([...before, null])
    const told = await this.#ask({ method: 'DELETE', path: file.path, body: '' })
    if (told.status === 404 && !before.has(null)) {
      if (!this.#options.mayFallBack) this.#problem(`${file.path} was gone before it was removed`)
      else this.#goneBack(before)
    }
    this.#learn(file, told, before, null)
  }

  #learn(file: Known, told: Told, before: Set<string | null>, value: string | null): void {
    if (told.status === 201 || told.status === 204) {
      file.possible = new Set([value])
      file.acknowledged = value
    } else if (told.retry === 'safe') file.possible = before
    else file.isRetired = true
  }

  async #append(): Promise<void> {
    const id = `line ${++this.#count}`
    const told = await this.#ask({ method: 'POST', path: LOG, body: id })
    if (told.status === 201) this.logged.push(id)
    else if (told.retry !== 'safe') this.uncertain.add(id)
  }

  #fileToChange(): Known {
    const open = this.files.filter(({ isRetired }) => !isRetired)
    if (open.length >= FILES_AT_ONCE) return this.#chance.one(open)
    const file: Known = {
      path: `f${this.files.length}`,
      possible: new Set([null]),
      acknowledged: null,
      before: new Set([null]),
      isRetired: false
    }
    this.files.push(file)
    return file
  }

  #newValue(): string {
    const text = `${this.id} ${++this.#count} `
    if (this.#chance.happens(0.03)) return text + 'x'.repeat(LARGE + this.#chance.below(LARGE))
    return text + 'y'.repeat(this.#chance.below(this.#chance.happens(0.1) ? 5000 : 100))
  }

  /** Reads a file and compares. False where nothing was told about it. */
  async read(file: Known): Promise<boolean> {
    const possible = file.possible
    const told = await this.#ask({ method: 'GET', path: file.path, body: '' })
    if (told.status !== 200 && told.status !== 404) return false
    const found = told.status === 404 ? null : told.body
    if (!possible.has(found) && !file.possible.has(found)) {
      if (this.#options.mayFallBack && file.before.has(found)) {
        this.#goneBack(possible)
        file.acknowledged = found
        file.possible = new Set([found])
        return true
      }
      const expected = [...possible].map(shown).join(' or ')
      this.#problem(`${file.path} holds ${shown(found)} instead of ${expected}`)
    }
    return true
  }

  /** What it held is kept elsewhere; unless that may have been nothing. */
  #goneBack(from: ReadonlySet<string | null>): void {
    const texts = [...from].filter((text) => text !== null)
    if (texts.length === from.size) this.setAside.push(texts)
  }

  async readLog(): Promise<boolean> {
    const sure = [...this.logged]
    const told = await this.#ask({ method: 'GET', path: LOG, body: '' })
    if (told.status !== 200 && told.status !== 404) return false
    const lines = told.body.split('\n').filter((line) => line !== '')
    if (new Set(lines).size < lines.length) this.#problem(`a line was written twice: ${lines.join(', ')}`)
    const missing = sure.filter((line) => !lines.includes(line))
    if (this.#options.mayFallBack) return this.#forget(missing)
    if (missing.length > 0)
      this.#problem(`lines that were acknowledged are missing from the log: ${missing.join(', ')}`)
    return true
  }

  #forget(lines: readonly string[]): true {
    for (const line of lines) {
      this.setAside.push([line])
      this.logged.splice(this.logged.indexOf(line), 1)
    }
    return true
  }

  async #ask(ask: Ask): Promise<Told> {
    const began = this.#world.now
    this.requests++
    const told = await this.#coordinator.ask(this.id, ask)
    const took = this.#world.now - began
    this.slowestMs = Math.max(this.slowestMs, took)
    if (told.status === 0 || told.status >= 500) {
      this.failed++
      if (ask.method === 'GET') this.failedReads++
      if (told.retry === 'unsafe') this.unsafe++
    }
    this.#world.note(this.id, `${ask.method} ${ask.path} ${ask.body.slice(0, 12)} ${told.status} ${told.retry ?? ''}`)
    return told
  }

  #problem(text: string): void {
    this.#options.onProblem(`${this.id}: ${text}`)
  }
}

const shown = (value: string | null): string => (value === null ? 'nothing' : `"${value.slice(0, 40)}"`)
