import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { createFrontDoorSocketServer } from '../console/http-api.ts'
import { systemClock } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import { prefixed } from '../core/key-value.ts'
import { systemRandom } from '../core/random.ts'
import { discover } from '../membership/discover.ts'
import { parseTarget } from '../membership/target.ts'
import type { Link } from '../network/host.ts'
import { startHost } from '../network/libp2p-host.ts'
import { checkFree } from '../routing/door-server.ts'
import { DoorClient } from '../routing/doors/door-client.ts'
import { passedOwnPages, passUpgrade } from '../routing/doors/pass-own.ts'
import { openRelay } from '../routing/doors/relay.ts'
import { RemoteDoor } from '../routing/doors/remote-door.ts'
import { FrontDoor, type FrontDoorDeps } from '../routing/front-door.ts'
import type { Certificate } from '../routing/neighbours.ts'
import { openLevel } from '../store/level.ts'
import { openDataFolder } from '../store/state-folder.ts'
import type { DoorRules } from '../wire/front-door.ts'
import { HTTP_PROTOCOL } from '../wire/http.ts'
import { announced } from './addresses.ts'
import { listenInFolder } from './control-socket.ts'
import type { FrontDoorProcessDeps, FrontDoorProcessOptions, RunningFrontDoor } from './front-door-options.ts'
import { FrontDoorStatus } from './front-door-status.ts'
import { joinFederation } from './joining.ts'
import { KnownMembers } from './known-members.ts'
import type { HostPort } from './options.ts'
import { type Pin, writePin } from './pin.ts'
import { Shutdown } from './shutdown.ts'
import { readTls, TlsWatch } from './tls-certificate.ts'
import { Trusted } from './trusted.ts'
import { VERSION } from './version.ts'
import { toldAddresses } from './vicinity.ts'

/** Streams that are closing still count against the limit of a connection. */
const SPARE_STREAMS = 64
/** Between two attempts to find a coordinator that is out of reach at another address. */
const FIND_EVERY_MS = 5000
/** This process holds none of the keys of tickets. */
const THROUGH_THE_TUNNEL = { redirectFor: () => null, ticketOn: () => null }
const NO_UPLOADS = { tap: () => ({ write: () => undefined, end: () => undefined }) }

/**
 * Starts a front door as a process of its own: it joins, waits for approval, and lets users in once it knows where all
 * workspaces are served. On return its folder is held; how it ends is told by `finished`.
 *
 * @throws NodeDaemonError what keeps it from starting; nothing is left running
 */
export async function runFrontDoor(
  options: FrontDoorProcessOptions,
  deps: FrontDoorProcessDeps
): Promise<RunningFrontDoor> {
  const shutdown = new Shutdown(deps.log)
  try {
    return await compose(options, deps, shutdown)
  } catch (error) {
    await shutdown.run()
    throw error
  }
}

