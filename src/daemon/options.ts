import type { Logger } from '../core/log.ts'
import type { NewService } from '../routing/declaration.ts'
import type { RateOptions } from '../routing/rates.ts'
import type { ProviderConfig } from '../routing/sign-in/provider.ts'
import type { RetentionPolicy } from '../store/repository.ts'
import type { LimitSchedule } from '../sync/limit-schedule.ts'
import type { DrainReport } from '../wire/control.ts'
import type { RouteOffer } from '../wire/ingress.ts'
import type { Offer } from './offers.ts'
import type { TlsFiles } from './tls-certificate.ts'

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** A sign-in provider, as it is configured: its secret stands in a file. */
export interface SignInProviderOptions extends Omit<ProviderConfig, 'clientSecret'> {
  readonly clientSecretFile: string | null
}

/** The state of the coordinator is gone: what it had signed is learnt from its members. */
export interface RecoverOptions {
  /** So many members must have reported before it serves; null: until an admin confirms it. */
  readonly members: number | null
}

export interface CoordinatorOptions {
  readonly data: string
  /** Multiaddrs on which members are awaited. */
  readonly listen: readonly string[]
  /** The name or address that others use; null: found from the interfaces. */
  readonly announce: string | null
  readonly http: HostPort
  readonly admin: HostPort
  /** The federation's name; null: the host name. */
  readonly name: string | null
  /** Null: an ordinary start. */
  readonly recover: RecoverOptions | null
  readonly standbys: number
  readonly acknowledge: 'replicated' | 'local'
  readonly failoverAfterMs: number
  readonly leaseMs: number
  readonly restartGraceMs: number
  readonly holdMs: number
  /** Null where it was not said: yes on loopback, refused elsewhere. */
  readonly anonymous: boolean | null
  /** What a user may hold over all services, in bytes. */
  readonly quotaBytes: number
  /** The same of a guest. */
  readonly anonymousQuotaBytes: number
  /** A guest's workspace is removed once nobody has asked for it, or changed it, for so long. */
  readonly anonymousTtlMs: number
  /** How often one client of the front door may come. */
  readonly rates: RateOptions
  readonly terms: string | null
  /** CIDRs of proxies in front whose forwarded headers are believed. */
  readonly trustProxy: readonly string[]
  /** The header in which such a proxy names the user, in lower case; null: none does. */
  readonly trustUserHeader: string | null
  /** Where people can sign in, beside tokens. */
  readonly signIn: readonly SignInProviderOptions[]
  /** The certificate with which the front door speaks TLS; null: it speaks plain HTTP. */
  readonly tls: TlsFiles | null
  /** The public address of the front door, for the join line and invites; null: the address it listens on. */
  readonly webAddress: string | null
  /** Are idle workspaces spread by itself when an instance joins or a disk is nearly full? */
  readonly rebalance: boolean
  /** How much of the history is kept. */
  readonly retention: RetentionPolicy
  /** What is to be declared from the start on. */
  readonly services: readonly NewService[]
  /** Everything in the main repository is read again once in so many days; 0: never by itself. */
  readonly scrubDays: number
  readonly pid: number
}

export interface RunningCoordinator {
  readonly ready: {
    readonly peerId: string
    readonly addresses: readonly string[]
    readonly http: string
    readonly admin: string
    readonly data: string
  }
  /** Signs the first admin in, once. */
  readonly consoleLink: string
  readonly federation: string
  readonly reachability: { readonly othersCanReach: boolean; readonly advice: string | null }
  /** What a volunteer types. */
  readonly joinLine: string
  readonly closed: Promise<void>
  stop(): Promise<void>
}

/** What an operator lets run, by the name of the service: lines for `/bin/sh -c`. */
export interface HookOptions {
  readonly before: Readonly<Record<string, string>>
  readonly after: Readonly<Record<string, string>>
  /** Ends with 0 while users are at work. */
  readonly busy: Readonly<Record<string, string>>
  /** Ends with 0 once an app that answers is ready for users. */
  readonly ready: Readonly<Record<string, string>>
  /** Has an app write what it has, before its workspace is moved. */
  readonly freeze: Readonly<Record<string, string>>
  /** Tells it that the workspace stays. */
  readonly thaw: Readonly<Record<string, string>>
  /** How long one command may take. */
  readonly timeoutMs: number
  /** The shortest time between two snapshots that nobody waits for. */
  readonly intervalMs: number
}

