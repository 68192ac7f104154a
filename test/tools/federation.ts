import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Api, connectApi, folderPlace } from '../../src/cli/local-client.ts'
import type { InstanceStatusView, PeerView, WorkspaceDetailView, WorkspaceView } from '../../src/console/views.ts'
import { COMPILED, type Launch, type Outcome, Program, runProgram, START_MS, until } from './program.ts'
import { WebUser } from './web-user.ts'

const COORDINATOR = 'coordinator'
const ANY_PORT = '127.0.0.1:0'

interface Ready {
  readonly peerId: string
  readonly addresses: readonly string[]
  readonly http: string
  readonly admin: string
}

/** The folder in which its folder is made, and what is started; the system's, and the compiled program. */
export interface Place {
  readonly within?: string
  readonly launch?: Launch
}

/**
 * A federation of real processes on free ports of this machine, each in a folder of its own. On dispose its processes
 * are ended and its folder is removed. Whatever does not happen in time throws, with the log of who was awaited.
 */
export class TestFederation implements AsyncDisposable {
  /** Where the folders lie; nothing else of the disk is touched. */
  readonly root: string
  readonly #programs = new Map<string, Program>()
  readonly #ended: Program[] = []
  readonly #settings: readonly string[]
  readonly #launch: Launch
  #ready: Ready | null = null

  private constructor(root: string, settings: readonly string[], launch: Launch) {
    this.root = root
    this.#settings = settings
    this.#launch = launch
  }

  /** A folder, and nothing that runs in it. */
  static async bare(
    settings: readonly string[] = [],
    { within = tmpdir(), launch = COMPILED }: Place = {}
  ): Promise<TestFederation> {
    return new TestFederation(await mkdtemp(join(within, 'federation-')), settings, launch)
  }

  /** @param settings flags of the coordinator beside folder and ports */
  static async open(settings: readonly string[] = [], place: Place = {}): Promise<TestFederation> {
    const federation = await TestFederation.bare(settings, place)
    try {
      await federation.startCoordinator()
      return federation
    } catch (error) {
      await federation[Symbol.asyncDispose]()
      throw error
    }
  }

