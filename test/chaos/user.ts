import { setTimeout as pause } from 'node:timers/promises'
import type { Chance } from '../sim/world.ts'
import { type Answer, type Sent, sha256, type WebUser } from '../tools/web-user.ts'
import { type Content, Ledger, type Told } from './ledger.ts'

const LARGE_BYTES = 200_000
const SMALL_BYTES = 4_000
/** Of the files that are written anew again and again. */
const SAME_FILES = 3
const PROBLEMS_MAX = 100

/** Nobody listened, so that nothing was sent; or a connection that broke. */
type NoAnswer = 'no connection' | 'no answer'

export interface UserCounts {
  requests: number
  /** Changes that were acknowledged. */
  acknowledged: number
  /** Changes of which the user was told that they were not carried out. */
  refused: number
  /** Changes of which nobody knows. */
  unsure: number
}

/** Somebody who saves, reads, makes folders, moves and deletes all the time, each request sent once, and remembers what they were told. */
export class ChaosUser {
  readonly user: WebUser
  readonly ledger = new Ledger()
  /** What must not happen, and did. */
  readonly problems: string[] = []
  readonly counts: UserCounts = { requests: 0, acknowledged: 0, refused: 0, unsure: 0 }
  readonly #chance: Chance
  readonly #wasAway: (since: number) => boolean
  #serial = 0

  /** @param wasAway was the front door itself away at any time since this moment of `performance.now()`? */
  constructor(user: WebUser, chance: Chance, wasAway: (since: number) => boolean) {
    this.user = user
    this.#chance = chance
    this.#wasAway = wasAway
  }

  /** One request after another until the signal; resolves once the last one is answered. */
  async work(signal: AbortSignal, pauseMs: { readonly from: number; readonly to: number }): Promise<void> {
    while (!signal.aborted) {
      await this.#step()
      await pause(this.#chance.between(pauseMs.from, pauseMs.to))
    }
  }

  /** Reads everything back; what is not as it was told joins the problems. */
  async check(): Promise<void> {
    for (const path of this.ledger.paths) {
      const found = await this.#look(path)
      const possible = this.ledger.possible(path)
      if (!possible.has(found)) this.#problem(`${path} is ${short(found)} and must be ${[...possible].map(short)}`)
    }
  }

  async #look(path: string): Promise<Content> {
    const answer = await this.user.send('PROPFIND', path, { headers: { depth: '0' } })
    if (answer.status === 404) return null
    if (answer.status !== 207) throw new Error(`PROPFIND ${path}: ${answer.status}`)
    if (answer.text.includes('collection/>')) return 'folder'
    return sha256(await this.user.read(path))
  }

