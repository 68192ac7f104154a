import { type Answer, sha256, type WebUser } from './web-user.ts'

interface Client {
  readonly user: WebUser
  /** What was acknowledged: sha256 by path. */
  readonly saved: Map<string, string>
  /** What was sent and not acknowledged: it may be there or not. */
  readonly unsure: Set<string>
  busy: boolean
  writes: number
}

/** Users at work: each has one request under way at most, and in turn saves a new file, saves one anew, and reads. */
export class Traffic implements AsyncDisposable {
  readonly failures: string[] = []
  readonly instances = new Set<string>()
  requests = 0
  longestMs = 0
  readonly #clients: readonly Client[]
  readonly #underWay = new Set<Promise<void>>()
  readonly #timer: NodeJS.Timeout
  #turn = 0

  /** @param perSecond requests that are begun in a second, as long as there is a user who waits for no answer */
  constructor(users: readonly WebUser[], perSecond: number) {
    this.#clients = users.map((user) => ({ user, saved: new Map(), unsure: new Set(), busy: false, writes: 0 }))
    this.#timer = setInterval(() => this.#next(), 1000 / perSecond)
  }

  get saved(): number {
    return this.#clients.reduce((sum, { saved }) => sum + saved.size, 0)
  }

  /** Begins no more, and waits for the last answer. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#underWay)
  }

  /** Reads back all that was acknowledged; resolves with what is missing or different. */
  async lost(): Promise<string[]> {
    const lost: string[] = []
    const check = async ({ user, saved, unsure }: Client): Promise<void> => {
      for (const [path, hash] of saved) {
        const answer = await user.get(path)
        const isSame = answer.status === 200 && (sha256(answer.body) === hash || unsure.has(path))
        if (!isSame) lost.push(`${user.name} ${path}: ${answer.status}`)
      }
    }
    await Promise.all(this.#clients.map(check))
    return lost
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #next(): void {
    const client = this.#clients[this.#turn++ % this.#clients.length]
    if (client === undefined || client.busy) return
    client.busy = true
    const work = this.#request(client)
      .catch((error: unknown) => this.#failed(client.user, error instanceof Error ? describe(error) : String(error)))
      .finally(() => {
        client.busy = false
        this.#underWay.delete(work)
      })
    this.#underWay.add(work)
  }

  async #request(client: Client): Promise<void> {
    const step = client.writes % 3
    this.requests += 1
    if (step === 2) {
      client.writes += 1
      const [path = '/'] = [...client.saved.keys()].slice(-1)
      return this.#note(client.user, 'GET', path, await client.user.get(path), [200])
    }
    const path = step === 0 ? `/file-${client.writes}.txt` : '/same.txt'
    const body = `${client.user.name} ${client.writes} ${'x'.repeat(client.writes % 5000)}`
    client.writes += 1
    client.unsure.add(path)
    const answer = await client.user.put(path, body)
    if (answer.status === 201 || answer.status === 204) {
      client.saved.set(path, sha256(body))
      client.unsure.delete(path)
    }
    this.#note(client.user, 'PUT', path, answer, [201, 204])
  }

  #note(user: WebUser, method: string, path: string, answer: Answer, good: readonly number[]): void {
    this.longestMs = Math.max(this.longestMs, answer.tookMs)
    if (answer.by !== '') this.instances.add(answer.by)
    if (!good.includes(answer.status))
      this.#failed(user, `${method} ${path}: ${answer.status} ${answer.text.slice(0, 200)}`)
  }

  #failed(user: WebUser, text: string): void {
    this.failures.push(`${user.name}: ${text}`)
  }
}

const describe = (error: Error): string =>
  `${error.message}${error.cause instanceof Error ? `: ${error.cause.message}` : ''}`
