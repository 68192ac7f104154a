import type { Logger } from '../core/log.ts'
import type { HostPort, InstanceDeps, InstanceEvent } from './options.ts'
import type { TlsFiles } from './tls-certificate.ts'

export interface FrontDoorProcessOptions {
  readonly data: string
  /** What the admin typed; null: resume. */
  readonly coordinator: string | null
  readonly http: HostPort
  /** Null: the host name. */
  readonly name: string | null
  readonly contact: string
  /** Multiaddrs on which instances reach it. */
  readonly listen: readonly string[]
  /** The name or address that instances use; null: found from the interfaces. */
  readonly announce: string | null
  /** CIDRs of proxies in front whose forwarded headers are believed. */
  readonly trustProxy: readonly string[]
  readonly tls: TlsFiles | null
  readonly code: string | null
  readonly acceptTerms: boolean
  readonly pid: number
}

export interface FrontDoorReady {
  readonly event: 'ready'
  readonly name: string
  readonly peerId: string
  readonly http: string
  readonly addresses: readonly string[]
  readonly data: string
}

export interface FrontDoorProcessDeps extends Pick<InstanceDeps, 'interactive' | 'confirm'> {
  readonly log: Logger
  readonly report: (event: InstanceEvent | FrontDoorReady) => void
}

export interface RunningFrontDoor {
  /** Rejects when it cannot go on: it is no member any more, another key answers, its port is taken. */
  readonly finished: Promise<void>
  stop(): Promise<void>
}
