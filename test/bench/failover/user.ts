import { setTimeout as pause } from 'node:timers/promises'
import { type Answer, sha256, type WebUser } from '../../tools/web-user.ts'

/** Between an answer and the next request. */
const EVERY_MS = 10
const BODY_BYTES = 4096

export interface Saved {
  readonly path: string
  readonly hash: string
  /** When the answer came. */
  readonly at: number
}

/** Somebody who reads, saves and makes folders all the time, each request sent once. */
export class LoadedUser {
  readonly user: WebUser
  /** Acknowledged, in this order. */
  readonly saved: Saved[] = []
  requests = 0
  /** Requests that the front door repeats by itself, and that failed all the same. */
  readonly failed: string[] = []
  /** Other requests that were told to be safe, or unsafe, to send again. */
  readonly told = { safe: 0, unsafe: 0 }
  readonly #round: string
  #last: { readonly at: number; readonly by: string } | null = null

  /** @param round goes into the names of what is saved */
  constructor(user: WebUser, round: string) {
    this.user = user
    this.#round = round
  }

  /** Resolves with when this user was first served by somebody else than `gone`, on the clock of `performance.now()`. */
  async servedByOther(gone: string, withinMs: number): Promise<number> {
    const until = performance.now() + withinMs
    while (performance.now() < until) {
      if (this.#last !== null && this.#last.by !== gone) return this.#last.at
      await pause(1)
    }
    throw new Error(`${this.user.name} was not served again within ${withinMs} ms`)
  }

  /** Forgets who served: whoever answers from now on counts. */
  lookFrom(): void {
    this.#last = null
  }

  async work(signal: AbortSignal): Promise<void> {
    for (let number = 0; !signal.aborted; number++) {
      await this.#request(number)
      await pause(EVERY_MS)
    }
  }

  /** Of what was acknowledged, all that is not there as it was. */
  async lost(): Promise<Saved[]> {
    const lost: Saved[] = []
    for (const one of this.saved) {
      const answer = await this.user.get(one.path)
      if (answer.status !== 200 || sha256(answer.body) !== one.hash) lost.push(one)
    }
    return lost
  }

  async #request(number: number): Promise<void> {
    const { user } = this
    const name = `${this.#round}-${this.requests}`
    this.requests += 1
    if (number % 10 === 9) return this.#folder(await user.send('MKCOL', `/folder-${name}`))
    if (number % 3 === 1) return this.#repeated('HEAD', [200], await user.send('HEAD', '/mine.txt'))
    if (number % 3 === 2) return this.#repeated('GET', [200], await user.get('/mine.txt'))
    const body = `${user.name} ${name} ${'x'.repeat(BODY_BYTES)}`
    const answer = await user.put(`/file-${name}`, body)
    // Sent again to the next home, it may find that the one before had saved it.
    const good = [201, 204]
    this.#repeated('PUT', good, answer)
    if (good.includes(answer.status))
      this.saved.push({ path: `/file-${name}`, hash: sha256(body), at: performance.now() })
  }

  #repeated(method: string, good: readonly number[], answer: Answer): void {
    if (good.includes(answer.status)) this.#served(answer)
    else this.failed.push(`${method}: ${answer.status}`)
  }

  #folder(answer: Answer): void {
    const retry = answer.headers.get('x-node-daemon-retry')
    if (answer.status === 201) this.#served(answer)
    else if (retry === 'safe' || retry === 'unsafe') this.told[retry] += 1
    else this.failed.push(`MKCOL: ${answer.status}`)
  }

  #served({ by }: Answer): void {
    if (this.#last === null || this.#last.by !== by) this.#last = { at: performance.now(), by }
  }
}
