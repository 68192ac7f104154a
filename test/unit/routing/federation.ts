import { once } from 'node:events'
import { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { aborted, type Clock, systemClock } from '../../../src/core/clock.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import {
  isUserId,
  type OwnerId,
  type PeerIdText,
  type ServiceName,
  type UserId,
  type WorkspaceId
} from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import {
  FrontDoor,
  type FrontDoorOptions,
  type Groups,
  type HomeRoutes,
  type OwnPages,
  type Place,
  type ServiceRoute,
  type Tunnel,
  type Uploads,
  type Users,
  type Workspaces
} from '../../../src/routing/front-door.ts'
import { Ingress, type IngressDeps, type IngressTarget } from '../../../src/routing/ingress.ts'
import { ownPages } from '../../../src/routing/own/own-pages.ts'
import type { UploadTap } from '../../../src/sync/provisional.ts'
import type { Upgrading } from '../../../src/wire/http.ts'

export const FILES = 'files' as ServiceName
export const NOTES = 'notes' as ServiceName
export const ALICE = 'user:alice' as UserId
export const TOKEN = 'alices-token'
export const ALICES = 'a'.repeat(32) as WorkspaceId
export const COOKIE_KEYS = { current: new Uint8Array(32).fill(1), previous: [new Uint8Array(32).fill(2)] }

/** Time that passes when the test says so. */
export class ManualClock implements Clock {
  #now = 0
  #timers: { readonly at: number; readonly callback: () => void }[] = []

  now(): number {
    return this.#now
  }

  wall(): number {
    return this.#now + 1_700_000_000_000
  }

  after(ms: number, callback: () => void): { cancel(): void } {
    const timer = { at: this.#now + Math.max(0, ms), callback }
    this.#timers.push(timer)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer)
      }
    }
  }

  pass(ms: number): void {
    this.#now += ms
    const due = this.#timers.filter(({ at }) => at <= this.#now).sort((a, b) => a.at - b.at)
    this.#timers = this.#timers.filter(({ at }) => at > this.#now)
    for (const { callback } of due) callback()
  }
}

/** A route table that the test writes. */
export class Table implements Workspaces {
  readonly places = new Map<string, Place>()
  readonly suspects: PeerIdText[] = []
  readonly entered: WorkspaceId[] = []
  /** What breaks each request off that was sent. */
  readonly breakOff: (() => void)[] = []
  readonly created: OwnerId[] = []
  inside = 0
  list: ServiceRoute[] = [{ name: FILES, route: { kind: 'path', prefix: '' }, scope: 'user', writers: null }]
  any: { home: PeerIdText; homeName: string } | null = null
  /** Where new workspaces go; null: nobody has room. */
  room: { home: PeerIdText; homeName: string } | null = null
  #listeners = new Map<WorkspaceId, Set<() => void>>()

  services(): readonly ServiceRoute[] {
    return this.list
  }

  find(service: ServiceName, user: OwnerId): Place | null {
    return this.places.get(`${service} ${user}`) ?? null
  }

  put(user: OwnerId, place: Place, service: ServiceName = FILES): void {
    this.places.set(`${service} ${user}`, place)
    for (const listener of [...(this.#listeners.get(place.workspace) ?? [])]) listener()
  }

  async create(service: ServiceName, user: OwnerId): Promise<Place> {
    if (this.room === null) throw new NodeDaemonError('BUSY', 'no instance has room')
    const known = this.find(service, user)
    if (known !== null) return known
    this.created.push(user)
    const workspace = this.created.length.toString(16).padStart(32, '0') as WorkspaceId
    const place: Place = { state: 'serving', workspace, epoch: 1, ...this.room }
    this.put(user, place, service)
    return place
  }

  changed(workspace: WorkspaceId, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const listeners = this.#listeners.get(workspace) ?? new Set()
      this.#listeners.set(workspace, listeners)
      const listener = (): void => {
        listeners.delete(listener)
        resolve()
      }
      listeners.add(listener)
      signal.addEventListener('abort', () => {
        listeners.delete(listener)
        reject(aborted(signal))
      })
    })
  }

  anyInstance(): { home: PeerIdText; homeName: string } | null {
    return this.any
  }

  suspect(home: PeerIdText): void {
    this.suspects.push(home)
  }

  enter(workspace: WorkspaceId, breakOff: () => void): () => void {
    this.entered.push(workspace)
    this.breakOff.push(breakOff)
    this.inside += 1
    return () => {
      this.inside -= 1
    }
  }
}

/** What an instance was asked to do. */
export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly target: IngressTarget
}

