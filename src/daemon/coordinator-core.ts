import { messageOf } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import { Standstill } from '../core/standstill.ts'
import { Director } from '../handover/director.ts'
import { FailureDetector } from '../handover/failure-detector.ts'
import { Holdings } from '../handover/holdings.ts'
import { LastWords } from '../handover/last-words.ts'
import { LostHeads } from '../handover/lost-heads.ts'
import { PromotionHold } from '../handover/promotion-hold.ts'
import { Recovery } from '../handover/recovery.ts'
import { safeToPromote } from '../handover/safe-to-promote.ts'
import { Spread } from '../handover/spread.ts'
import { Tending } from '../handover/tending.ts'
import { ControlServer } from '../membership/control-server.ts'
import { serveMembership } from '../membership/membership-server.ts'
import { Reach } from '../network/reach.ts'
import type { Exchange } from '../placement/place.ts'
import type { DoorSessions } from '../routing/doors/door-sessions.ts'
import { RepositoryService } from '../sync/repository-service.ts'
import { openBooks } from './books.ts'
import { Caretaker } from './caretaker.ts'
import { Changes } from './changes.ts'
import { isInstance, openDoors } from './coordinator-doors.ts'
import type { CoordinatorCore, CoreOptions, CoreParts } from './coordinator-parts.ts'
import { accessOf, holderStreams, repairFromInstances } from './coordinator-reach.ts'
import { openDeclared } from './declared.ts'
import { LiveSights } from './drain-sights.ts'
import { Drains } from './drains.ts'
import { Fleet } from './fleet.ts'
import { Housekeeping } from './housekeeping.ts'
import { Neighbourhood } from './neighbourhood.ts'
import { Presence } from './presence.ts'
import { openRebalancer } from './rebalancing.ts'
import { openRouteBook } from './route-book.ts'
import { RouteTable } from './route-table.ts'
import type { Shutdown } from './shutdown.ts'
import { openUserLimits } from './user-limits.ts'
import { VERSION } from './version.ts'
import { welcomer } from './welcomer.ts'

const HEARTBEAT_MS = 500
/** Members get this long to come back after a restart of the coordinator, and at least as long as a lease; the same after it stood still. */
const START_GRACE_MS = 10_000
const SILENT_MS = 5000

