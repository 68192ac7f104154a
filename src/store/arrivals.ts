/** Lets work on a name begin only when no other work on it is under way; work that shares no name goes side by side. */
export class Arrivals {
  readonly #underWay = new Map<string, Promise<void>>()

  async run<T>(names: readonly string[], work: () => Promise<T>): Promise<T> {
    for (let before = this.#before(names); before.length > 0; before = this.#before(names)) await Promise.all(before)
    const { promise, resolve } = Promise.withResolvers<void>()
    for (const name of names) this.#underWay.set(name, promise)
    try {
      return await work()
    } finally {
      for (const name of names) this.#underWay.delete(name)
      resolve()
    }
  }

  #before(names: readonly string[]): Promise<void>[] {
    return names.flatMap((name) => this.#underWay.get(name) ?? [])
  }
}
