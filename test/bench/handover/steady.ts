import type { WebUser } from '../../tools/web-user.ts'
import { pause } from '../system.ts'

/** Between an answer and the next request. */
const EVERY_MS = 5
/** One of so many requests saves; the others read. */
const SAVES_ONE_OF = 5

/** Somebody who asks all the time, one request after another, and notes how long each took. */
export class SteadyUser {
  readonly #user: WebUser
  readonly #took: number[] = []
  #failure: string | null = null
  #count = 0
  #isOver = false

  constructor(user: WebUser) {
    this.#user = user
  }

  /** Asks while `work` runs and a little before and after it: the longest time from a request to its answer, in milliseconds. */
  static async during(user: WebUser, work: () => Promise<unknown>): Promise<number> {
    const steady = new SteadyUser(user)
    const asking = steady.#ask()
    try {
      await steady.#answers(3)
      await work()
      await steady.#answers(3)
    } finally {
      steady.#isOver = true
      await asking
    }
    if (steady.#failure !== null) throw new Error(`a request of a steady user failed: ${steady.#failure}`)
    return Math.max(...steady.#took)
  }

  /** So many more have come. */
  async #answers(count: number): Promise<void> {
    const enough = this.#took.length + count
    while (this.#took.length < enough && this.#failure === null) await pause(1)
  }

  async #ask(): Promise<void> {
    while (!this.#isOver && this.#failure === null) {
      const beganAt = performance.now()
      try {
        await this.#request()
      } catch (error) {
        this.#failure = error instanceof Error ? error.message : String(error)
      }
      this.#took.push(performance.now() - beganAt)
      await pause(EVERY_MS)
    }
  }

  async #request(): Promise<void> {
    this.#count += 1
    if (this.#count % SAVES_ONE_OF === 0) await this.#user.save('/steady.txt', `${performance.now()}`)
    else await this.#user.read('/mine.txt')
  }
}
