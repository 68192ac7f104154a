import { type Clock, type Instant, sleep } from '../../core/clock.ts'
import { messageOf } from '../../core/errors.ts'
import type { Logger } from '../../core/log.ts'
import type { DiskUse } from './disk-use.ts'
import { ProcessTable, takenBy } from './proc.ts'
import type { Sandbox } from './sandbox.ts'
import { memoryInFiles, sharedMemoryOfAll } from './shared-memory.ts'
import type { WorkspaceApp } from './workspace-app.ts'

export interface WatchDeps {
  readonly apps: () => readonly WorkspaceApp[]
  readonly sandbox: Pick<Sandbox, 'kind' | 'limits'>
  readonly disk: DiskUse
  readonly idleMs: number
  readonly clock: Clock
  readonly log: Logger
}

const LOOK_EVERY_MS = 250

/**
 * Ends apps that take more than they may, and those that nobody uses. It looks four times a second: in between, an app may go
 * beyond its limits for as long as that.
 */
export async function watchApps(deps: WatchDeps, signal: AbortSignal): Promise<void> {
  const { clock, log, disk } = deps
  const stopping = new Set<WorkspaceApp>()
  while (!signal.aborted) {
    try {
      const running = deps.apps().filter(({ isRunning }) => isRunning)
      if (running.length > 0) look(deps, running, stopping)
      disk.look(running)
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'apps were not looked at')
    }
    await sleep(clock, LOOK_EVERY_MS, signal).catch(() => undefined)
  }
}

function look(deps: WatchDeps, running: readonly WorkspaceApp[], stopping: Set<WorkspaceApp>): void {
  const { clock, idleMs, log } = deps
  const { kind, limits } = deps.sandbox
  const table = new ProcessTable()
  const inFilesOfAll = sharedMemoryOfAll()
  for (const app of running) {
    const root = app.running?.rootNow ?? null
    if (root === null) continue
    const pids = table.tree(root)
    const { privateBytes, mappedBytes, threads } = takenBy(pids)
    const isNear = privateBytes + Math.max(mappedBytes, inFilesOfAll) > limits.memoryBytes
    const inFiles = isNear ? memoryInFiles(pids, kind === 'bwrap' ? root : null) : 0
    if (threads > limits.processes) app.running?.kill(`it had more than ${limits.processes} processes and threads`)
    else if (privateBytes + Math.max(mappedBytes, inFiles) > limits.memoryBytes)
      app.running?.kill(`it took more than ${mebibytes(limits.memoryBytes)} of memory`)
    else if (isIdle(app, clock.now() - idleMs)) void stopIdle(app, stopping, log)
  }
}

const isIdle = ({ idleSince }: WorkspaceApp, before: Instant): boolean => idleSince !== null && idleSince < before

async function stopIdle(app: WorkspaceApp, stopping: Set<WorkspaceApp>, log: Logger): Promise<void> {
  if (stopping.has(app)) return
  stopping.add(app)
  const { workspace, service } = app.place
  try {
    if (await app.stopIfIdle()) log.info({ workspace, service }, 'an app that nobody used was stopped')
  } catch (error) {
    log.warn({ workspace, service, error: messageOf(error) }, 'an app that nobody uses was not stopped')
  } finally {
    stopping.delete(app)
  }
}

const mebibytes = (bytes: number): string => `${Math.round(bytes / 1024 ** 2)} MiB`