/** Opens all of it, and has `shutdown` close it again in reverse. */
export async function openCoordinatorCore(
  options: CoreOptions,
  parts: CoreParts,
  shutdown: Shutdown
): Promise<CoordinatorCore> {
  const { folder, clock, random, log } = parts
  const { identity } = folder
  /** Front doors hear of what changes from when there can be any. */
  const late: { doors: DoorSessions | null } = { doors: null }
  const onUsers = (what: 'users' | 'sessions'): void => late.doors?.usersChanged(what)
  const { store, repository, audit, registry, accounts, table } = await openBooks(parts, { onUsers }, shutdown)
  const holdings = new Holdings()
  const changes = new Changes()

  const { services, groups } = await openDeclared({ store, clock, audit, table }, options)
  const levelOf = services.levelOf.bind(services)

  const routeBook = openRouteBook({ registry, services, groups, control: () => control, parts, clock, random, log })
  shutdown.later('the routes to instances', async () => routeBook.close())
  const fleet: Fleet = new Fleet({
    registry,
    table,
    clock,
    levelOf,
    leadsPast: routeBook.leadsPast.bind(routeBook),
    declared: services.get.bind(services),
    control: () => control,
    detector: () => detector,
    isDoorOpen: (peer) => doorSessions.isOpen(peer)
  })
  const exchanges = new Map<WorkspaceId, Exchange>()
  const usedBytes = fleet.usedBytes.bind(fleet)
  const hold = new PromotionHold()
  const ending = new AbortController()
  shutdown.later('what is fetched from instances', async () => ending.abort())
  const regaining = {
    repository,
    open: holderStreams(
      () => host,
      () => control,
      clock
    ),
    isConnected: (peer: PeerIdText) => fleet.isConnected(peer),
    signal: ending.signal,
    log
  }
  const lost = await LostHeads.open({
    ...regaining,
    store,
    isMember: (peer) => registry.standing(peer) === 'member',
    nameOf: (peer) => fleet.nameOf(peer),
    audit: audit.append
  })
  const director = new Director(
    {
      repository: safeToPromote(repository, hold, lost),
      table,
      instances: fleet,
      holdings,
      hold,
      outlivesSeal: fleet.outlivesSeal.bind(fleet),
      usedBytes,
      onTouch: (workspace) => late.doors?.touched(workspace),
      identity,
      clock,
      random,
      log
    },
    { standbys: options.standbys, exchanges }
  )
  const spread = new Spread({ director, table, instances: fleet, holdings, usedBytes, exchanges, clock, log })
  shutdown.later('the spreading of standbys', () => spread.close())
  const tending = new Tending(
    { director, table, instances: fleet, hold, usedBytes, onLooked: () => spread.look(), clock, log },
    { standbys: options.standbys }
  )
  shutdown.later('the tending of standbys', () => tending.close())
  const isInUse = (workspace: WorkspaceId): boolean => isInFlight(workspace) || isHeldOpen(workspace)
  const { quotas, removals, expiry } = await openUserLimits(
    {
      store,
      table,
      director,
      repository,
      services,
      registry,
      accounts,
      audit,
      fleet,
      holdings,
      lost,
      hold,
      changes,
      isInUse,
      clock,
      log
    },
    options,
    shutdown
  )
  const routes = new RouteTable({
    table,
    director,
    fleet,
    services,
    groups,
    users: accounts.users,
    hold,
    quotas,
    onUse: (workspace) => expiry.used(workspace),
    clock,
    log
  })
  const repositoryService = new RepositoryService({
    repository,
    identity,
    clock,
    log,
    access: (peer, workspace) => accessOf(table, peer, workspace),
    ownership: (workspace) => table.get(workspace)?.signed.value ?? null,
    lost,
    onHolding: (receipt) => holdings.note(receipt),
    onHead: ({ value }) => {
      expiry.used(value.workspace)
      changes.tell('workspaces')
    }
  })
  const { failoverAfterMs, restartGraceMs, leaseMs } = options
  const standstill = new Standstill(clock)
  shutdown.later('the watch over standstills', async () => standstill[Symbol.dispose]())
  const detector = new FailureDetector(
    { clock, standstill },
    { failoverAfterMs, restartGraceMs, leaseMs, backMs: START_GRACE_MS },
    { dead: (peer, cause) => caretaker.dead(peer, cause), leaseOver: (peer) => caretaker.leaseOver(peer) }
  )
  shutdown.later('the failure detector', () => detector.close())
  const known = { registry, table, fleet, routes, accounts, groups, services }
  const { doors, sessions: doorSessions } = openDoors(
    { ...known, director, hold, neighbourhood: () => neighbourhood, changes, standstill },
    parts
  )
  late.doors = doorSessions
  shutdown.later('the front doors', async () => doorSessions.close())
  const isInFlight = doors.isBusy.bind(doors)
  const isHeldOpen = doors.isHeldOpen.bind(doors)
  const sights = new LiveSights({ fleet, table, registry, detector, clock, isInFlight, isHeldOpen })
  const drains = new Drains({
    director,
    table,
    instances: fleet,
    fleet,
    holdings,
    repository: { receiptFor: (head) => repositoryService.receiptFor(head), head: (cid) => repository.head(cid) },
    sights,
    idle: doors.idle.bind(doors),
    breakOff: doors.breakOff.bind(doors),
    control: () => control,
    identity,
    store,
    folder,
    changes,
    audit: audit.append,
    hold,
    clock,
    log
  })
  shutdown.later('the planned drains', () => drains.close())
  await drains.load()
  hold.onChange(() => {
    if (hold.holds('old-backup')) drains.forgetFormer('this coordinator was put back to an earlier state')
  })

  const zoneOf = fleet.zoneOf.bind(fleet)
  const neighbourhood = new Neighbourhood({ control: () => control, zoneOf, clock })
  shutdown.later('the neighbourhood', async () => neighbourhood.close())
  const silentMs = Math.min(SILENT_MS, Math.max(3 * HEARTBEAT_MS, failoverAfterMs))
  const presence = new Presence(
    {
      registry,
      table,
      fleet,
      detector,
      lastWords: await LastWords.open({ store, log }),
      hold,
      control: () => control,
      changes,
      audit: audit.append,
      clock,
      log
    },
    { failoverAfterMs, leaseMs, silentMs, heartbeatMs: HEARTBEAT_MS }
  )
  shutdown.later('the brake', async () => presence[Symbol.dispose]())
  const caretaker = new Caretaker({
    registry,
    table,
    director,
    fleet,
    drains,
    recovery: () => recovery,
    removals,
    sights,
    detector,
    spread,
    tending,
    neighbourhood,
    routeBook,
    presence,
    hold,
    changes,
    clock,
    log,
    idle: doors.idle.bind(doors),
    isStopping: () => shutdown.begun,
    control: () => control,
    network: () => host,
    dropHome: doors.dropHome.bind(doors),
    doors: doorSessions
  })
  const control: ControlServer = new ControlServer(
    {
      clock,
      log,
      mayServe: (peer) => isInstance(registry, peer),
      welcome: welcomer({ registry, services, clock }, { ...options, heartbeatMs: HEARTBEAT_MS }),
      events: caretaker,
      standstill
    },
    { leaseMs, silentMs }
  )

  const recovery: Recovery = await Recovery.open(
    {
      ...regaining,
      store,
      table,
      registry,
      lost,
      hold,
      identity,
      sessions: () => control.sessions(),
      onEnded: (adopted) => {
        caretaker.recovered(adopted).catch((error: unknown) => {
          log.error({ error: messageOf(error) }, 'not every instance was told what the recovery found')
        })
      },
      audit: audit.append,
      clock
    },
    options.recover ?? null
  )
  services.onChange(() => {
    for (const session of control.sessions()) session.tellServices(services.levels())
    caretaker.redeclared()
  })

  const host = await parts.startHost(registry)
  shutdown.later('the network', () => host.close())
  // It asks and answers over the connections that instances have made.
  const reach = new Reach({ host, neighbours: neighbourhood.neighbours, dials: () => false, clock })
  const providers = await parts.openProviders(host, neighbourhood.neighbours, reach)
  shutdown.later('the DHT', () => providers.close())
  registry.onChange(({ member }) => caretaker.decided(member))
  presence.begin(Math.max(START_GRACE_MS, leaseMs))

  const housekeeping = await Housekeeping.open(
    {
      repository,
      repair: (signal) => repairFromInstances({ repository, table, fleet, host, control, clock, log }, signal),
      freeBytes: parts.freeBytes,
      uploadedBytes: parts.uploadedBytes,
      store,
      clock,
      random,
      log
    },
    { retention: options.retention, scrubDays: options.scrubDays }
  )
  housekeeping.start()
  expiry.start()
  shutdown.later('the housekeeping', () => housekeeping.close())

  const rebalancer = openRebalancer({
    registry,
    table,
    director,
    holdings,
    fleet,
    detector,
    hold,
    doors,
    sights,
    changes,
    audit: audit.append,
    clock,
    log
  })
  if (options.rebalance) rebalancer.watch()
  shutdown.later('the rebalancer', () => rebalancer.close())

  const serve = async (): Promise<void> => {
    const describe = (): ReturnType<Parameters<typeof serveMembership>[1]['describe']> => ({
      name: options.federation,
      terms: options.terms ?? '',
      services: services.list().map(({ name }) => name),
      version: VERSION
    })
    const present = recovery.presented.bind(recovery)
    await serveMembership(host, { registry, describe, present, clock, log })
    await repositoryService.register(host)
    await control.register(host)
    await doorSessions.register(host)
    drains.goOn()
    removals.resume()
  }
  return {
    store,
    repository,
    repositoryService,
    audit,
    registry,
    accounts,
    groups,
    table,
    holdings,
    services,
    quotas,
    removals,
    expiry,
    changes,
    fleet,
    director,
    hold,
    routes,
    doors,
    doorSessions,
    routeBook,
    drains,
    recovery,
    lost,
    control,
    host,
    housekeeping,
    rebalancer,
    serve
  }
}