  /** What the coordinator said once it listened. */
  get ready(): Ready {
    if (this.#ready === null) throw new Error('the coordinator has not said its addresses')
    return this.#ready
  }

  folder(name: string): string {
    return join(this.root, name)
  }

  /** The newest process of this name. */
  program(name: string): Program {
    const program = this.#programs.get(name)
    if (program === undefined) throw new Error(`${name} was never started`)
    return program
  }

  /** The API of a running daemon, over its control socket. */
  apiOf(name: string): Api {
    return connectApi(folderPlace(this.folder(name), name === COORDINATOR ? 'coordinator' : 'instance'))
  }

  get api(): Api {
    return this.apiOf(COORDINATOR)
  }

  /** Starts the coordinator; once more, on the ports that it had. `words` follow its name. */
  async startCoordinator(...words: readonly string[]): Promise<Ready> {
    const program = this.start(COORDINATOR, [COORDINATOR, ...words, ...this.#ports(), ...this.#settings])
    this.#ready = (await program.event('ready')) as unknown as Ready
    return this.#ready
  }

  /** Starts another coordinator, with a key of its own, on the ports that the coordinator had. */
  async startStranger(): Promise<void> {
    await this.start('stranger', [COORDINATOR, ...this.#ports()]).event('ready')
  }

  #ports(): string[] {
    const { listen, http, admin } = this.#ready === null ? FREE_PORTS : portsOf(this.#ready)
    return ['--listen', listen, '--http', http, '--admin', admin]
  }

  /** Starts a process on the folder of this name, or on another one. */
  start(
    name: string,
    args: readonly string[],
    folder = this.folder(name),
    env: Readonly<Record<string, string>> = {}
  ): Program {
    const before = this.#programs.get(name)
    if (before?.hasEnded === false) throw new Error(`${name} runs already`)
    if (before !== undefined) this.#ended.push(before)
    const program = Program.start(name, [...args, '--data', folder], this.root, env, this.#launch)
    this.#programs.set(name, program)
    return program
  }

  /** A volunteer runs `join` and sees the code. */
  async ask(
    name: string,
    flags: readonly string[] = [],
    coordinator = this.ready.http
  ): Promise<{ program: Program; code: string }> {
    const program = this.start(name, ['join', coordinator, '--name', name, ...flags])
    const { code } = await program.event('pending')
    return { program, code: String(code) }
  }

  /** Asks, is approved, serves. `coordinator` is what is typed for it: its address. */
  async join(name: string, flags: readonly string[] = [], coordinator = this.ready.http): Promise<Program> {
    const { program, code } = await this.ask(name, flags, coordinator)
    await this.api.send('POST', `/peers/${name}/approve`, { code })
    await program.event('serving')
    await this.until(`${name} serves`, async () => (await this.peer(name)).state === 'serving')
    return program
  }

  /** Starts one more front door, approves it, and waits until it lets users in; its address. */
  async openDoor(name: string, flags: readonly string[] = []): Promise<string> {
    const listen = ['--http', ANY_PORT, '--listen', '/ip4/127.0.0.1/tcp/0']
    const program = this.start(name, [
      'front-door',
      '--coordinator',
      this.ready.http,
      '--name',
      name,
      ...listen,
      ...flags
    ])
    const { code } = await program.event('pending')
    await this.api.send('POST', `/peers/${name}/approve`, { code })
    const { http } = await program.event('ready')
    return String(http)
  }

  /** `join` without an argument, on the folder of before. */
  async resume(name: string, flags: readonly string[] = []): Promise<Program> {
    const program = this.start(name, ['join', ...flags])
    await program.event('serving')
    return program
  }

  /** Ends a process without a word. Resolves once it is gone. */
  async kill(name: string): Promise<void> {
    this.program(name).kill('SIGKILL')
    await this.program(name).ended()
  }

  /** An admin's command. */
  admin(...args: readonly string[]): Promise<Outcome> {
    return this.command(COORDINATOR, ...args)
  }

  /** A command of whoever runs this daemon. */
  command(name: string, ...args: readonly string[]): Promise<Outcome> {
    return this.run(...args, '--data', this.folder(name))
  }

  run(...args: readonly string[]): Promise<Outcome> {
    return runProgram(args, this.root)
  }

  async addUser(name: string): Promise<WebUser> {
    const { token } = await this.api.send<{ token: string }>('POST', '/users', { name })
    return new WebUser(name, this.ready.http, { authorization: `Bearer ${token}` })
  }

  async addUsers(count: number): Promise<WebUser[]> {
    return await Promise.all(Array.from({ length: count }, (_, index) => this.addUser(`user-${index + 1}`)))
  }

  guest(): WebUser {
    return new WebUser('guest', this.ready.http)
  }

  peers(): Promise<PeerView[]> {
    return this.api.get('/peers')
  }

  peer(name: string): Promise<PeerView> {
    return this.api.get(`/peers/${name}`)
  }

  /** The instance that is home of the most workspaces: which one that is, is left to chance. */
  async busiest(): Promise<string> {
    const [first] = (await this.peers()).sort((a, b) => b.workspaces - a.workspaces)
    if (first === undefined) throw new Error('there are no instances')
    return first.name
  }

  status(name: string): Promise<InstanceStatusView> {
    return this.apiOf(name).get('/status')
  }

  workspaces(): Promise<WorkspaceView[]> {
    return this.api.get('/workspaces')
  }

  async workspaceOf(user: WebUser): Promise<WorkspaceDetailView> {
    const all = await this.workspaces()
    const found = all.find((one) => one.user === `user:${user.name}`)
    if (found === undefined) throw new Error(`${user.name} has no workspace`)
    return await this.api.get(`/workspaces/${found.id}`)
  }

  /** Where the files of a user lie on this instance. */
  async filesOf(user: WebUser, name: string): Promise<string> {
    return join(this.folder(name), 'workspaces', (await this.workspaceOf(user)).id)
  }

  /** Every workspace is served and has as many up-to-date standbys. */
  async settled(standbys = 1): Promise<void> {
    await this.until(`${standbys} up-to-date standbys for each workspace`, async () =>
      (await this.workspaces()).every(
        (one) => one.state === 'serving' && one.standbys.length >= standbys && one.receipts > standbys
      )
    )
  }

  /** As `until`; where it fails, the coordinator's log is told. */
  async until<T>(what: string, look: () => Promise<T | null | undefined | false>, ms = START_MS): Promise<T> {
    try {
      return await until(what, look, ms)
    } catch (error) {
      const workspaces = await this.workspaces().catch(() => [])
      const logs = [...this.#programs.values()].map(({ name, log }) => `--- log of ${name}\n${log}`)
      const text = error instanceof Error ? error.message : String(error)
      throw new Error(`${text}\n${JSON.stringify(workspaces, null, 1)}\n${logs.join('\n')}`, { cause: error })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#programs.values(), ...this.#ended].map((program) => program.destroy()))
    await rm(this.root, { recursive: true, force: true })
  }

  /** A folder for whatever a test wants to put down. */
  async spare(name: string): Promise<string> {
    const path = join(this.root, `spare-${name}`)
    await mkdir(path, { recursive: true })
    return path
  }
}

const FREE_PORTS = { listen: '/ip4/127.0.0.1/tcp/0', http: ANY_PORT, admin: ANY_PORT }

function portsOf({ addresses, http, admin }: Ready): typeof FREE_PORTS {
  const [first = ''] = addresses
  return { listen: first.replace(/\/p2p\/.*$/, ''), http: new URL(http).host, admin: new URL(admin).host }
}
