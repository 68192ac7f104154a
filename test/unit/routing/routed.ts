import { once } from 'node:events'
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import type { Socket } from 'node:net'
import { type Duplex, duplexPair } from 'node:stream'
import { type Clock, systemClock } from '../../../src/core/clock.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { createIdentity, type Identity } from '../../../src/core/identity.ts'
import type { PeerIdText, WorkspaceId } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import type { Place } from '../../../src/routing/front-door.ts'
import { Ingress, type IngressDeps, type IngressTarget } from '../../../src/routing/ingress.ts'
import { RouteBook } from '../../../src/routing/routes/book.ts'
import { dialIngress } from '../../../src/routing/routes/dial.ts'
import { IngressDoor } from '../../../src/routing/routes/ingress-door.ts'
import type { IngressNews, RouteKind } from '../../../src/wire/ingress.ts'
import { REVISION } from '../../../src/wire/revision.ts'
import { freeAddress } from '../../tools/free-address.ts'
import { ALICES, type Answer, answerTo, Federation, type Setting } from './federation.ts'

/** What reached an instance, and by which way. */
export interface Reached {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly raw: readonly string[]
  readonly target: IngressTarget
}

/** An instance with an entrance of its own beside the tunnel. */
export class RoutedInstance {
  readonly identity: Identity
  readonly name: string
  readonly port: number
  readonly door: IngressDoor
  readonly ingress: Ingress
  readonly reached: Reached[] = []
  readonly told: IngressNews[] = []
  /** How many streams of the tunnel were opened. */
  tunnelled = 0
  /** Is it the home of what it is asked for? */
  isHome = true
  serve: IngressDeps['serve'] = async (incoming, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk)
    response.setHeader('content-type', 'text/plain')
    response.end(`${this.name}:${incoming.method}:${Buffer.concat(chunks).toString()}`)
  }

  private constructor(name: string, identity: Identity, port: number, clock: Clock) {
    this.name = name
    this.identity = identity
    this.port = port
    this.door = new IngressDoor(
      { identity, clock, random: systemRandom(), log: silent },
      { url: this.url, trustProxy: [] }
    )
    this.ingress = new Ingress({
      log: silent,
      serve: async (incoming, response, target) => {
        this.#note(incoming, target)
        return this.serve(incoming, response, target)
      },
      upgrade: async (incoming, { socket }, target) => {
        this.#note(incoming, target)
        socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n')
        socket.pipe(socket)
      }
    })
    this.door.open({ ingress: this.ingress, name: () => name, serves: () => this.isHome })
  }

  static async start(name: string, clock: Clock): Promise<RoutedInstance> {
    const instance = new RoutedInstance(
      name,
      await createIdentity(),
      Number((await freeAddress()).split(':')[1]),
      clock
    )
    await instance.door.listen('127.0.0.1', instance.port)
    return instance
  }

  #note(incoming: IncomingMessage, target: IngressTarget): void {
    if (!this.isHome) throw new NodeDaemonError('NOT_HOME', 'moved')
    const { method = '', url = '', headers, rawHeaders } = incoming
    this.reached.push({ method, url, headers: { ...headers }, raw: [...rawHeaders], target })
  }

  get peer(): PeerIdText {
    return this.identity.peerId
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  connect(): Duplex {
    this.tunnelled += 1
    const [near, far] = duplexPair() as [Duplex, Duplex]
    this.ingress.accept(far)
    return near
  }

  serving(workspace: WorkspaceId = ALICES, epoch = 1): Place {
    return { state: 'serving', workspace, epoch, home: this.peer, homeName: this.name }
  }

  /** A request straight to its entrance. */
  ask(
    path: string,
    ask: { method?: string; headers?: Record<string, string>; body?: string; agent?: false } = {}
  ): Promise<Answer> {
    const { method = 'GET', headers = {}, body } = ask
    const opened = request({ host: '127.0.0.1', port: this.port, path, method, headers, agent: false })
    const answer = answerTo(opened)
    opened.end(body)
    return answer
  }
}

/** A front door, and two instances that offer a route. */
export class RoutedFederation implements AsyncDisposable {
  readonly alpha: RoutedInstance
  readonly beta: RoutedInstance
  readonly book: RouteBook
  /** What an admin says of the routes. */
  readonly labels: Map<PeerIdText, string>
  readonly fed: Federation

  private constructor(parts: Pick<RoutedFederation, 'alpha' | 'beta' | 'book' | 'fed' | 'labels'>) {
    this.alpha = parts.alpha
    this.beta = parts.beta
    this.book = parts.book
    this.fed = parts.fed
    this.labels = parts.labels
  }

  /** On return the route is in use. */
  static async start(kind: RouteKind, setting: Setting = {}): Promise<RoutedFederation> {
    const clock = setting.clock ?? systemClock()
    const alpha = await RoutedInstance.start('alpha', clock)
    const beta = await RoutedInstance.start('beta', clock)
    const all = [alpha, beta]
    const random = systemRandom()
    const labels = new Map<PeerIdText, string>()
    const started = { port: 0 }
    const book = new RouteBook({
      clock,
      random,
      log: silent,
      session: (peer) => {
        const found = all.find((one) => one.peer === peer)
        if (found === undefined) return null
        const hello = { revision: REVISION, route: { kind, url: found.url } } as never
        const tellIngress = (news: IngressNews): void => {
          found.told.push(news)
          found.door.told(news)
        }
        return { peer, hello, tellIngress }
      },
      labelOf: (peer) => labels.get(peer),
      dial: (peer, url) => dialIngress({ clock, random }, peer, url),
      frontDoor: () => `http://127.0.0.1:${started.port}`
    })
    const byTunnel = async (peer: PeerIdText): Promise<Duplex> => {
      const found = all.find((one) => one.peer === peer)
      if (found === undefined) throw new NodeDaemonError('OUT_OF_REACH', 'nobody')
      return found.connect()
    }
    const tunnel = { connect: (peer: PeerIdText) => book.connect(peer, () => byTunnel(peer)) }
    const fed = await Federation.start({ ...setting, routes: book, tunnel })
    started.port = fed.port
    const routed = new RoutedFederation({ alpha, beta, book, fed, labels })
    for (const { peer } of all) book.opened(peer)
    for (const { peer } of all) await routed.untilUsed(peer, kind)
    return routed
  }

  async untilUsed(peer: PeerIdText, kind: RouteKind): Promise<void> {
    while (this.book.state(peer)?.inUse !== kind) await new Promise((resolve) => setImmediate(resolve))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.book.close()
    await Promise.all([this.alpha, this.beta].map((one) => Promise.all([one.door.close(), one.ingress.close()])))
    await this.fed[Symbol.asyncDispose]()
  }
}

/** Everything that an upgraded connection says, until it has said so much. */
export async function readBytes(socket: Socket, bytes: number): Promise<string> {
  let text = ''
  while (text.length < bytes) {
    const chunk: unknown = socket.read()
    if (chunk === null) await Promise.race([once(socket, 'readable'), once(socket, 'close')])
    else text += String(chunk)
    if (socket.destroyed) break
  }
  return text
}
