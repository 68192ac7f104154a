/** What the user was told of a change: it is done, it is certainly not, or nobody knows. */
export type Told = 'done' | 'not-done' | 'unsure'

/** What stands at a path: the sha256 of a file, a folder, or nothing. */
export type Content = string | 'folder' | null

/** What one user was told about their files. The user sends one change at a time. */
export class Ledger {
  readonly #possible = new Map<string, Set<Content>>()

  /** Paths that were ever sent. */
  get paths(): string[] {
    return [...this.#possible.keys()]
  }

  /** All that may stand at this path now: what was acknowledged last, and what was sent later without a clear answer. */
  possible(path: string): ReadonlySet<Content> {
    return this.#possible.get(path) ?? NOTHING
  }

  /** What stands at this path for certain; undefined where nobody knows. */
  certain(path: string): Content | undefined {
    const [only, ...others] = this.possible(path)
    return others.length === 0 ? only : undefined
  }

  note(path: string, content: Content, told: Told): void {
    if (told === 'done') this.#possible.set(path, new Set([content]))
    else if (told === 'unsure') this.#possible.set(path, new Set([...this.possible(path), content]))
    else if (!this.#possible.has(path)) this.#possible.set(path, new Set(NOTHING))
  }
}

const NOTHING: ReadonlySet<Content> = new Set([null])
