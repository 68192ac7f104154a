import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { createAdminServer, createSocketServer } from '../console/http-api.ts'
import { createMetrics } from '../console/metrics.ts'
import { systemClock } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import { systemRandom } from '../core/random.ts'
import { isLoopbackHost } from '../membership/addresses.ts'
import { CONSOLE_LIMITS } from '../membership/console-access.ts'
import type { WellKnown } from '../membership/discover.ts'
import { startKad } from '../network/kad.ts'
import { startHost, type WebHost } from '../network/libp2p-host.ts'
import { CONNECT_PATH } from '../network/websocket-address.ts'
import { FrontDoor } from '../routing/front-door.ts'
import { filesPages } from '../routing/own/files-pages.ts'
import { ownPages } from '../routing/own/own-pages.ts'
import { dialIngress } from '../routing/routes/dial.ts'
import { openLevel } from '../store/level.ts'
import { nodeDisk } from '../store/node-disk.ts'
import { levelIndex } from '../store/open-repository.ts'
import { openDataFolder } from '../store/state-folder.ts'
import { ThreadedCutting } from '../sync/cutting.ts'
import { Provisional } from '../sync/provisional.ts'
import { HTTP_PROTOCOL } from '../wire/http.ts'
import { announced, byReach, reachability } from './addresses.ts'
import { LiveBelongings } from './belongings-book.ts'
import { RESERVE_BYTES } from './books.ts'
import { listenInFolder } from './control-socket.ts'
import { CookieKeyRing } from './cookie-keys.ts'
import { openCoordinatorCore } from './coordinator-core.ts'
import { serveRelays } from './coordinator-doors.ts'
import { connectTunnel, receiptNow } from './coordinator-reach.ts'
import { type Facts, LiveCoordinatorService } from './coordinator-service.ts'
import { countBuffersWithHeap } from './engine.ts'
import { endTrust, isFormerDoor } from './former-doors.ts'
import { diskSpace } from './instance-settings.ts'
import type { CoordinatorOptions, HostPort, RunningCoordinator } from './options.ts'
import { Shutdown } from './shutdown.ts'
import { openSignInPages } from './sign-in.ts'
import { readTls, TlsWatch } from './tls-certificate.ts'
import { VERSION } from './version.ts'

/** With less than this free, uploads are no longer kept before a head names them: what homes publish comes first. */
const UPLOADS_FREE_BYTES = 4 * RESERVE_BYTES + 1024 ** 3
/** Streams that are closing still count against the limit of a connection. */
const SPARE_STREAMS = 64

/**
 * Starts a coordinator. Everything listens on return.
 *
 * @throws NodeDaemonError what keeps it from starting; nothing is left running
 */
export async function runCoordinator(
  options: CoordinatorOptions,
  deps: { readonly log: Logger; readonly signal: AbortSignal }
): Promise<RunningCoordinator> {
  checkAnonymous(options)
  const shutdown = new Shutdown(deps.log)
  try {
    return await compose(options, deps.log, shutdown)
  } catch (error) {
    await shutdown.run()
    throw error
  }
}

function checkAnonymous({ anonymous, http }: CoordinatorOptions): void {
  if (anonymous !== null || isLoopbackHost(http.host)) return
  throw new NodeDaemonError(
    'BAD_CONFIG',
    `the front door on ${http.host} can be reached by others: may people without a token save things?`,
    {
      advice: 'say --anonymous yes or --anonymous no'
    }
  )
}

