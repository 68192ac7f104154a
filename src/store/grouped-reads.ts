import type { LevelStore } from './level.ts'

/** Keys that one question asks for at most, unless one caller has more. */
const GROUP_KEYS = 2048

interface Waiting {
  readonly keys: readonly string[]
  readonly done: PromiseWithResolvers<(Uint8Array | null)[]>
}

/** The same store; what is asked for while another question is under way travels together with the next one. */
export function groupedReads(level: LevelStore): LevelStore {
  return new GroupedReads(level)
}

class GroupedReads implements LevelStore {
  readonly #level: LevelStore
  readonly #waiting: Waiting[] = []
  #running = false

  constructor(level: LevelStore) {
    this.#level = level
  }

  async get(key: string): Promise<Uint8Array | null> {
    const [row] = await this.getMany([key])
    return row ?? null
  }

  getMany(keys: readonly string[]): Promise<(Uint8Array | null)[]> {
    const done = Promise.withResolvers<(Uint8Array | null)[]>()
    this.#waiting.push({ keys, done })
    if (!this.#running) void this.#run()
    return done.promise
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#waiting.length > 0) await this.#ask(this.#nextGroup())
    this.#running = false
  }

  #nextGroup(): Waiting[] {
    let count = 0
    const end = this.#waiting.findIndex(({ keys }, index) => {
      count += keys.length
      return index > 0 && count > GROUP_KEYS
    })
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : end)
  }

  /** Where a group fails, each is asked for alone: a damaged row is told to whoever wanted it. */
  async #ask(group: readonly Waiting[]): Promise<void> {
    try {
      const rows = (await this.#level.getMany(group.flatMap(({ keys }) => keys))).values()
      for (const { keys, done } of group) done.resolve(keys.map(() => rows.next().value ?? null))
    } catch (error) {
      const [only, ...others] = group
      if (others.length === 0) only?.done.reject(error)
      else for (const one of group) await this.#ask([one])
    }
  }

  write(...args: Parameters<LevelStore['write']>): Promise<void> {
    return this.#level.write(...args)
  }

  entries(range: Parameters<LevelStore['entries']>[0]): AsyncIterable<[string, Uint8Array]> {
    return this.#level.entries(range)
  }

  close(): Promise<void> {
    return this.#level.close()
  }
}
