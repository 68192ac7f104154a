import { chmod, mkdir, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { createAdminServer, createSocketServer } from '../console/http-api.ts'
import { createMetrics } from '../console/metrics.ts'
import { systemClock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { ServiceName } from '../core/ids.ts'
import { prefixed } from '../core/key-value.ts'
import type { Logger } from '../core/log.ts'
import { systemRandom } from '../core/random.ts'
import { Director } from '../handover/director.ts'
import { FailureDetector } from '../handover/failure-detector.ts'
import { Holdings } from '../handover/holdings.ts'
import { OwnershipTable } from '../handover/ownership-table.ts'
import { openAccounts } from '../membership/accounts.ts'
import { isLoopbackHost } from '../membership/addresses.ts'
import { AuditLog } from '../membership/audit.ts'
import { CONSOLE_LIMITS } from '../membership/console-access.ts'
import { ControlServer } from '../membership/control-server.ts'
import { serveMembership } from '../membership/membership-server.ts'
import { MemberRegistry } from '../membership/registry.ts'
import { startHost } from '../network/libp2p-host.ts'
import { FrontDoor } from '../routing/front-door.ts'
import type { ServiceRoute } from '../routing/neighbours.ts'
import { controlStore } from '../store/control-store.ts'
import { openLevel } from '../store/level.ts'
import { openRepository } from '../store/main-repository.ts'
import { nodeDisk } from '../store/node-disk.ts'
import { levelIndex } from '../store/open-repository.ts'
import { openDataFolder } from '../store/state-folder.ts'
import { ThreadedCutting } from '../sync/cutting.ts'
import { Provisional } from '../sync/provisional.ts'
import { RepositoryService } from '../sync/repository-service.ts'
import { HTTP_PROTOCOL } from '../wire/http.ts'
import { announced, byReach, reachability } from './addresses.ts'
import { Caretaker } from './caretaker.ts'
import { Changes } from './changes.ts'
import { accessOf, connectTunnel, receiptNow, repairFromInstances } from './coordinator-reach.ts'
import { type Facts, LiveCoordinatorService } from './coordinator-service.ts'
import { Drains } from './drains.ts'
import { countBuffersWithHeap } from './engine.ts'
import { Fleet } from './fleet.ts'
import { Housekeeping } from './housekeeping.ts'
import { diskSpace } from './instance-settings.ts'
import type { CoordinatorOptions, HostPort, RunningCoordinator } from './options.ts'
import { RouteTable } from './route-table.ts'
import { Shutdown } from './shutdown.ts'
import { VERSION } from './version.ts'

export const HEARTBEAT_MS = 500
/** Members get this long to come back after a restart of the coordinator, and at least as long as a lease. */
/** Of the main repository's disk: new blocks leave it free for heads, seals and what it takes to recover. */
const RESERVE_BYTES = 64 * 1024 * 1024
/** With less than this free, uploads are no longer kept before a head names them: what homes publish comes first. */
const UPLOADS_FREE_BYTES = 4 * RESERVE_BYTES + 1024 ** 3
const START_GRACE_MS = 10_000
const SILENT_MS = 5000
const COOKIE_KEY_FILE = 'cookie.key'
/** Streams that are closing still count against the limit of a connection. */
const SPARE_STREAMS = 64

const SERVICES: readonly ServiceRoute[] = [
  { name: 'files' as ServiceName, route: { kind: 'path', prefix: '' }, scope: 'user' }
]

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

  const folder = await openDataFolder(options.data, { kind: 'coordinator', pid: options.pid })
  shutdown.later('the data folder', () => folder.release())
  const { identity } = folder
  const level = await openLevel(join(folder.path, 'state'))
  shutdown.later('the state', () => level.close())
  const store = controlStore(prefixed(level, 'control/'))
  await mkdir(join(folder.path, 'repository'), { recursive: true, mode: 0o700 })
  const repository = await openRepository({
    disk: nodeDisk(folder.path),
    index: levelIndex(join(folder.path, 'repository', 'index')),
    log,
    clock,
    random,
    reserveBytes: RESERVE_BYTES
  })
  shutdown.later('the main repository', () => repository.close())

  const audit = await AuditLog.open({ store, clock })
  const registry = await MemberRegistry.open({ store, identity, clock, random, audit: audit.append, log })
  const accounts = await openAccounts({ store, clock, random, audit: audit.append })
  await accounts.admins.ensureFirst()
  const table = await OwnershipTable.open(store, identity)
  const holdings = new Holdings()
  const changes = new Changes()

  const fleet: Fleet = new Fleet({ registry, table, clock, control: () => control, detector: () => detector })
  const usedBytes = fleet.usedBytes.bind(fleet)
  const director = new Director(
    { repository, table, instances: fleet, holdings, usedBytes, identity, clock, random, log },
    { standbys: options.standbys }
  )
  const routes = new RouteTable({ table, director, fleet, services: SERVICES, clock, log })
  const repositoryService = new RepositoryService({
    repository,
    identity,
    clock,
    log,
    access: (peer, workspace) => accessOf(table, peer, workspace),
    ownership: (workspace) => table.get(workspace)?.signed.value ?? null,
    onHolding: (receipt) => holdings.note(receipt),
    onHead: () => changes.tell('workspaces')
  })
  const detector = new FailureDetector(
    clock,
    {
      failoverAfterMs: options.failoverAfterMs,
      restartGraceMs: options.restartGraceMs,
      leaseMustEnd: options.acknowledge === 'local',
      leaseMs: options.leaseMs
    },
    (peer) => void caretaker.takeOver(peer)
  )
  shutdown.later('the failure detector', () => detector.close())
  const drains = new Drains({
    director,
    table,
    instances: fleet,
    fleet,
    holdings,
    repository: { receiptFor: (head) => repositoryService.receiptFor(head), head: (cid) => repository.head(cid) },
    usedBytes,
    idle: routes.idle.bind(routes),
    isBusy: routes.isBusy.bind(routes),
    control: () => control,
    identity,
    store,
    folder,
    changes,
    audit: audit.append,
    clock,
    log
  })
  await drains.load()

  const caretaker = new Caretaker({
    registry,
    table,
    director,
    fleet,
    drains,
    detector,
    changes,
    audit: audit.append,
    clock,
    log,
    standbys: options.standbys,
    isStopping: () => shutdown.begun,
    control: () => control,
    network: () => host,
    frontDoor: () => frontDoor
  })
  const control: ControlServer = new ControlServer(
    {
      clock,
      log,
      welcome: (peer) => ({
        federation,
        name: registry.get(peer)?.name ?? '',
        leaseMs: options.leaseMs,
        heartbeatMs: HEARTBEAT_MS,
        acknowledge: options.acknowledge,
        clockMs: clock.wall(),
        certificate: registry.standingOf(peer).certificate,
        memberList: registry.memberList()
      }),
      events: caretaker
    },
    { leaseMs: options.leaseMs, silentMs: Math.min(SILENT_MS, Math.max(3 * HEARTBEAT_MS, options.failoverAfterMs)) }
  )

  const host = await startHost({ identity, gate: registry, clock, log }, { listen: options.listen })
  shutdown.later('the network', () => host.close())
  registry.onChange(({ member }) => caretaker.decided(member))
  const homes = new Set([...table.all()].map(({ signed }) => signed.value.home))
  for (const { peerId, state } of registry.members()) {
    // One that is no member any more does not come back, and what it was home of must go elsewhere.
    if (state !== 'approved' && !homes.has(peerId)) continue
    detector.awaited(peerId, Math.max(START_GRACE_MS, options.leaseMs))
  }

  const freeBytes = async (): Promise<number> => (await diskSpace(folder.path)).freeBytes
  const cutting = new ThreadedCutting()
  shutdown.later('the thread that cuts uploads', () => cutting.close())
  const uploads = new Provisional({
    cutting,
    keep: (workspace, blocks) => repository.keep(workspace, blocks),
    hasRoom: async () => (await freeBytes()) >= UPLOADS_FREE_BYTES,
    log
  })
  const housekeeping = await Housekeeping.open(
    {
      repository,
      repair: (signal) => repairFromInstances({ repository, table, fleet, host, control, clock, log }, signal),
      freeBytes,
      uploadedBytes: () => uploads.keptBytes,
      store,
      clock,
      random,
      log
    },
    { retention: options.retention, scrubDays: options.scrubDays }
  )
  housekeeping.start()
  shutdown.later('the housekeeping', () => housekeeping.close())

  const frontDoor = new FrontDoor(
    {
      workspaces: routes,
      users: {
        byToken: async (token) => accounts.users.byToken(token),
        isBlocked: (user) => accounts.users.isBlocked(user)
      },
      tunnel: { connect: (home) => connectTunnel(host, control, home) },
      uploads,
      cookieKeys: { current: await cookieKey(folder, random), previous: [] },
      wellKnown: () => ({
        federation,
        peerId: identity.peerId,
        addresses: facts().addresses,
        services: SERVICES.map(({ name }) => name),
        terms: options.terms ?? '',
        version: VERSION
      }),
      clock,
      random,
      log
    },
    {
      anonymous: options.anonymous ?? true,
      holdMs: options.holdMs,
      secure: options.webAddress?.startsWith('https:') === true,
      trustProxy: options.trustProxy,
      maxStreamsPerHome: HTTP_PROTOCOL.maxStreams - SPARE_STREAMS,
      federationName: federation
    }
  )
  shutdown.later('the front door', () => frontDoor.close())
  const http = url(options.http, (await frontDoor.listen(options.http.host, options.http.port)).port)
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
    facts,
    registry,
    accounts,
    audit,
    table,
    director,
    holdings,
    fleet,
    drains,
    routes,
    repository,
    housekeeping,
    receiptFor: (head) => receiptNow(repositoryService, head),
    services: SERVICES,
    changes,
    control: () => control,
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
  await listenOnSocket(socket, join(folder.path, 'control.sock'))

  // Members are served last: everything that answers them stands.
  await serveMembership(host, {
    registry,
    describe: () => ({
      name: federation,
      terms: options.terms ?? '',
      services: SERVICES.map(({ name }) => name),
      version: VERSION
    }),
    clock,
    log
  })
  await repositoryService.register(host)
  await control.register(host)

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

async function cookieKey(
  folder: Awaited<ReturnType<typeof openDataFolder>>,
  random: ReturnType<typeof systemRandom>
): Promise<Uint8Array> {
  const kept = await folder.read(COOKIE_KEY_FILE)
  if (kept !== null) return kept
  const key = random.bytes(32)
  await folder.writeAtomic(COOKIE_KEY_FILE, key)
  return key
}

async function listenOnSocket(socket: ReturnType<typeof createSocketServer>, path: string): Promise<void> {
  await rm(path, { force: true })
  await socket.listen({ path })
  await chmod(path, 0o600)
}

function url({ host }: HostPort, port: number): string {
  const name = host === '0.0.0.0' || host === '::' ? hostname() : host
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`
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
