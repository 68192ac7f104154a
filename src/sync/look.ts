import { NodeDaemonError } from '../core/errors.ts'

/** A look that is given up so often gives way for good: the next one comes with the hour. */
const TIMES_MAX = 5

/** A look at all files of which nobody knows whether they changed. Whoever waits for a head goes first. */
export class Look {
  readonly #ended = Promise.withResolvers<void>()
  #reading: AbortController | null = null
  #givenUp = 0

  /** Resolves once what was found is durable in the repository. */
  get ended(): Promise<void> {
    return this.#ended.promise
  }

  get wasGivenUp(): boolean {
    return this.#givenUp > 0
  }

  /** `read` with a signal that is aborted by `signal`, and as soon as somebody waits. */
  async read<T>(signal: AbortSignal, read: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const reading = new AbortController()
    this.#reading = reading
    try {
      return await read(AbortSignal.any([signal, reading.signal]))
    } catch (error) {
      if (!reading.signal.aborted || signal.aborted) throw error
      this.#givenUp++
      throw new GivenUp('ABORTED', 'the look at all files is given up: somebody waits', { cause: error })
    } finally {
      this.#reading = null
    }
  }

  /** Somebody waits for a head. */
  giveWay(): void {
    this.#reading?.abort()
  }

  /** False where it was given up too often: then it has ended. */
  goesOn(): boolean {
    if (this.#givenUp < TIMES_MAX) return true
    this.fail(new NodeDaemonError('BUSY', 'the files change too often to be looked at all'))
    return false
  }

  done(): void {
    this.#ended.resolve()
  }

  fail(error: NodeDaemonError): void {
    this.#ended.reject(error)
  }
}

/** Nothing is wrong: what was to be read is read later. */
export class GivenUp extends NodeDaemonError {}
