import { Agent } from 'node:http'
import { type Clock, sleep } from '../../core/clock.ts'
import { messageOf, NodeDaemonError } from '../../core/errors.ts'
import { jitter, type Random } from '../../core/random.ts'
import { type Answer, exchange } from '../exchange.ts'
import { type InputFile, sha256 } from './input-files.ts'

const SILENCE_MS = 45_000
const PATIENCE_MS = 90_000
const RETRY_MS = 100
const RETRY_MS_MAX = 2000
const ANSWER_BYTES_MAX = 64 * 1024 * 1024
const REASONS_MAX = 20

export interface Served {
  readonly answer: Answer
  /** Name of the instance that answered. */
  readonly by: string
  /** From the first attempt to the whole answer. */
  readonly tookMs: number
}

/** What all users together have seen. */
export class Tally {
  requests = 0
  /** Requests that were sent again, as it is safe to. */
  repeated = 0
  /** Requests that a careful client could not bring to a good end, or whose answer was wrong. */
  failed = 0
  /** Of the files that were acknowledged as saved. */
  savedBytes = 0
  /** Why, for the first of them. */
  readonly reasons: string[] = []

  fail(reason: string): void {
    this.failed += 1
    if (this.reasons.length < REASONS_MAX) this.reasons.push(reason)
  }
}

export interface Door {
  readonly url: string
  readonly agent: Agent
  readonly clock: Clock
  readonly random: Random
  readonly tally: Tally
  readonly signal: AbortSignal
}

export const newAgent = (): Agent => new Agent({ keepAlive: true, maxSockets: 128 })

type Method = 'GET' | 'PUT' | 'MKCOL'
type Attempt = { readonly answer: Answer } | { readonly again: string; readonly afterMs?: number }

const encoded = (path: string): string => `/${path.split('/').map(encodeURIComponent).join('/')}`

/**
 * Somebody at the front door: a named user with a token, or a guest with the cookie that they were given. Careful: what
 * was not answered is sent again where that is safe (GET, PUT without preconditions and MKCOL always are).
 */
export class WebUser {
  readonly name: string
  readonly token: string | null
  /** What was acknowledged as saved: sha256 by path. */
  readonly saved = new Map<string, string>()
  readonly #door: Door
  readonly #folders = new Set<string>()
  #cookie: string | null = null
  /** The instance that answered last. */
  home = ''

  constructor(name: string, token: string | null, door: Door) {
    this.name = name
    this.token = token
    this.#door = door
  }

  /** Comes in. A guest gets the cookie by which they are known from now on. */
  async arrive(): Promise<void> {
    await this.#send('GET', '/')
  }

  /** Saves a file, with the folders above it. True once it is acknowledged. */
  async save(file: InputFile): Promise<boolean> {
    const parts = file.path.split('/')
    for (let depth = 1; depth < parts.length; depth += 1) {
      const folder = parts.slice(0, depth).join('/')
      if (this.#folders.has(folder)) continue
      if ((await this.#send('MKCOL', encoded(folder), undefined, [405])) === null) return false
      this.#folders.add(folder)
    }
    const served = await this.#send('PUT', encoded(file.path), file.bytes)
    if (served === null) return false
    this.saved.set(file.path, file.sha256)
    this.#door.tally.savedBytes += file.bytes.length
    return true
  }

  /** Reads a file; null where that failed for good. */
  read(path: string): Promise<Served | null> {
    return this.#send('GET', encoded(path))
  }

  /** Is what was acknowledged still there, byte for byte? A wrong answer counts as a failed request. */
  async stillHas(path: string): Promise<boolean> {
    const served = await this.read(path)
    if (served === null) return false
    const isSame = sha256(served.answer.body) === this.saved.get(path)
    if (!isSame) this.#failed(`${path} is not what was saved`)
    return isSame
  }

  async #send(
    method: Method,
    path: string,
    body?: Uint8Array,
    alsoGood: readonly number[] = []
  ): Promise<Served | null> {
    const { clock, random, tally, signal } = this.#door
    const startedAt = clock.now()
    tally.requests += 1
    for (let attempt = 0; ; attempt += 1) {
      const result = await this.#attempt(method, path, body)
      if ('answer' in result) return this.#finished(method, path, result.answer, alsoGood, clock.now() - startedAt)
      if (signal.aborted || clock.now() - startedAt > PATIENCE_MS)
        return this.#failed(`${method} ${path}: ${result.again}`)
      tally.repeated += 1
      const waitMs = result.afterMs ?? Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** Math.min(attempt, 10))
      await sleep(clock, jitter(random, waitMs), signal)
    }
  }

  async #attempt(method: Method, path: string, body: Uint8Array | undefined): Promise<Attempt> {
    const { url, agent, signal } = this.#door
    try {
      const headers = this.#headers(method)
      const request = { target: { url }, method, path, headers, silenceMs: SILENCE_MS, agent, signal }
      const answer = await exchange(body === undefined ? request : { ...request, body }, ANSWER_BYTES_MAX)
      if (answer.status === 502) return { again: '502' }
      if (answer.status === 503)
        return { again: '503', afterMs: Math.min(2, Number(answer.headers['retry-after'] ?? 0.1)) * 1000 }
      return { answer }
    } catch (error) {
      if (signal.aborted) throw error
      return { again: messageOf(error) }
    }
  }

  #headers(method: Method): Record<string, string> {
    if (this.token !== null) return { authorization: `Bearer ${this.token}` }
    const origin = method === 'GET' ? {} : { origin: new URL(this.#door.url).origin }
    return this.#cookie === null ? origin : { ...origin, cookie: this.#cookie }
  }

  #finished(method: Method, path: string, answer: Answer, alsoGood: readonly number[], tookMs: number): Served | null {
    const cookie = answer.headers['set-cookie']?.[0]?.split(';')[0]
    if (cookie !== undefined) this.#cookie = cookie
    const isGood = (answer.status >= 200 && answer.status < 300) || alsoGood.includes(answer.status)
    if (!isGood) return this.#failed(`${method} ${path}: ${answer.status}`)
    const by = answer.headers['x-served-by']
    if (typeof by === 'string') this.home = by
    return { answer, by: this.home, tookMs }
  }

  #failed(reason: string): null {
    this.#door.tally.fail(`${this.name}: ${reason}`)
    return null
  }
}

/** Runs `work` for each item, at most `width` at once. The first that fails is thrown, after those begun have ended. */
export async function forEachOf<T>(items: Iterable<T>, width: number, work: (item: T) => Promise<void>): Promise<void> {
  const rest = items[Symbol.iterator]()
  const worker = async (): Promise<void> => {
    for (let next = rest.next(); !next.done; next = rest.next()) await work(next.value)
  }
  const results = await Promise.allSettled(Array.from({ length: width }, worker))
  const failure = results.find((result) => result.status === 'rejected')
  if (failure !== undefined)
    throw failure.reason instanceof Error ? failure.reason : new NodeDaemonError('UNEXPECTED', String(failure.reason))
}