async function compose(options: CoordinatorOptions, log: Logger, shutdown: Shutdown): Promise<RunningCoordinator> {
  countBuffersWithHeap()
  const clock = systemClock()
  const random = systemRandom()
  const startedAtMs = clock.wall()
  const federation = options.name ?? hostname()
  const tls = options.tls === null ? null : await readTls(options.tls)

  if (options.recover !== null) checkRecoverable(options.data)
  const folder = await openDataFolder(options.data, { kind: 'coordinator', pid: options.pid })
  shutdown.later('the data folder', () => folder.release())
  const { identity } = folder
  const level = await openLevel(join(folder.path, 'state'))
  shutdown.later('the state', () => level.close())
  await mkdir(join(folder.path, 'repository'), { recursive: true, mode: 0o700 })
  const freeBytes = async (): Promise<number> => (await diskSpace(folder.path)).freeBytes
  const entrance = { url: '' }
  const wellKnown = (): WellKnown => ({
    federation,
    peerId: identity.peerId,
    addresses: facts().addresses,
    services: services.list().map(({ name }) => name),
    terms: options.terms ?? '',
    version: VERSION,
    connect: CONNECT_PATH
  })
  let network: WebHost
  const core = await openCoordinatorCore(
    { ...options, federation },
    {
      folder,
      state: level,
      disk: nodeDisk(folder.path),
      index: levelIndex(join(folder.path, 'repository', 'index')),
      startHost: async (gate) => {
        network = await startHost({ identity, gate, clock, log }, { listen: options.listen })
        return network
      },
      openProviders: (host, neighbours, reach) => startKad({ host, identity, neighbours, reach, clock, log }),
      freeBytes,
      uploadedBytes: () => uploads.keptBytes,
      dropHome: (home) => frontDoor.dropHome(home),
      hasSockets: (workspace) => frontDoor.hasSockets(workspace),
      doorRules: () => ({
        federation,
        anonymous: about.anonymous,
        secure: about.secure,
        holdMs: options.holdMs,
        userHeader: options.trustUserHeader ?? '',
        rates: options.rates,
        cookieKeys,
        facts: JSON.stringify(wellKnown())
      }),
      dialIngress: (peer, url) => dialIngress({ clock, random }, peer, url),
      frontDoor: () => (options.webAddress === null ? entrance.url : new URL(options.webAddress).origin),
      clock,
      random,
      log
    },
    shutdown
  )
  const { repository, accounts, groups, services, routes, control, host } = core
  await services.declare(options.services, 'config')
  const cutting = new ThreadedCutting()
  shutdown.later('the thread that cuts uploads', () => cutting.close())
  const uploads: Provisional = new Provisional({
    cutting,
    keep: (workspace, blocks) => repository.keep(workspace, blocks),
    hasRoom: async () => (await freeBytes()) >= UPLOADS_FREE_BYTES,
    log
  })

  const cookieKeys = await CookieKeyRing.open({ folder, clock, random, log })
  shutdown.later('the cookie keys', () => cookieKeys.close())
  cookieKeys.onChange(() => core.doorSessions.rulesChanged())
  core.registry.onChange((change) => {
    if (!isFormerDoor(change)) return
    endTrust(cookieKeys, accounts.sessions).catch((error: unknown) =>
      log.error({ error: messageOf(error) }, 'a former front door has cookie keys that count: restart the coordinator')
    )
  })
  const about = {
    anonymous: options.anonymous ?? true,
    secure: tls !== null || options.webAddress?.startsWith('https:') === true,
    federationName: federation
  }
  const signIn = await openSignInPages(options, about, { core, keys: cookieKeys, clock, random, log })
  const frontDoor: FrontDoor = new FrontDoor(
    {
      workspaces: routes,
      users: {
        byToken: async (token) => accounts.users.byToken(token),
        bySession: (id) => accounts.sessions.find(id),
        bySignOn: (name) => accounts.users.bySignOn(name),
        isBlocked: (user) => accounts.users.isBlocked(user)
      },
      groups,
      routes: core.routeBook,
      tunnel: { connect: (home) => core.routeBook.connect(home, () => connectTunnel(host, control, home)) },
      uploads,
      cookieKeys,
      wellKnown,
      ownPages: ownPages({ ...signIn, ...filesPages({ belongings: new LiveBelongings(core, clock), log }, about) }),
      connect: (request, { socket, head }) => network.acceptWebSocket(request, socket, head),
      clock,
      random,
      log
    },
    {
      ...about,
      holdMs: options.holdMs,
      ...(tls !== null && { tls }),
      trustProxy: options.trustProxy,
      rates: options.rates,
      ...(options.trustUserHeader !== null && { trustUserHeader: options.trustUserHeader }),
      maxStreamsPerHome: HTTP_PROTOCOL.maxStreams - SPARE_STREAMS
    }
  )
  shutdown.later('the front door', () => frontDoor.close())
  if (options.tls !== null && tls !== null) {
    const watch = new TlsWatch(options.tls, tls, { clock, log }, (pair) => frontDoor.useCertificate(pair))
    watch.start()
    shutdown.later('the watch over the certificate', () => watch.stop())
  }
  const { port } = await frontDoor.listen(options.http.host, options.http.port)
  const http = url(options.http, port, tls === null ? 'http' : 'https')
  entrance.url = http
  shutdown.later('members by WebSocket', async () => network.closeWebSockets())
  const admin = { value: '' }
  const addresses = byReach(announced(host.addresses(), options.announce, identity.peerId))
  const facts = (): Facts => ({
    name: federation,
    peerId: identity.peerId,
    addresses,
    http,
    admin: admin.value,
    version: VERSION,
    startedAtMs,
    dataFolder: folder.path,
    inviteTo: inviteTo(options, http, addresses)
  })
  const closed = Promise.withResolvers<void>()
  const stop = async (): Promise<void> => {
    await shutdown.run()
    closed.resolve()
  }
  const service = new LiveCoordinatorService({
    ...core,
    facts,
    receiptFor: (head) => receiptNow(core.repositoryService, head),
    control: () => control,
    standbys: options.standbys,
    clock,
    stop: () => void clock.after(100, () => void stop())
  })
  const adminServer = createAdminServer(
    { service, accounts: accounts.console, metrics: createMetrics(service), clock, log },
    { hosts: options.announce === null ? [] : [options.announce], secure: false }
  )
  shutdown.later('the admin listener', () => adminServer.close())
  admin.value = url(options.admin, await adminServer.listen(options.admin))
  const socket = createSocketServer({ service, clock, log })
  shutdown.later('the control socket', () => socket.close())
  await listenInFolder(socket, folder.path)

  await serveRelays(core, { accept: (stream) => frontDoor.accept(stream), self: identity.peerId })

  // Members are served last: everything that answers them stands.
  await core.serve()

  const ready = { peerId: identity.peerId, addresses, http, admin: admin.value, data: folder.path }
  await folder.writeAtomic(
    'runtime.json',
    `${JSON.stringify({ pid: options.pid, version: VERSION, ...ready }, null, 2)}\n`
  )
  shutdown.later('runtime.json', () => folder.remove('runtime.json'))
  const first = accounts.admins.first()
  const link = first === null ? null : accounts.console.createLink(first.name, CONSOLE_LIMITS.firstLinkMs)
  return {
    ready,
    consoleLink: link === null ? admin.value : `${admin.value}/#link=${link.secret}`,
    federation,
    reachability: reachability(addresses),
    joinLine: `node-daemon join ${joinTarget(options, http, addresses)}`,
    closed: closed.promise,
    stop
  }
}

/** Members know a coordinator by its key alone. */
function checkRecoverable(data: string): void {
  if (existsSync(join(data, 'identity.key'))) return
  throw new NodeDaemonError(
    'DATA_FOLDER_UNUSABLE',
    `there is no identity.key in ${data}: nothing can be recovered without it`,
    {
      advice:
        'put identity.key back from a backup; with another key this would be another coordinator, which every instance refuses'
    }
  )
}

function url({ host }: HostPort, port: number, scheme: 'http' | 'https' = 'http'): string {
  const name = host === '0.0.0.0' || host === '::' ? hostname() : host
  return `${scheme}://${name.includes(':') ? `[${name}]` : name}:${port}`
}

function inviteTo(options: CoordinatorOptions, http: string, addresses: readonly string[]): Facts['inviteTo'] {
  if (options.webAddress !== null) return { web: options.webAddress }
  const [address] = addresses
  return address === undefined ? { web: http } : { address }
}

/** The public web address where one was given; else the address that reaches furthest. */
function joinTarget(options: CoordinatorOptions, http: string, addresses: readonly string[]): string {
  if (options.webAddress !== null) return options.webAddress
  return addresses[0] ?? http
}
