import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type * as clients from '../../src/cli/local-client.ts'
import type { NewUserView, PeerView, WorkspaceView } from '../../src/console/views.ts'
import type { RouteKind } from '../../src/wire/ingress.ts'
import type { BenchOptions } from './benchmark.ts'
import { productModule } from './product.ts'
import { Relay } from './relay.ts'
import { ended, type Scratch } from './scratch.ts'
import { freePort, pause } from './system.ts'
import { profileFlags } from './worker.ts'

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

interface Parts {
  readonly url: string
  readonly tokens: readonly string[]
  readonly api: clients.Api
  readonly instanceFolder: string
  readonly relay: Relay
  readonly coordinator: Daemon
  readonly instance: Daemon
}

export interface Wish {
  readonly users: number
  /** The instance reaches the coordinator through `uplink`. */
  readonly countedUplink?: boolean
  /** The instance listens at an address of its own: see `takeRoute`. */
  readonly ingress?: boolean
  /** An app on this port of this machine, as the service `app` below `/app`. */
  readonly appPort?: number
}

/** A coordinator and one instance as real processes, and users with tokens. */
export class Federation implements AsyncDisposable {
  readonly #parts: Parts

  private constructor(parts: Parts) {
    this.#parts = parts
  }

  /** @param name of its profiles */
  static async start(scratch: Scratch, name: string, options: BenchOptions, wish: Wish): Promise<Federation> {
    const { users, countedUplink = false, ingress = false, appPort } = wish
    const { connectApi, folderPlace } = await productModule<typeof clients>(options.dist, 'cli/local-client.js')
    const data = join(scratch.folder, 'coordinator')
    const addresses = ['--http', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--listen', '/ip4/127.0.0.1/tcp/0']
    const coordinator = new Daemon(scratch, `${name}-coordinator`, options, [
      'coordinator',
      '--data',
      data,
      ...addresses,
      ...(appPort === undefined ? [] : ['--services', 'name=app route=/app'])
    ])
    const ready = await coordinator.event('ready')
    const url = String(ready.http)
    const relay = await Relay.start(portOf(ready.addresses))
    const target = countedUplink ? `/ip4/127.0.0.1/tcp/${relay.port}/p2p/${String(ready.peerId)}` : url
    const instanceFolder = join(scratch.folder, 'instance')
    const joining = [
      'join',
      target,
      '--data',
      instanceFolder,
      '--name',
      'bench',
      '--accept-terms',
      '--on-stop',
      'flush',
      ...(ingress ? await ingressArgs() : []),
      ...(appPort === undefined ? [] : ['--service', 'files', '--service', `app=http://127.0.0.1:${appPort}`])
    ]
    const instance = new Daemon(scratch, `${name}-instance`, options, joining)
    const { code } = await instance.event('pending')
    const api = connectApi(folderPlace(data, 'coordinator'))
    await api.send('POST', '/peers/bench/approve', { code })
    await instance.event('serving')
    const tokens: string[] = []
    for (let index = 0; index < users; index++) {
      tokens.push((await api.send<NewUserView>('POST', '/users', { name: `user-${index}` })).token)
    }
    return new Federation({ url, tokens, api, instanceFolder, relay, coordinator, instance })
  }

  /** The front door. */
  get url(): string {
    return this.#parts.url
  }

  get tokens(): readonly string[] {
    return this.#parts.tokens
  }

  /** What each user says of itself, in a header line. */
  get users(): readonly (readonly [name: string, value: string])[] {
    return this.tokens.map((token) => ['authorization', `Bearer ${token}`] as const)
  }

  get pids(): { readonly coordinator: number; readonly instance: number } {
    return { coordinator: this.#parts.coordinator.pid, instance: this.#parts.instance.pid }
  }

  /** From now on users' requests take this route to the instance. */
  async takeRoute(route: RouteKind): Promise<void> {
    const { api } = this.#parts
    await api.send('POST', '/peers/bench/label', { labels: { route } })
    const until = performance.now() + EVENT_MS
    const inUse = async () => (await api.get<PeerView[]>('/peers')).find(({ name }) => name === 'bench')?.route?.inUse
    while ((await inUse()) !== route) {
      if (performance.now() > until) throw new Error(`the route ${route} is not in use`)
      await pause(50)
    }
  }

  /** What crossed the connections of the instance, as it sees them. */
  get uplink(): Pick<Relay, 'sentBytes' | 'receivedBytes'> {
    return this.#parts.relay
  }

  /** The first user's workspace, with one small file in it. */
  async openWorkspace(): Promise<LiveWorkspace> {
    const { url, tokens, api, instanceFolder } = this.#parts
    const answer = await fetch(`${url}/first.txt`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${tokens[0] ?? ''}` },
      body: 'first'
    })
    if (!answer.ok) throw new Error(`the first write was answered by ${answer.status}`)
    const look = async (): Promise<WorkspaceView> => {
      const [workspace] = await api.get<WorkspaceView[]>('/workspaces')
      if (workspace === undefined) throw new Error('there is no workspace')
      return workspace
    }
    return { folder: join(instanceFolder, 'workspaces', (await look()).id), look }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { coordinator, instance, relay } = this.#parts
    await ended(instance.child, 'SIGTERM')
    await ended(coordinator.child, 'SIGTERM')
    await relay[Symbol.asyncDispose]()
  }
}

async function ingressArgs(): Promise<string[]> {
  const address = `127.0.0.1:${await freePort()}`
  return ['--public-url', `http://${address}`, '--ingress', address]
}

/** A workspace on the disk of its home. */
export interface LiveWorkspace {
  readonly folder: string
  /** As the coordinator sees it now: its `files` and `usedBytes` are those of the newest head, which is durable. */
  look(): Promise<WorkspaceView>
}

function portOf(addresses: unknown): number {
  const [, port] = /\/tcp\/(\d+)/.exec(String(addresses)) ?? []
  if (port === undefined) throw new Error(`no TCP port among ${String(addresses)}`)
  return Number(port)
}
