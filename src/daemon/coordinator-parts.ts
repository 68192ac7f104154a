import type { Clock } from '../core/clock.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { KeyValue } from '../core/key-value.ts'
import type { Logger } from '../core/log.ts'
import type { Random } from '../core/random.ts'
import type { Director } from '../handover/director.ts'
import type { Holdings } from '../handover/holdings.ts'
import type { LostHeads } from '../handover/lost-heads.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { PromotionHold } from '../handover/promotion-hold.ts'
import type { Rebalancer } from '../handover/rebalancer.ts'
import type { Recovery } from '../handover/recovery.ts'
import type { Removals } from '../handover/removals.ts'
import type { Accounts } from '../membership/accounts.ts'
import type { AuditLog } from '../membership/audit.ts'
import type { ControlServer } from '../membership/control-server.ts'
import type { Groups } from '../membership/groups.ts'
import type { MemberRegistry } from '../membership/registry.ts'
import type { Gate, Host } from '../network/host.ts'
import type { Neighbours } from '../network/neighbours.ts'
import type { Providers } from '../network/providers.ts'
import type { Reach } from '../network/reach.ts'
import type { DoorSessions } from '../routing/doors/door-sessions.ts'
import type { Doors } from '../routing/doors/doors.ts'
import type { RouteBook, RouteBookDeps } from '../routing/routes/book.ts'
import type { Services } from '../routing/services.ts'
import type { ControlStore } from '../store/control-store.ts'
import type { Disk } from '../store/disk.ts'
import type { IndexPlace } from '../store/open-repository.ts'
import type { MainRepository } from '../store/repository.ts'
import type { DataFolder } from '../store/state-folder.ts'
import type { RepositoryService } from '../sync/repository-service.ts'
import type { DoorRules } from '../wire/front-door.ts'
import type { Changes } from './changes.ts'
import type { Drains } from './drains.ts'
import type { Fleet } from './fleet.ts'
import type { GuestExpiry } from './guest-expiry.ts'
import type { Housekeeping } from './housekeeping.ts'
import type { CoordinatorOptions, RecoverOptions } from './options.ts'
import type { Quotas } from './quotas.ts'
import type { RouteTable } from './route-table.ts'
export type CoreOptions = Pick<
  CoordinatorOptions,
  | 'standbys'
  | 'acknowledge'
  | 'failoverAfterMs'
  | 'leaseMs'
  | 'restartGraceMs'
  | 'rebalance'
  | 'terms'
  | 'retention'
  | 'scrubDays'
  | 'quotaBytes'
  | 'anonymousQuotaBytes'
  | 'anonymousTtlMs'
> & { readonly federation: string; readonly recover?: RecoverOptions | null }

/** What the coordinator runs on. */
export interface CoreParts {
  readonly folder: DataFolder
  /** Small state that stays over a restart. */
  readonly state: KeyValue
  /** The main repository's packs and its index. */
  readonly disk: Disk
  readonly index: IndexPlace
  readonly startHost: (gate: Gate) => Promise<Host>
  readonly openProviders: (host: Host, neighbours: Neighbours, reach: Reach) => Promise<Providers>
  /** What the repository's disk has free, in bytes. */
  readonly freeBytes: () => Promise<number>
  /** How much of uploads was kept since the start before a head named it, in bytes. */
  readonly uploadedBytes: () => number
  /** Breaks the users' requests that are under way to a home which is given up. */
  readonly dropHome: (home: PeerIdText) => void
  /** Are connections of a workspace's users open that speak another protocol than HTTP by now? */
  readonly hasSockets: (workspace: WorkspaceId) => boolean
  /** How front doors that are processes of their own are to behave. */
  readonly doorRules: () => DoorRules
  /** See `dialIngress`. */
  readonly dialIngress: RouteBookDeps['dial']
  /** The address of the front door for users; empty where it is not known. */
  readonly frontDoor: () => string
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/** A coordinator without its doors for people: what decides, owns and keeps. */
export interface CoordinatorCore {
  readonly store: ControlStore
  readonly repository: MainRepository
  readonly repositoryService: RepositoryService
  readonly audit: AuditLog
  readonly registry: MemberRegistry
  readonly accounts: Accounts
  readonly groups: Groups
  readonly table: OwnershipTable
  readonly holdings: Holdings
  readonly services: Services
  readonly quotas: Quotas
  readonly removals: Removals
  readonly expiry: GuestExpiry
  readonly changes: Changes
  readonly fleet: Fleet
  readonly director: Director
  readonly hold: PromotionHold
  readonly routes: RouteTable
  readonly doors: Doors
  readonly doorSessions: DoorSessions
  readonly routeBook: RouteBook
  readonly drains: Drains
  readonly recovery: Recovery
  readonly lost: LostHeads
  readonly control: ControlServer
  readonly host: Host
  readonly housekeeping: Housekeeping
  readonly rebalancer: Rebalancer
  /** Members are answered from now on. To be called once everything that answers them stands. */
  serve(): Promise<void>
}
