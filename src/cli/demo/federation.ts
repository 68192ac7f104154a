import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConsoleLinkView, NewUserView, WorkspaceView } from '../../console/views.ts'
import { sleep } from '../../core/clock.ts'
import type { Context } from '../context.ts'
import { type Api, connectApi, folderPlace } from '../local-client.ts'
import { Child } from './child.ts'

const START_MS = 60_000
const SETTLE_MS = 30_000
const LOOK_EVERY_MS = 200

export const INSTANCE_NAMES = ['alder', 'birch', 'cedar'] as const

export interface Member {
  readonly name: string
  readonly child: Child
  readonly api: Api
  readonly code: string
}

/** A coordinator and its instances as real processes, in a folder that goes away with them. */
export class DemoFederation implements AsyncDisposable {
  readonly folder: string
  readonly #context: Context
  readonly #signal: AbortSignal
  readonly #children = new Set<Child>()
  readonly #stopListening: () => void
  #api: Api | null = null

  private constructor(context: Context, folder: string, signal: AbortSignal) {
    this.#context = context
    this.folder = folder
    this.#signal = signal
    this.#stopListening = context.terminal.onExit(() => this.#killAll())
  }

  static async create(context: Context, signal: AbortSignal): Promise<DemoFederation> {
    return new DemoFederation(context, await mkdtemp(join(tmpdir(), 'node-daemon-demo-')), signal)
  }

  /** Starts the coordinator; gives the addresses of its front door and console. */
  async open(): Promise<{ http: string; admin: string }> {
    const data = join(this.folder, 'coordinator')
    const loopback = ['--http', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--listen', '/ip4/127.0.0.1/tcp/0']
    const child = this.#start('the coordinator', ['coordinator', '--data', data, '--name', 'demo', ...loopback])
    const ready = await child.event('ready', START_MS, this.#signal)
    this.#api = connectApi(folderPlace(data, 'coordinator'))
    return { http: String(ready.http), admin: String(ready.admin) }
  }

  get api(): Api {
    if (this.#api === null) throw new Error('the coordinator was not started')
    return this.#api
  }

  /** A volunteer's server asks to join; resolves with its code. */
  async ask(name: string, coordinator: string): Promise<Member> {
    const data = join(this.folder, name)
    const child = this.#start(name, ['join', coordinator, '--data', data, '--name', name, '--accept-terms'])
    const { code } = await child.event('pending', START_MS, this.#signal)
    return { name, child, code: String(code), api: connectApi(folderPlace(data, 'instance')) }
  }

  /** The admin lets it in, having compared the code. */
  async approve({ name, child, code }: Member): Promise<void> {
    await this.api.send('POST', `/peers/${name}/approve`, { code })
    await child.event('serving', START_MS, this.#signal)
  }

  async addUser(name: string): Promise<string> {
    return (await this.api.send<NewUserView>('POST', '/users', { name })).token
  }

  async consoleLink(): Promise<string> {
    return (await this.api.send<ConsoleLinkView>('POST', '/admins/link')).link
  }

  /** Waits until every workspace is served and has a standby again; false where that takes too long. */
  async settled(): Promise<boolean> {
    const until = this.#context.clock.now() + SETTLE_MS
    while (this.#context.clock.now() < until) {
      const workspaces = await this.api.get<WorkspaceView[]>('/workspaces')
      if (workspaces.every((one) => one.state === 'serving' && one.standbys.length > 0)) return true
      await sleep(this.#context.clock, LOOK_EVERY_MS, this.#signal)
    }
    return false
  }

  /** Ends every process at once and removes the folder: nothing in it is meant to last. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#killAll()
    await Promise.allSettled([...this.#children].map((child) => child.ended))
    this.#stopListening()
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 })
  }

  #start(name: string, args: readonly string[]): Child {
    const { clock, terminal } = this.#context
    const child = new Child(name, args, { clock, env: terminal.env })
    this.#children.add(child)
    return child
  }

  #killAll(): void {
    for (const child of this.#children) child.kill()
  }
}
