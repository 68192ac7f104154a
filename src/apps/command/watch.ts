import { type Clock, type Instant, sleep } from '../../core/clock.ts'
import { messageOf } from '../../core/errors.ts'
import type { Logger } from '../../core/log.ts'
import { ProcessTable, takenBy, writtenBy } from './proc.ts'
import type { AppLimits } from './sandbox.ts'
import type { WorkspaceApp } from './workspace-app.ts'

export interface WatchDeps {
  readonly apps: () => readonly WorkspaceApp[]
  readonly limits: AppLimits
  readonly idleMs: number
  /** Below this, the app that has written most since the last look is ended. */
  readonly reserveBytes: number
  readonly freeBytes: () => Promise<number>
  readonly clock: Clock
  readonly log: Logger
}

const LOOK_EVERY_MS = 250

/**
 * Ends apps that take more than they may, and those that nobody uses. It looks four times a second: in between, an app may go
 * beyond its limits for as long as that.
 */
export async function watchApps(deps: WatchDeps, signal: AbortSignal): Promise<void> {
  const { clock, log } = deps
  const written = new Map<WorkspaceApp, number>()
  while (!signal.aborted) {
    try {
      const running = deps.apps().filter(({ running: one }) => one !== null)
      if (running.length > 0) await look(deps, running, written)
      for (const app of written.keys()) if (!app.isRunning) written.delete(app)
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'apps were not looked at')
    }
    await sleep(clock, LOOK_EVERY_MS, signal).catch(() => undefined)
  }
}

async function look(
  deps: WatchDeps,
  running: readonly WorkspaceApp[],
  written: Map<WorkspaceApp, number>
): Promise<void> {
  const { limits, clock, idleMs, reserveBytes, freeBytes, log } = deps
  const table = new ProcessTable()
  const most: { app: WorkspaceApp | null; bytes: number } = { app: null, bytes: 0 }
  for (const app of running) {
    const root = app.running?.rootNow ?? null
    if (root === null) continue
    const pids = table.tree(root)
    const { memoryBytes, threads } = takenBy(pids)
    if (threads > limits.processes) app.running?.kill(`it had more than ${limits.processes} processes and threads`)
    else if (memoryBytes > limits.memoryBytes)
      app.running?.kill(`it took more than ${mebibytes(limits.memoryBytes)} of memory`)
    else if (isIdle(app, clock.now() - idleMs)) void stopIdle(app, log)
    const total = writtenBy(pids)
    const grown = total - (written.get(app) ?? total)
    written.set(app, total)
    if (grown > most.bytes) Object.assign(most, { app, bytes: grown })
  }
  if (most.app !== null && (await freeBytes()) < reserveBytes) {
    most.app.running?.kill('the disk of this server is nearly full, and it wrote most')
  }
}

const isIdle = ({ idleSince }: WorkspaceApp, before: Instant): boolean => idleSince !== null && idleSince < before

async function stopIdle(app: WorkspaceApp, log: Logger): Promise<void> {
  const { workspace, service } = app.place
  log.info({ workspace, service }, 'an app that nobody uses is stopped')
  await app.stop()
}

const mebibytes = (bytes: number): string => `${Math.round(bytes / 1024 ** 2)} MiB`
