import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type * as clients from '../../../src/cli/local-client.ts'
import type { NewUserView } from '../../../src/console/views.ts'
import type { BenchOptions } from '../benchmark.ts'
import { productModule } from '../product.ts'
import { ended, type Scratch } from '../scratch.ts'
import { profileFlags } from '../worker.ts'

const EVENT_MS = 60_000

type Event = { readonly event: string } & Readonly<Record<string, unknown>>

/** One program of the product as a real process. */
class Daemon {
  readonly child: ChildProcess
  readonly #events: Event[] = []
  #onChange: () => void = () => undefined

  constructor(scratch: Scratch, name: string, { dist, profileFolder }: BenchOptions, args: readonly string[]) {
    const profile = profileFolder === null ? null : { folder: profileFolder, name }
    const program = [...profileFlags(profile), join(dist, 'cli/main.js'), ...args, '--json']
    const child = spawn(process.execPath, program, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
    this.child = scratch.own(child)
    if (child.stdout === null) throw new Error('a process without output')
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#events.push(JSON.parse(line) as Event)
      this.#onChange()
    })
    child.once('exit', () => this.#onChange())
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  async event(name: string): Promise<Event> {
    const until = performance.now() + EVENT_MS
    for (;;) {
      const found = this.#events.find(({ event }) => event === name)
      if (found !== undefined) return found
      const leftMs = until - performance.now()
      if (this.child.exitCode !== null || leftMs <= 0) throw new Error(`a daemon did not become ${name}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs)
        this.#onChange = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }
}

/** A coordinator and one instance as real processes, and users with tokens. */
export class Federation implements AsyncDisposable {
  /** The front door. */
  readonly url: string
  readonly tokens: readonly string[]
  readonly #coordinator: Daemon
  readonly #instance: Daemon

  private constructor(url: string, tokens: readonly string[], coordinator: Daemon, instance: Daemon) {
    this.url = url
    this.tokens = tokens
    this.#coordinator = coordinator
    this.#instance = instance
  }

  static async start(scratch: Scratch, options: BenchOptions, users: number): Promise<Federation> {
    const { connectApi, folderPlace } = await productModule<typeof clients>(options.dist, 'cli/local-client.js')
    const data = join(scratch.folder, 'coordinator')
    const addresses = ['--http', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--listen', '/ip4/127.0.0.1/tcp/0']
    const coordinator = new Daemon(scratch, 'coordinator', options, ['coordinator', '--data', data, ...addresses])
    const url = String((await coordinator.event('ready')).http)
    const instanceData = join(scratch.folder, 'instance')
    const joining = ['join', url, '--data', instanceData, '--name', 'bench', '--accept-terms', '--on-stop', 'flush']
    const instance = new Daemon(scratch, 'instance', options, joining)
    const { code } = await instance.event('pending')
    const api = connectApi(folderPlace(data, 'coordinator'))
    await api.send('POST', '/peers/bench/approve', { code })
    await instance.event('serving')
    const tokens: string[] = []
    for (let index = 0; index < users; index++) {
      tokens.push((await api.send<NewUserView>('POST', '/users', { name: `user-${index}` })).token)
    }
    return new Federation(url, tokens, coordinator, instance)
  }

  get pids(): { readonly coordinator: number; readonly instance: number } {
    return { coordinator: this.#coordinator.pid, instance: this.#instance.pid }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await ended(this.#instance.child, 'SIGTERM')
    await ended(this.#coordinator.child, 'SIGTERM')
  }
}