/** How apps run that are commands. The limits are those of each app. */
export interface AppOptions {
  /** `bwrap`: kept apart by bubblewrap, or refused. */
  readonly sandbox: 'bwrap' | 'none'
  /** May they use the network of this machine? */
  readonly network: boolean
  readonly memoryBytes: number
  readonly processes: number
  readonly openFiles: number
  /** So many run at once. */
  readonly count: number
  /** One that nobody has used for so long is stopped. */
  readonly idleMs: number
  readonly startMs: number
  /** What those of a service may read beside the system's programs, by its name. */
  readonly readable: Readonly<Record<string, readonly string[]>>
}

/** The entrance of an instance that listens. */
export interface IngressOptions {
  readonly route: RouteOffer
  readonly listen: HostPort
  /** CIDRs of proxies in front whose `X-Forwarded-For` is believed; none: those of this machine, where it listens on loopback. */
  readonly trustProxy: readonly string[]
}

export interface InstanceOptions {
  readonly data: string
  /** What the volunteer typed; null: resume. */
  readonly coordinator: string | null
  readonly name: string | null
  readonly contact: string
  readonly site: string
  readonly message: string
  readonly labels: Readonly<Record<string, string>>
  /** Multiaddrs on which other members reach it; none: it only dials out. */
  readonly listen: readonly string[]
  /** Null: half of the free space. */
  readonly capacityBytes: number | null
  readonly services: readonly Offer[]
  /** Of the apps, by service: see `areCompatible`. Where none is said, it is the one that is declared. */
  readonly versions: Readonly<Record<string, string>>
  /** Null: as it was set before, else none. */
  readonly uploadLimit: LimitSchedule | null
  readonly downloadLimit: LimitSchedule | null
  /** The code that the volunteer was told by other means. */
  readonly code: string | null
  readonly acceptTerms: boolean
  /** How long the files of users stay after a drain. */
  readonly keepMs: number
  readonly hooks: HookOptions
  readonly apps: AppOptions
  /** Null: users' requests come through the tunnel alone. */
  readonly ingress: IngressOptions | null
  readonly pid: number
}

export type InstanceEvent =
  | { readonly event: 'connecting'; readonly coordinator: string }
  | {
      readonly event: 'described'
      readonly federation: string
      readonly services: readonly string[]
      readonly terms: string
    }
  | { readonly event: 'pending'; readonly code: string; readonly name: string }
  | { readonly event: 'approved'; readonly name: string }
  | { readonly event: 'serving'; readonly name: string; readonly workspaces: number }
  | { readonly event: 'unreachable'; readonly reason: string }
  | ({ readonly event: 'draining' } & Pick<DrainReport, 'state' | 'workspaces' | 'bytes' | 'etaMs' | 'reason'>)
  | { readonly event: 'drained'; readonly certificate: string; readonly message: string }
  | { readonly event: 'denied' | 'revoked'; readonly reason: string }
  | { readonly event: 'warning'; readonly text: string }

export interface InstanceDeps {
  readonly log: Logger
  readonly report: (event: InstanceEvent) => void
  /** Is there a person at a terminal who can be asked? */
  readonly interactive: boolean
  /** Asks the person at the terminal. Rejects with `CODE_REQUIRED` where there is none. */
  readonly confirm: (question: string) => Promise<boolean>
}

export interface RunningInstance {
  readonly finished: Promise<{ readonly exitCode: number; readonly message: string }>
  /** Hands everything over, then finishes: 0 with an exit certificate, 6 with data not yet proven elsewhere. */
  drain(deadlineMs: number): Promise<void>
  /** Publishes what is not yet published, says goodbye, finishes. */
  flush(deadlineMs: number): Promise<void>
  /** Finishes at once. */
  abort(): void
}
