import { AtWork } from '../apps/at-work.ts'
import { messageOf } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import { prefixed } from '../core/key-value.ts'
import { Later } from '../core/later.ts'
import { rescanRegularly } from '../handover/rescan.ts'
import { type Admission, Resident } from '../handover/resident.ts'
import { type Connection, ControlClient, type ControlHandlers } from '../membership/control-client.ts'
import { LeaseKeeper } from '../membership/lease.ts'
import { MembershipClient } from '../membership/membership-client.ts'
import { Arrivals } from '../sync/arrivals.ts'
import { serveBlocks } from '../sync/blocks-server.ts'
import { Giving } from '../sync/giving.ts'
import { connectRepository, type RemoteRepository } from '../sync/repository-client.ts'
import type { DrainReport, DrainRequest, Heartbeat, Hello, Usage } from '../wire/control.ts'
import { REVISION } from '../wire/revision.ts'
import { DrainRequests } from './drain-requests.ts'
import type { Entrance } from './entrance.ts'
import type { InstanceFigures } from './figures.ts'
import type { InstanceDaemonDeps } from './instance-deps.ts'
import type { InstanceMachine } from './instance-machine.ts'
import { KnownLevels } from './known-levels.ts'
import { KnownMembers } from './known-members.ts'
import { type Pin, writePin } from './pin.ts'
import { reportPage } from './report-page.ts'
import { filesAreSuspect, suspectFiles, suspicionIsNoted } from './suspicion.ts'
import { VERSION } from './version.ts'
import { toldAddresses, Vicinity } from './vicinity.ts'

/** The longest that it takes to be sure that the coordinator heard what this instance is about to do. */
const LAST_WORD_MS = 3000
const KEPT_CHECK_MS = 60 * 60_000
/** As many as one heartbeat may name. */
const HEARTBEAT_WORKSPACES_MAX = 10_000
/** A clock that is further off than this is told to the volunteer: it does no harm here, but elsewhere it may. */
const CLOCK_SKEW_MS = 60_000
const PRESENT_EVERY_MS = 2000

export interface ServingEvents {
  connected(what: { readonly name: string; readonly homes: number }): void
  disconnected(reason: string): void
  drain(report: DrainReport): void
  warn(text: string): void
}

interface Parts {
  readonly machine: InstanceMachine
  readonly remote: Later<RemoteRepository>
  readonly lease: LeaseKeeper
  readonly levels: KnownLevels
  readonly resident: Resident
  readonly members: KnownMembers
  readonly vicinity: Vicinity
  readonly arrivals: Arrivals
}

/** An approved instance at work: connected, syncing, answering users. */
export class ServingInstance {
  readonly #deps: InstanceDaemonDeps
  readonly #events: ServingEvents
  readonly #machine: InstanceMachine
  readonly #resident: Resident
  readonly #remote: Later<RemoteRepository>
  readonly #lease: LeaseKeeper
  readonly #control: ControlClient
  readonly #told = new Map<string, string>()
  readonly #levels: KnownLevels
  readonly #members: KnownMembers
  readonly #vicinity: Vicinity
  #entrance: Entrance | null = null
  #pin: Pin
  #name: string
  #clockSkewMs: number | null = null
  #presentAgainAt = 0
  readonly #arrivals: Arrivals
  readonly #atWork: AtWork
  readonly #drains: DrainRequests

