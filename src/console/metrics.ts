import { collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { CoordinatorService } from './service.ts'
import { type CensusView, PEER_STATES, type StatusView, type UnsyncedView, WORKSPACE_STATES } from './views.ts'

export interface Metrics {
  /** The content type of a scrape. */
  readonly contentType: string
  /** All metrics in Prometheus' text form, with the service's figures of now. */
  scrape(): Promise<string>
}

const secondsOf = (at: string | null): number => (at === null ? 0 : Date.parse(at) / 1000)

/** Figures of a status, by the name of their metric. Times are in seconds, as Prometheus has it. */
const FIGURES: Readonly<Record<string, { help: string; of(status: StatusView): number }>> = {
  node_daemon_start_time_seconds: {
    help: 'When the coordinator started, Unix time',
    of: (status) => Date.parse(status.startedAt) / 1000
  },
  node_daemon_users: { help: 'Named users', of: (status) => status.users },
  node_daemon_workspaces_waiting: {
    help: 'Workspaces that no instance serves now',
    of: (status) => status.workspaces.waiting
  },
  node_daemon_promotions_held: {
    help: 'Whether no instance takes over from another now: a mass loss, or an old backup',
    of: (status) => Number(status.held !== null)
  },
  node_daemon_unsynced_bytes: {
    help: 'Bytes that stand on one disk only',
    of: (status) => status.unsyncedBytes
  },
  node_daemon_unsynced_age_seconds: {
    help: 'Age of the oldest unsynced change',
    of: (status) => status.unsyncedAgeMs / 1000
  },
  node_daemon_safe_to_switch_off: {
    help: 'Whether nothing would be lost or missed now',
    of: (status) => Number(status.safeToSwitchOff)
  },
  node_daemon_repository_stored_bytes: {
    help: 'Size of the main repository on disk',
    of: (status) => status.repository.storedBytes
  },
  node_daemon_repository_logical_bytes: {
    help: 'Size of all newest snapshots without sharing',
    of: (status) => status.repository.logicalBytes
  },
  node_daemon_repository_blocks: {
    help: 'Blocks in the main repository',
    of: (status) => status.repository.blocks
  },
  node_daemon_repository_damaged_blocks: {
    help: 'Blocks of the main repository found damaged and not yet held anew',
    of: (status) => status.repository.damaged
  },
  node_daemon_repository_last_gc_time_seconds: {
    help: 'When history was last thinned, Unix time; 0 for never',
    of: (status) => secondsOf(status.repository.lastGcAt)
  },
  node_daemon_repository_last_verify_time_seconds: {
    help: 'When the main repository, or a share of it, was last read again, Unix time; 0 for never',
    of: (status) => secondsOf(status.repository.lastVerifyAt)
  },
  node_daemon_repository_heads: {
    help: 'Heads in the main repository',
    of: (status) => status.repository.heads
  },
  node_daemon_repository_packs: {
    help: 'Packs of the main repository',
    of: (status) => status.repository.packs
  }
}

/** The metrics of the coordinator, and of the process that it runs in. The service is asked at each scrape. */
export function createMetrics(service: Pick<CoordinatorService, 'status' | 'census'>): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const gauge = (name: string, help: string, ...labelNames: string[]): Gauge =>
    new Gauge({ name, help, labelNames, registers: [registry] })
  const figures = Object.entries(FIGURES).map(([name, { help, of }]) => ({ gauge: gauge(name, help), of }))
  const instances = gauge('node_daemon_instances', 'Instances by state', 'state')
  const workspaces = gauge('node_daemon_workspaces', 'Workspaces by state', 'state')
  const unsynced = {
    instances: loss('node_daemon_instance_unsynced', 'instance', 'of what an instance is home of'),
    workspaces: loss('node_daemon_workspace_unsynced', 'workspace', 'of the 20 workspaces with the oldest')
  }
  const info = gauge('node_daemon_info', 'Always 1; the labels tell what runs', 'version', 'federation')

  /** Gauges of bytes and age of unsynced changes. What was there and is not told any more goes away. */
  function loss(name: string, label: string, whose: string): (views: readonly UnsyncedView[]) => void {
    const bytes = gauge(`${name}_bytes`, `Bytes that stand on one disk only, ${whose}`, label)
    const age = gauge(`${name}_age_seconds`, `Age of the oldest unsynced change, ${whose}`, label)
    return (views) => {
      bytes.reset()
      age.reset()
      for (const view of views) {
        bytes.set({ [label]: view.name }, view.bytes)
        age.set({ [label]: view.name }, view.ageMs / 1000)
      }
    }
  }

  function fill(status: StatusView, census: CensusView): void {
    for (const { gauge, of } of figures) gauge.set(of(status))
    for (const state of PEER_STATES) instances.set({ state }, census.instances[state] ?? 0)
    for (const state of WORKSPACE_STATES) workspaces.set({ state }, census.workspaces[state] ?? 0)
    unsynced.instances(census.unsyncedInstances)
    unsynced.workspaces(census.unsyncedWorkspaces)
    info.reset()
    info.set({ version: status.version, federation: status.name }, 1)
  }

  return {
    contentType: registry.contentType,
    async scrape() {
      const [status, census] = await Promise.all([service.status(), service.census()])
      fill(status, census)
      return registry.metrics()
    }
  }
}
