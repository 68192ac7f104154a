import { sha256, type WebUser } from '../../tools/web-user.ts'
import { pause } from '../system.ts'

export const LAB = '/lab'
const BODY_BYTES = 2048

export type Kind = 'read' | 'write' | 'compute'
/** What each user asks for, one after another, again and again. The first is a write: there is something to read then. */
const MIX: readonly Kind[] = ['write', 'read', 'compute', 'read', 'read', 'write', 'read', 'compute', 'read', 'read']

/** What came of the requests of all users together. */
export interface Outcome {
  readonly latencies: Readonly<Record<Kind, readonly number[]>>
  /** Answers that were no success, and requests without an answer; each with why. */
  readonly failed: readonly string[]
  /** Answers that held somebody else's data. */
  readonly foreign: readonly string[]
  readonly acknowledged: number
}

/** Users who all ask at once, each one request after another, each sent once. */
export class Crowd {
  readonly #users: readonly Asker[]

  constructor(users: readonly WebUser[]) {
    this.#users = users.map((user) => new Asker(user))
  }

  /** How many requests have ended. */
  get requests(): number {
    return this.#users.reduce((sum, { requests }) => sum + requests, 0)
  }

  /** So many requests of each user; `everyMs` from one answer to the next request. */
  async ask(requestsEach: number, everyMs: number): Promise<void> {
    await Promise.all(this.#users.map((user) => user.ask(requestsEach, everyMs)))
  }

  /** All users ask until the signal, and end with the requests that they have sent. */
  async askUntil(signal: AbortSignal, everyMs: number): Promise<void> {
    await Promise.all(
      this.#users.map(async (user) => {
        await pause(Math.random() * everyMs)
        while (!signal.aborted) await user.ask(1, everyMs)
      })
    )
  }

  outcome(): Outcome {
    const of = (kind: Kind): number[] => this.#users.flatMap(({ latencies }) => latencies[kind])
    return {
      latencies: { read: of('read'), write: of('write'), compute: of('compute') },
      failed: this.#users.flatMap(({ failed }) => failed),
      foreign: this.#users.flatMap(({ foreign }) => foreign),
      acknowledged: this.#users.reduce((sum, { saved }) => sum + saved.size, 0)
    }
  }

  /** Of what was acknowledged, what is not there as it was: read back by so many users at once. */
  async lost(atOnce = 32): Promise<string[]> {
    const lost: string[] = []
    const queue = [...this.#users]
    const reader = async (): Promise<void> => {
      for (let user = queue.pop(); user !== undefined; user = queue.pop()) lost.push(...(await user.lost()))
    }
    await Promise.all(Array.from({ length: atOnce }, reader))
    return lost
  }
}

class Asker {
  readonly latencies: Record<Kind, number[]> = { read: [], write: [], compute: [] }
  readonly failed: string[] = []
  readonly foreign: string[] = []
  /** What was acknowledged last under each path. */
  readonly saved = new Map<string, string>()
  requests = 0
  readonly #user: WebUser
  readonly #own: string

  constructor(user: WebUser) {
    this.#user = user
    this.#own = `user:${user.name} `
  }

  async ask(count: number, everyMs: number): Promise<void> {
    for (let asked = 0; asked < count; asked++) {
      const kind = MIX[this.requests % MIX.length] ?? 'read'
      const since = performance.now()
      try {
        await this.#send(kind)
      } catch (error) {
        this.failed.push(`${kind} of ${this.#user.name}: ${error instanceof Error ? error.message : String(error)}`)
      }
      this.latencies[kind].push(performance.now() - since)
      this.requests += 1
      if (everyMs > 0) await pause(everyMs)
    }
  }

  #send(kind: Kind): Promise<void> {
    if (kind === 'read') return this.#read()
    return kind === 'write' ? this.#write() : this.#compute()
  }

  async #read(): Promise<void> {
    const files = [...this.saved.keys()]
    const path = files[this.requests % Math.max(1, files.length)]
    if (path === undefined) throw new Error('nothing was saved yet')
    const { status, body } = await this.#user.get(path)
    if (status !== 200) throw new Error(`GET ${path}: ${status}`)
    this.#check(body.toString())
    if (sha256(body) !== this.saved.get(path)) throw new Error(`GET ${path}: not what was saved`)
  }

  async #write(): Promise<void> {
    const path = `/note-${this.requests % 20}.txt`
    const body = `${this.#own}${this.requests} `.padEnd(BODY_BYTES, '.')
    const before = this.saved.get(path)
    this.saved.delete(path)
    const { status } = await this.#user.put(path, body)
    if (status === 201 || status === 204) this.saved.set(path, sha256(body))
    else {
      if (before !== undefined) this.saved.set(path, before)
      throw new Error(`PUT ${path}: ${status}`)
    }
  }

  async #compute(): Promise<void> {
    const path = `${LAB}/job-${this.requests % 20}`
    const { status, text } = await this.#user.put(path, `${this.#own}${this.requests}`)
    if (status !== 201) throw new Error(`PUT ${path}: ${status}`)
    this.#check(text)
  }

  #check(text: string): void {
    if (!text.startsWith(this.#own)) this.foreign.push(`${this.#user.name} was shown ${text.slice(0, 60)}`)
  }

  async lost(): Promise<string[]> {
    const lost: string[] = []
    for (const [path, hash] of this.saved) {
      const { status, body } = await this.#user.get(path)
      if (status !== 200 || sha256(body) !== hash) lost.push(`${path} of ${this.#user.name}: ${status}`)
    }
    return lost
  }
}