async function compose(
  options: FrontDoorProcessOptions,
  deps: FrontDoorProcessDeps,
  shutdown: Shutdown
): Promise<RunningFrontDoor> {
  const { log } = deps
  const clock = systemClock()
  const random = systemRandom()
  const stopping = new AbortController()
  const { signal } = stopping
  const tls = options.tls === null ? null : await readTls(options.tls)
  await checkFree(options.http.host, options.http.port)
  const folder = await openDataFolder(options.data, { kind: 'front-door', pid: options.pid })
  shutdown.later('the data folder', () => folder.release())
  const level = await openLevel(join(folder.path, 'state'))
  shutdown.later('the state', () => level.close())
  const state = prefixed(level, 'front-door/')
  const trusted = new Trusted()
  const host = await startHost({ identity: folder.identity, gate: trusted, clock, log }, { listen: options.listen })
  shutdown.later('the network', () => host.close())

  const name = options.name ?? hostname()
  const self = { name, peerId: host.peerId, dataFolder: folder.path, pid: options.pid, version: VERSION }
  const status = new FrontDoorStatus({ clock, stop: () => void stop() }, self)
  const socket = createFrontDoorSocketServer({ service: status, clock, log })
  shutdown.later('the control socket', () => socket.close())
  await listenInFolder(socket, folder.path)
  const report: FrontDoorProcessDeps['report'] = (event) => {
    status.note(event)
    deps.report(event)
  }

  const serve = async (): Promise<void> => {
    const offer = {
      name,
      contact: options.contact,
      site: '',
      message: 'a front door',
      labels: {},
      capacityBytes: 0,
      services: [],
      version: VERSION,
      role: 'front-door' as const
    }
    const joining = { ...deps, report, host, state, clock, random, signal }
    const joined = await joinFederation(joining, options, offer)
    let { pin } = joined
    trusted.pinned(pin.peer)
    report({ event: 'approved', name: joined.standing.name })
    const members = await KnownMembers.open(state, pin.peer)
    trusted.listed(members.peers(), members.doors())
    const noteMembers = async (list: Uint8Array): Promise<void> => {
      if (!(await members.note(list))) return
      for (const peer of trusted.listed(members.peers(), members.doors())) host.cut(peer, 'it is no member any more')
    }
    await noteMembers(joined.standing.memberList?.bytes ?? new Uint8Array(0))
    if (!members.doors().includes(host.peerId)) throw notADoor()

    let data: Link | null = null
    const relay = async (target: PeerIdText): Promise<Duplex> => {
      if (data === null) throw new NodeDaemonError('BUSY', 'the coordinator of this federation does not answer now')
      return openRelay(data, target)
    }
    const toInstance = async (home: PeerIdText): Promise<Duplex> => {
      const link = host.links(home).at(-1)
      if (link === undefined) return relay(home)
      return link.openBytes(HTTP_PROTOCOL).catch(() => relay(home))
    }
    let failed: (error: unknown) => void = () => undefined
    const failure = new Promise<never>((_resolve, reject) => {
      failed = reject
    })
    failure.catch(() => undefined)
    const doors = new Openings((rules) => open(rules), failed)
    shutdown.later('the front door', () => doors.close())
    const remote: RemoteDoor = new RemoteDoor({
      client: () => client,
      onMembers: (list) =>
        void noteMembers(list).catch((error: unknown) =>
          log.error({ error: messageOf(error) }, 'a member list was refused')
        ),
      onRules: (rules) => doors.follow(rules),
      clock,
      log
    })
    const open = async (rules: () => DoorRules): Promise<FrontDoor> => {
      const own = (): Promise<Duplex> => relay(pin.peer)
      const door = buildDoor({ options, tls, remote, toInstance, own, rules, clock, random, log })
      const { port } = await door.listen(options.http.host, options.http.port)
      remote.opened(door)
      const http = webAddress(options.http, port, tls !== null)
      const addresses = ownAddresses()
      const ready = { name: joined.standing.name, peerId: host.peerId, http, addresses, data: folder.path }
      const runtime = { pid: options.pid, version: VERSION, ...ready }
      await folder.writeAtomic('runtime.json', `${JSON.stringify(runtime, null, 2)}\n`)
      report({ event: 'ready', ...ready })
      return door
    }
    if (options.tls !== null && tls !== null) {
      const watch = new TlsWatch(options.tls, tls, { clock, log }, (pair) => doors.current?.useCertificate(pair))
      watch.start()
      shutdown.later('the watch over the certificate', () => watch.stop())
    }
    shutdown.later('runtime.json', () => folder.remove('runtime.json'))
    const ownAddresses = (): string[] => toldAddresses(announced(host.addresses(), options.announce, host.peerId))
    let findAgainAt = 0
    const findAnew = async (): Promise<void> => {
      if (clock.now() < findAgainAt) return
      findAgainAt = clock.now() + FIND_EVERY_MS
      const found = await discover({ fetch, clock }, parseTarget(pin.typed), signal)
      if (found.peerId !== pin.peer) return
      pin = await movedTo(pin, found.addresses, (next) => writePin(state, next))
    }
    const client: DoorClient = new DoorClient({
      host,
      coordinator: pin.peer,
      addresses: () => pin.addresses,
      own: ownAddresses,
      version: VERSION,
      handlers: {
        async connected(connection) {
          data = connection.data
          status.connected()
          await noteMembers(connection.welcome.memberList)
          await members.noteCertificate(connection.welcome.certificate)
          remote.routes.begin()
        },
        disconnected(reason) {
          data = null
          report({ event: 'unreachable', reason })
          findAnew().catch((error: unknown) =>
            log.debug({ error: messageOf(error) }, 'the coordinator was not found anew')
          )
        },
        told: (news) => remote.told(news),
        activity: () => remote.activity(),
        leased: (askedAt, leaseMs) => remote.routes.leased(askedAt + leaseMs)
      },
      clock,
      random,
      log
    })
    await Promise.race([client.run(signal), failure])
  }

  const stop = async (): Promise<void> => {
    stopping.abort(new NodeDaemonError('ABORTED', 'stopping'))
    await shutdown.run()
  }
  const finished = serve().catch(async (error: unknown) => {
    const wanted = signal.aborted
    await stop()
    if (!wanted) throw error
  })
  finished.catch(() => undefined)
  return { finished, stop }
}