  private constructor(deps: InstanceDaemonDeps, pin: Pin, events: ServingEvents, parts: Parts) {
    const { host, clock, random, log } = deps
    this.#deps = deps
    this.#pin = pin
    this.#events = events
    this.#name = deps.name
    this.#remote = parts.remote
    this.#lease = parts.lease
    this.#levels = parts.levels
    this.#machine = parts.machine
    this.#members = parts.members
    this.#vicinity = parts.vicinity
    this.#resident = parts.resident
    this.#arrivals = parts.arrivals
    this.#drains = new DrainRequests({
      clock,
      isConnected: () => this.connected,
      send: (request) => this.#control.tell({ kind: 'drain', request })
    })
    this.#atWork = new AtWork({
      ask: deps.askAtWork,
      places: () => this.#resident.places(),
      besides: () => this.#entrance?.busy() ?? [],
      isHandingOver: () => this.#drains.isDraining,
      clock,
      log
    })
    this.#control = new ControlClient({
      host,
      coordinator: pin.peer,
      addresses: () => this.#pin.addresses,
      handlers: this.#handlers(),
      clock,
      random,
      log
    })
  }

  static async start(deps: InstanceDaemonDeps, pin: Pin, events: ServingEvents): Promise<ServingInstance> {
    const { folder, state, clock, log, host } = deps
    const machine = await deps.openMachine(pin)
    const remote = new Later<RemoteRepository>()
    const lease = new LeaseKeeper()
    const levels = new KnownLevels()
    const members = await KnownMembers.open(state, pin.peer)
    const vicinity = await Vicinity.open({ ...deps, pin, openProviders: machine.openProviders }, members)
    const arrivals = new Arrivals()
    const resident = await Resident.open({
      state: prefixed(state, 'resident/'),
      premises: (workspace) => machine.premises(workspace),
      remote: (signal) => remote.get(signal),
      members: vicinity,
      identity: folder.identity,
      coordinator: pin.peer,
      clock,
      log,
      acknowledge: (service) => levels.of(service),
      leaseValid: () => lease.valid(clock.now()),
      filesTrusted: !(await filesAreSuspect(state)),
      keepMs: () => deps.keep.ms,
      arrived: (workspace, bytes) => arrivals.note(workspace, bytes),
      checkQuiet: (workspace) => serving.#atWork.checkQuiet(workspace),
      hooksFor: deps.hooksFor,
      apps: deps.apps
    })
    await suspicionIsNoted(state)
    const parts = { machine, remote, lease, levels, resident, members, arrivals, vicinity }
    const serving = new ServingInstance(deps, pin, events, parts)
    serving.#entrance = await machine.openEntrance(serving)
    await serveBlocks(host, {
      log,
      giving: new Giving(clock, deps.upload),
      source: { read: (workspace, cid) => resident.readBlock(workspace, cid) },
      intake: null,
      access: (peer, workspace) => (resident.mayRead(peer, workspace) ? { read: true, send: false } : null)
    })
    return serving
  }

  /** A member by its name, its PeerId or the start of one. @throws NodeDaemonError `NOT_FOUND`, `AMBIGUOUS` */
  resolvePeer(text: string): PeerIdText {
    return this.#members.resolve(text)
  }

  get name(): string {
    return this.#name
  }

  /** See `Resident.enter`. */
  enter(workspace: WorkspaceId, epoch: number): Admission {
    return this.#resident.enter(workspace, epoch)
  }

  /** The folder of a workspace was taken away while it was served: the next assignment fetches the files again. */
  folderLost(workspace: WorkspaceId): void {
    this.#resident.folderLost(workspace)
    this.#control.reconnect('the folder of a workspace is gone')
  }

  get connected(): boolean {
    return this.#control.connected
  }

  get clockSkewMs(): number | null {
    return this.#clockSkewMs
  }

  /** See `Resident.homes`. */
  homes(): ReturnType<Resident['homes']> {
    return this.#resident.homes()
  }

  /** Until the signal. Rejects when the coordinator decides that this is no member any more. */
  async run(signal: AbortSignal): Promise<void> {
    this.#removeExpired(signal)
    void rescanRegularly({ resident: this.#resident, clock: this.#deps.clock, random: this.#deps.random }, signal)
    void this.#atWork.run(signal)
    await this.#control.run(signal)
  }

  figures(): InstanceFigures {
    const { bytes, ageMs } = this.#resident.unsynced()
    return {
      ...this.#resident.counts(),
      usedBytes: this.#resident.usedBytes(),
      unsyncedBytes: bytes,
      unsyncedAgeMs: ageMs,
      postponed: this.#resident.postponed()
    }
  }

  /** See `DrainRequests.ask`. */
  requestDrain(request: DrainRequest, signal?: AbortSignal): Promise<DrainReport> {
    return this.#drains.ask(request, signal)
  }

  cancelDrain(): void {
    this.#control.tell({ kind: 'drain-cancel' })
  }

  /** Publishes what is not published, after telling that it comes back soon. The coordinator has heard that on return. */
  async flush(deadlineMs: number): Promise<void> {
    const heard = this.#control.say({ kind: 'stopping', intent: 'restart' }, LAST_WORD_MS)
    await Promise.all([heard, this.#resident.flush(deadlineMs)])
  }

  /** Removes all files of users here. Only for an instance that is home of nothing. */
  async removeFiles(): Promise<number> {
    await this.#control.say({ kind: 'stopping', intent: 'leave' }, LAST_WORD_MS)
    return this.#resident.removeKept('all')
  }

  async close(): Promise<void> {
    await this.#entrance?.stop()
    // Before what users asked for ends: requests that wait to be acknowledged are answered now.
    await this.#resident.close()
    await this.#vicinity.close()
    await this.#entrance?.close()
    // A clean stop says that the files are on the disk, whatever happens to the machine afterwards.
    if (!(await this.#machine.close())) await suspectFiles(this.#deps.state)
  }

  #handlers(): ControlHandlers {
    return {
      hello: () => this.#hello(),
      heartbeat: (sequence) => this.#heartbeat(sequence),
      connected: (connection) => this.#connected(connection),
      disconnected: (reason) => this.#disconnected(reason),
      lease: (askedAt, leaseMs) => this.#lease.granted(askedAt, leaseMs),
      order: async (order) =>
        order.kind === 'report' ? reportPage(this.#resident, this.#members, order.after) : this.#resident.order(order),
      members: (memberList) => {
        this.#noteMembers(memberList).catch((error: unknown) => {
          this.#deps.log.error({ error: messageOf(error) }, 'a member list was refused')
        })
      },
      services: (services) => this.#levels.told(services),
      neighbours: (news) => this.#vicinity.told(news),
      ingress: (news) => this.#entrance?.told(news),
      drain: (report) => {
        if (this.#drains.heard(report)) this.#events.drain(report)
      }
    }
  }

  async #hello(): Promise<Hello> {
    const { offered, clock, settings } = this.#deps
    const disk = await this.#machine.space()
    return {
      version: VERSION,
      ...offered,
      capacityBytes: settings.capacityBytes(disk, this.#resident.usedBytes()),
      clockMs: clock.wall(),
      workspaces: this.#resident.held(),
      ownershipNumber: this.#resident.ownershipNumber,
      memberListNumber: this.#members.number,
      addresses: toldAddresses(this.#deps.host.addresses()),
      revision: REVISION,
      awaitsDrain: this.#drains.awaitsEnd,
      route: this.#deps.route
    }
  }

  async #heartbeat(sequence: number): Promise<Heartbeat> {
    const disk = await this.#machine.space()
    return {
      sequence,
      diskTotalBytes: disk.totalBytes,
      diskFreeBytes: disk.freeBytes,
      ...this.#machine.load(),
      ownershipNumber: this.#resident.ownershipNumber,
      usage: this.#changedUsage(),
      pendingWork: this.#resident.usage().filter(({ unsyncedAgeMs }) => unsyncedAgeMs > 0).length,
      busy: this.#atWork.workspaces.slice(0, HEARTBEAT_WORKSPACES_MAX),
      arrived: this.#arrivals.take(HEARTBEAT_WORKSPACES_MAX),
      uploadLimit: this.#deps.upload.bytesPerSecond
    }
  }

  /** Usage that the coordinator has not been told on this connection. */
  #changedUsage(): Usage[] {
    return this.#resident.usage().filter((usage) => {
      const text = JSON.stringify(usage)
      if (this.#told.get(usage.workspace) === text) return false
      this.#told.set(usage.workspace, text)
      return true
    })
  }

  async #connected({ control, data, welcome }: Connection): Promise<void> {
    const { log, upload, download, clock } = this.#deps
    await this.#noteMembers(welcome.memberList)
    await this.#members.noteCertificate(welcome.certificate)
    this.#levels.welcomed(welcome)
    this.#drains.welcomed(welcome)
    this.#name = welcome.name
    this.#told.clear()
    this.#noteClock(clock.wall() - welcome.clockMs)
    const remote = await connectRepository({
      control,
      data,
      coordinator: this.#pin.peer,
      upload,
      download,
      clock,
      log,
      onHead: (head) => this.#resident.told(head)
    })
    this.#remote.set(remote)
    this.#vicinity.connected(this.#pin.addresses)
    this.#resident.reconnected()
    this.#events.connected({ name: welcome.name, homes: this.#resident.counts().home })
  }

  /** A coordinator that was restored from an old backup asks for a report, and is right again after that. */
  async #noteMembers(memberList: Uint8Array): Promise<void> {
    if (await this.#members.note(memberList)) return this.#vicinity.listed(this.#members.peers(), this.#members.doors())
    this.#events.warn(
      'the coordinator knows less than it has signed: it was put back to an earlier state, and asks its members'
    )
  }

  #noteClock(skewMs: number): void {
    this.#clockSkewMs = Math.round(skewMs)
    if (Math.abs(skewMs) < CLOCK_SKEW_MS) return
    const off = `${Math.round(Math.abs(skewMs) / 1000)} s ${skewMs > 0 ? 'ahead of' : 'behind'}`
    this.#events.warn(`the clock of this machine is ${off} the coordinator's: nothing is at risk, but set it right`)
  }

  #disconnected(reason: string): void {
    this.#remote.clear()
    this.#events.disconnected(reason)
    void this.#findAnew()
    void this.#present()
  }

  /** A coordinator that has lost its state takes this instance for a stranger, until it sees what it signed. */
  async #present(): Promise<void> {
    const { clock, log } = this.#deps
    const { certificate } = this.#members
    if (certificate === null || clock.now() < this.#presentAgainAt) return
    this.#presentAgainAt = clock.now() + PRESENT_EVERY_MS
    try {
      const client = new MembershipClient(this.#deps)
      const { state } = await client.standing(this.#pin, 0)
      if (state === 'unknown' || state === 'pending') await client.present(this.#pin, certificate)
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'the coordinator was not shown the certificate of this instance')
    }
  }

  /** The coordinator may have moved to other addresses: its web address knows, and its key must be the same. */
  async #findAnew(): Promise<void> {
    const { state, log } = this.#deps
    try {
      const addresses = await this.#machine.findCoordinator(this.#pin)
      if (addresses === null || JSON.stringify(addresses) === JSON.stringify(this.#pin.addresses)) return
      this.#pin = { ...this.#pin, addresses }
      await writePin(state, this.#pin)
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'the coordinator was not found anew')
    }
  }

  #removeExpired(signal: AbortSignal): void {
    const { clock, log } = this.#deps
    const again = (): void => {
      if (signal.aborted) return
      this.#resident
        .removeKept('expired')
        .catch((error: unknown) => log.warn({ error: messageOf(error) }, 'kept files were not removed'))
      const timer = clock.after(KEPT_CHECK_MS, again)
      signal.addEventListener('abort', () => timer.cancel(), { once: true })
    }
    again()
  }
}
