/** A place among those that may go on, or in the queue for one. */
export interface Turn {
  /** May it go on already? */
  readonly now: boolean
  /** Gives the place back, or leaves the queue. */
  leave(): void
}

interface Group {
  active: number
  readonly waiting: Set<() => void>
}

/** Lets only so many of each name go on at once; the others follow in the order in which they came. */
export class Turns {
  readonly #limits: { readonly atOnce: number; readonly waiting: number }
  readonly #groups = new Map<string, Group>()

  constructor(limits: { readonly atOnce: number; readonly waiting: number }) {
    this.#limits = limits
  }

  /** @param go called once its turn comes, where that is not now. @returns null where too many wait already */
  take(name: string, go: () => void): Turn | null {
    const group = this.#groups.get(name) ?? { active: 0, waiting: new Set() }
    if (group.active < this.#limits.atOnce) {
      group.active += 1
      this.#groups.set(name, group)
      return { now: true, leave: once(() => this.#end(name, group)) }
    }
    if (group.waiting.size >= this.#limits.waiting) return null
    let active = false
    const start = (): void => {
      active = true
      go()
    }
    group.waiting.add(start)
    return {
      now: false,
      leave: once(() => {
        if (active) this.#end(name, group)
        else group.waiting.delete(start)
      })
    }
  }

  #end(name: string, group: Group): void {
    const [next] = group.waiting
    if (next === undefined) {
      group.active -= 1
      if (group.active === 0) this.#groups.delete(name)
      return
    }
    group.waiting.delete(next)
    next()
  }
}

/** The turns of one request: one for each bound that it comes under. */
export class TurnsTaken {
  readonly #taken: Turn[] = []

  /** True: it may go on. False: `again` is called when it is its turn. Null: too many wait already. */
  next(bounds: readonly (readonly [turns: Turns, name: string])[], again: () => void): boolean | null {
    for (const [turns, name] of bounds.slice(this.#taken.length)) {
      const turn = turns.take(name, again)
      if (turn === null) return null
      this.#taken.push(turn)
      if (!turn.now) return false
    }
    return true
  }

  leave(): void {
    for (const turn of this.#taken.splice(0).reverse()) turn.leave()
  }
}

function once(work: () => void): () => void {
  let done = false
  return () => {
    if (done) return
    done = true
    work()
  }
}