interface DoorParts extends Pick<FrontDoorDeps, 'clock' | 'random' | 'log'> {
  readonly options: FrontDoorProcessOptions
  readonly tls: Certificate | null
  readonly remote: RemoteDoor
  readonly toInstance: (home: PeerIdText) => Promise<Duplex>
  /** A stream to the coordinator's own front door. */
  readonly own: () => Promise<Duplex>
  readonly rules: () => DoorRules
}

/** The front door of this process, by the rules of now. Keys and facts are looked up whenever they are needed. */
function buildDoor({ options, tls, remote, toInstance, own, rules, ...rest }: DoorParts): FrontDoor {
  const { anonymous, holdMs, secure, federation, userHeader, rates } = rules()
  const toOwn = { open: own, userHeader: () => rules().userHeader.toLowerCase() || null }
  return new FrontDoor(
    {
      ...rest,
      workspaces: remote.routes,
      users: remote.users,
      groups: remote.groups,
      routes: THROUGH_THE_TUNNEL,
      tunnel: { connect: toInstance },
      uploads: NO_UPLOADS,
      cookieKeys: {
        get current() {
          return rules().cookieKeys.current
        },
        get previous() {
          return rules().cookieKeys.previous
        }
      },
      wellKnown: () => JSON.parse(rules().facts) as object,
      ownPages: passedOwnPages(toOwn),
      connect: (request, upgrade, client) => void passUpgrade(toOwn, request, upgrade, client)
    },
    {
      anonymous,
      holdMs,
      secure,
      ...(tls !== null && { tls }),
      trustProxy: options.trustProxy,
      rates,
      maxStreamsPerHome: HTTP_PROTOCOL.maxStreams - SPARE_STREAMS,
      federationName: federation,
      ...(userHeader !== '' && { trustUserHeader: userHeader })
    }
  )
}

/** The front door by the rules of the day: others than before, but for keys and facts, need another one in its place. */
class Openings {
  readonly #open: (rules: () => DoorRules) => Promise<FrontDoor>
  readonly #failed: (error: unknown) => void
  #rules: DoorRules | null = null
  #followed = ''
  #work: Promise<void> = Promise.resolve()
  current: FrontDoor | null = null

  constructor(open: (rules: () => DoorRules) => Promise<FrontDoor>, failed: (error: unknown) => void) {
    this.#open = open
    this.#failed = failed
  }

  follow(rules: DoorRules): void {
    const { cookieKeys: _keys, facts: _facts, ...fixed } = rules
    this.#rules = rules
    const text = JSON.stringify(fixed)
    if (text === this.#followed) return
    this.#followed = text
    this.#work = this.#work.then(() => this.#replace(rules)).catch(this.#failed)
  }

  async #replace(rules: DoorRules): Promise<void> {
    await this.current?.close()
    this.current = await this.#open(() => this.#rules ?? rules)
  }

  async close(): Promise<void> {
    await this.#work
    await this.current?.close()
  }
}

async function movedTo(pin: Pin, addresses: readonly string[], keep: (pin: Pin) => Promise<void>): Promise<Pin> {
  if (JSON.stringify(addresses) === JSON.stringify(pin.addresses)) return pin
  const next = { ...pin, addresses }
  await keep(next)
  return next
}

const notADoor = (): NodeDaemonError =>
  new NodeDaemonError('REFUSED_BY_POLICY', 'this key is a member of the federation, but not as a front door', {
    advice: 'give it a folder of its own with --data, and join anew'
  })

function webAddress({ host }: HostPort, port: number, secure: boolean): string {
  const name = host === '0.0.0.0' || host === '::' ? hostname() : host
  return `${secure ? 'https' : 'http'}://${name.includes(':') ? `[${name}]` : name}:${port}`
}
