import type { AskAtWork } from '../apps/at-work.ts'
import type { Clock } from '../core/clock.ts'
import type { KeyValue } from '../core/key-value.ts'
import type { Logger } from '../core/log.ts'
import type { Random } from '../core/random.ts'
import type { HomeApps, ResidentDeps } from '../handover/resident-deps.ts'
import type { Host } from '../network/host.ts'
import type { DataFolder } from '../store/state-folder.ts'
import type { RateLimit } from '../sync/rate-limit.ts'
import type { Uplink } from '../sync/uplink.ts'
import type { Hello } from '../wire/control.ts'
import type { RouteOffer } from '../wire/ingress.ts'
import type { InstanceMachine } from './instance-machine.ts'
import type { InstanceSettings } from './instance-settings.ts'
import type { InstanceEvent } from './options.ts'
import type { Pin } from './pin.ts'
import type { Shutdown } from './shutdown.ts'
import type { Trusted } from './trusted.ts'

/** What the process of an instance runs on. */
export interface InstanceDaemonDeps {
  readonly folder: DataFolder
  readonly state: KeyValue
  readonly host: Host
  /** Whom the host lets in. */
  readonly trusted: Trusted
  readonly settings: InstanceSettings
  readonly upload: Uplink
  readonly download: RateLimit
  /** What it tells the coordinator that it runs. */
  readonly offered: Pick<Hello, 'services' | 'versions' | 'labels'>
  /** What is offered besides the tunnel; null: nothing. */
  readonly route: RouteOffer | null
  /** How long files stay after a drain; a drain may say otherwise. */
  readonly keep: { ms: number }
  readonly hooksFor: ResidentDeps['hooksFor']
  readonly askAtWork: AskAtWork
  readonly apps: HomeApps
  /** Called once, when the instance begins to serve. */
  readonly openMachine: (pin: Pin) => Promise<InstanceMachine>
  readonly name: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly report: (event: InstanceEvent) => void
  readonly shutdown: Shutdown
  /** Workspaces that a former run was home of. */
  readonly homesLeft: number
}