  #step(): Promise<void> {
    const dice = this.#chance.fraction()
    if (dice < 0.3) return this.#save(`/file-${this.#next()}.bin`)
    if (dice < 0.5) return this.#save(`/same-${this.#chance.below(SAME_FILES)}.bin`)
    if (dice < 0.6) return this.#makeFolder()
    const known = this.#known()
    if (known === null) return this.#save(`/file-${this.#next()}.bin`)
    if (dice < 0.8) return this.#read(known)
    return dice < 0.9 ? this.#move(known) : this.#remove(known)
  }

  #next(): string {
    this.#serial += 1
    return String(this.#serial)
  }

  /** A file of which it is certain what it holds. */
  #known(): string | null {
    const { ledger } = this
    const files = ledger.paths.filter((path) => {
      const content = ledger.certain(path)
      return typeof content === 'string' && content !== 'folder'
    })
    return files.length === 0 ? null : this.#chance.one(files)
  }

  async #save(path: string): Promise<void> {
    const size = this.#chance.below(this.#chance.happens(0.05) ? LARGE_BYTES : SMALL_BYTES)
    const body = Buffer.concat([Buffer.from(`${this.user.name} ${this.#next()} `), this.#chance.bytes(size)])
    const told = await this.#change('PUT', path, { body }, [201, 204])
    this.ledger.note(path, sha256(body), told)
  }

  /** A second execution would find the folder there. */
  async #makeFolder(): Promise<void> {
    const path = `/folder-${this.#next()}`
    this.ledger.note(path, 'folder', await this.#change('MKCOL', path, {}, [201]))
  }

  /** A second execution would find nothing to move. */
  async #move(from: string): Promise<void> {
    const content = this.ledger.certain(from)
    const to = `/moved-${this.#next()}.bin`
    const headers = { destination: to, overwrite: 'F' }
    const told = await this.#change('MOVE', from, { headers }, [201])
    this.ledger.note(from, null, told)
    this.ledger.note(to, content ?? null, told)
  }

  async #remove(path: string): Promise<void> {
    this.ledger.note(path, null, await this.#change('DELETE', path, {}, [204]))
  }

  async #read(path: string): Promise<void> {
    const startedAt = performance.now()
    const answer = await this.#send('GET', path, {})
    if (typeof answer === 'string' || answer.status === 502 || answer.status === 503) {
      if (!this.#wasAway(startedAt)) this.#problem(`GET ${path} failed with ${statusOf(answer)}`)
      return
    }
    const found = answer.status === 404 ? null : sha256(answer.body)
    if (answer.status === 200 || answer.status === 404) {
      if (!this.ledger.possible(path).has(found)) this.#problem(`GET ${path} gave ${short(found)}`)
    } else this.#problem(`GET ${path}: ${answer.status}`)
  }

  /** A change, sent once. Whatever else than success, "not now" and "perhaps" is a problem: also what tells of a second execution. */
  async #change(method: string, path: string, sent: Sent, good: readonly number[]): Promise<Told> {
    const startedAt = performance.now()
    const answer = await this.#send(method, path, sent)
    const told = toldBy(answer, good)
    if (told === 'done') this.counts.acknowledged += 1
    else if (told === 'unsure') this.counts.unsure += 1
    else if (told === 'not-done') this.counts.refused += 1
    else
      this.#problem(
        `${method} ${path}: ${statusOf(answer)} ${typeof answer === 'string' ? '' : answer.text.slice(0, 200)}`
      )
    // The front door sends a small PUT again by itself: it fails only where the front door itself was away.
    if (method === 'PUT' && told !== 'done' && !this.#wasAway(startedAt)) {
      this.#problem(`PUT ${path} failed with ${statusOf(answer)}`)
    }
    return told === 'wrong' ? 'unsure' : told
  }

  async #send(method: string, path: string, sent: Sent): Promise<Answer | NoAnswer> {
    this.counts.requests += 1
    try {
      return await this.user.send(method, path, sent)
    } catch (error) {
      return wasRefused(error) ? 'no connection' : 'no answer'
    }
  }

  #problem(text: string): void {
    if (this.problems.length < PROBLEMS_MAX) this.problems.push(`${this.user.name}: ${text}`)
  }
}

const wasRefused = (error: unknown): boolean =>
  error instanceof Error && error.cause instanceof Error && 'code' in error.cause && error.cause.code === 'ECONNREFUSED'

const statusOf = (answer: Answer | NoAnswer): string => (typeof answer === 'string' ? answer : String(answer.status))

function toldBy(answer: Answer | NoAnswer, good: readonly number[]): Told | 'wrong' {
  if (typeof answer === 'string') return answer === 'no connection' ? 'not-done' : 'unsure'
  const { status, headers } = answer
  if (good.includes(status)) return 'done'
  const retry = headers.get('x-node-daemon-retry')
  if (status === 502) return retry === 'safe' ? 'not-done' : retry === 'unsafe' ? 'unsure' : 'wrong'
  return status === 503 ? 'not-done' : 'wrong'
}

const short = (content: Content): string => (content === null ? 'nothing' : content.slice(0, 12))