/** An instance whose ingress is reached over a TCP port, and which can be killed. */
export class FakeHome {
  readonly peerId: PeerIdText
  readonly name: string
  readonly seen: Seen[] = []
  readonly ingress: Ingress
  /** How it answers: by default with what it was asked. */
  serve: IngressDeps['serve'] = async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    response.end(`${this.name}:${request.method}:${Buffer.concat(chunks).toString()}`)
  }
  alive = true
  /** How often it was dialled, and what a dial waits for. */
  dialled = 0
  reachable: Promise<void> = Promise.resolve()
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((socket) => {
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => this.#sockets.delete(socket))
    this.ingress.accept(socket)
  })

  constructor(name: string, upgrade?: NonNullable<IngressDeps['upgrade']>) {
    this.name = name
    this.peerId = `12D3KooW${name.replaceAll(/[^a-z]/g, '').padEnd(44, 'x')}` as PeerIdText
    this.ingress = new Ingress({
      log: silent,
      serve: (request, response, target) => {
        this.#note(request, target)
        return this.serve(request, response, target)
      },
      ...(upgrade !== undefined && {
        upgrade: (request: IncomingMessage, upgrading: Upgrading, target: IngressTarget) => {
          this.#note(request, target)
          return upgrade(request, upgrading, target)
        }
      })
    })
  }

  #note(request: IncomingMessage, target: IngressTarget): void {
    this.seen.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, target })
  }

  get connections(): number {
    return this.#sockets.size
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  async connect(): Promise<Duplex> {
    this.dialled += 1
    await this.reachable
    const address = this.#server.address()
    if (!this.alive || address === null || typeof address === 'string') {
      throw new NodeDaemonError('OUT_OF_REACH', `${this.name} is out of reach`)
    }
    const socket = connect(address.port, '127.0.0.1')
    await once(socket, 'connect')
    return socket
  }

  /** Breaks all its connections, like a process that was killed. */
  kill(): void {
    this.alive = false
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  async close(): Promise<void> {
    await this.ingress.close()
    for (const socket of this.#sockets) socket.destroy()
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve))
  }

  get home(): { home: PeerIdText; homeName: string } {
    return { home: this.peerId, homeName: this.name }
  }

  serving(workspace: WorkspaceId = ALICES, epoch = 1): Place {
    return { state: 'serving', workspace, epoch, ...this.home }
  }
}

export interface Setting {
  readonly options?: Partial<FrontDoorOptions>
  readonly clock?: Clock
  readonly upgrade?: NonNullable<IngressDeps['upgrade']>
  readonly users?: Partial<Users>
  readonly routes?: HomeRoutes
  readonly tunnel?: Tunnel
  readonly ownPages?: OwnPages
  readonly groups?: Groups
}

/** What was heard of each upload, and whether it was whole; null while it has not ended. */
export class HeardUploads implements Uploads {
  readonly heard: { readonly workspace: WorkspaceId; readonly bytes: Buffer; whole: boolean | null }[] = []

  tap(workspace: WorkspaceId): UploadTap {
    const parts: Buffer[] = []
    const one: HeardUploads['heard'][number] = {
      workspace,
      get bytes() {
        return Buffer.concat(parts)
      },
      whole: null
    }
    this.heard.push(one)
    return {
      write(bytes) {
        parts.push(Buffer.from(bytes))
      },
      end(whole) {
        one.whole ??= whole
      }
    }
  }
}

/** A front door on a free port, with two homes behind it; `alpha` is the home of Alice's workspace. */
export class Federation implements AsyncDisposable {
  readonly table = new Table()
  readonly alpha: FakeHome
  readonly beta: FakeHome
  readonly door: FrontDoor
  readonly uploads = new HeardUploads()
  port = 0

