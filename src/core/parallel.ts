/**
 * Works on every item, at most `width` at once. After a failure no further item is begun; the first failure is thrown once
 * all work has ended.
 */
export async function forEachParallel<T>(
  items: Iterable<T>,
  width: number,
  work: (item: T) => Promise<void>
): Promise<void> {
  const iterator = items[Symbol.iterator]()
  const failures: unknown[] = []
  const worker = async (): Promise<void> => {
    while (failures.length === 0) {
      const next = iterator.next()
      if (next.done === true) return
      try {
        await work(next.value)
      } catch (error) {
        failures.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: width }, worker))
  if (failures.length > 0) throw failures[0]
}

/** The items in runs of at most `size`. */
export function* batches<T>(items: Iterable<T>, size: number): Generator<T[]> {
  let batch: T[] = []
  for (const item of items) {
    batch.push(item)
    if (batch.length < size) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

/** Lets at most `count` pieces of work run at once; the others wait in the order of the calls. */
export class Slots {
  readonly #waiting: (() => void)[] = []
  #free: number

  constructor(count: number) {
    this.#free = count
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}

/** The same items, each prepared while the one before it is used. */
export async function* prepared<T>(source: AsyncGenerator<T>): AsyncGenerator<T> {
  let coming = caught(source.next())
  try {
    for (;;) {
      const next = await coming
      if ('error' in next) throw next.error
      if (next.result.done === true) return
      coming = caught(source.next())
      yield next.result.value
    }
  } finally {
    await coming
    await source.return(undefined)
  }
}

/** An outcome that waits to be looked at. */
async function caught<T>(work: Promise<T>): Promise<{ readonly result: T } | { readonly error: unknown }> {
  try {
    return { result: await work }
  } catch (error) {
    return { error }
  }
}