  private constructor(setting: Setting) {
    this.alpha = new FakeHome('alpha', setting.upgrade)
    this.beta = new FakeHome('beta', setting.upgrade)
    this.table.put(ALICE, this.alpha.serving())
    this.table.any = this.alpha.home
    this.table.room = this.alpha.home
    this.door = new FrontDoor(
      {
        workspaces: this.table,
        users: {
          byToken: async (token) => (token === TOKEN ? { user: ALICE } : token === 'blocked-token' ? 'blocked' : null),
          bySession: () => null,
          bySignOn: (name) =>
            isUserId(`user:${name.toLowerCase()}`) ? (`user:${name.toLowerCase()}` as UserId) : null,
          isBlocked: () => false,
          ...setting.users
        },
        groups: setting.groups ?? { rightsOf: () => null, of: () => [] },
        routes: setting.routes ?? { redirectFor: () => null, ticketOn: () => null },
        tunnel: setting.tunnel ?? {
          connect: (home) => (home === this.alpha.peerId ? this.alpha : this.beta).connect()
        },
        cookieKeys: COOKIE_KEYS,
        uploads: this.uploads,
        wellKnown: () => ({ name: 'Test' }),
        ownPages: setting.ownPages ?? ownPages({}),
        connect: (_request, { socket }) => socket.destroy(),
        clock: setting.clock ?? systemClock(),
        random: systemRandom(),
        log: silent
      },
      { anonymous: true, holdMs: 5_000, secure: false, trustProxy: [], federationName: 'Test', ...setting.options }
    )
  }

  static async start(setting: Setting = {}): Promise<Federation> {
    const federation = new Federation(setting)
    await Promise.all([federation.alpha.listen(), federation.beta.listen()])
    const { port } = await federation.door.listen('127.0.0.1', 0)
    federation.port = port
    return federation
  }

  /** A request that is under way; its body is up to the caller. */
  open(method: string, path: string, headers: Record<string, string | string[]> = {}): ClientRequest {
    return request({ port: this.port, host: '127.0.0.1', method, path, headers, agent: false })
  }

  /** A request of Alice's. */
  ask(method: string, path: string, ask: { headers?: Record<string, string>; body?: string } = {}): Promise<Answer> {
    return this.send(method, path, { ...ask, headers: { authorization: `Bearer ${TOKEN}`, ...ask.headers } })
  }

  /** A request of nobody in particular. */
  send(
    method: string,
    path: string,
    ask: { headers?: Record<string, string | string[]>; body?: string } = {}
  ): Promise<Answer> {
    const opened = this.open(method, path, {
      ...ask.headers,
      ...(ask.body !== undefined && { 'content-length': String(Buffer.byteLength(ask.body)) })
    })
    const answer = answerTo(opened)
    opened.end(ask.body)
    return answer
  }

  raw(): Socket {
    return connect(this.port, '127.0.0.1')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.alpha.close(), this.beta.close()])
    await this.door.close()
  }
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly trailers: NodeJS.Dict<string>
}

export async function answerTo(opened: ClientRequest): Promise<Answer> {
  const [incoming] = (await once(opened, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk)
  return {
    status: incoming.statusCode ?? 0,
    headers: incoming.headers,
    text: Buffer.concat(chunks).toString(),
    trailers: incoming.trailers
  }
}

/** Everything that comes until the connection is closed. */
export async function untilClosed(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  socket.on('error', () => undefined)
  if (!socket.closed) await once(socket, 'close')
  return Buffer.concat(chunks).toString('latin1')
}

/** Resolves once `check` holds. Looks after every turn of the event loop; the test's own time-out bounds it. */
export async function until(check: () => boolean): Promise<void> {
  while (!check()) await new Promise((resolve) => setImmediate(resolve))
}

/** Resolves once a count has stood still for many turns of the event loop. */
export async function untilStill(count: () => number): Promise<void> {
  for (let calm = 0, before = -1; calm < 300; before = count()) {
    await new Promise((resolve) => setImmediate(resolve))
    calm = count() === before ? calm + 1 : 0
  }
}

/** A promise and the function that fulfils it. */
export const gate = (): { readonly open: () => void; readonly opened: Promise<void> } => {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { open: resolve, opened: promise }
}
