import { once } from 'node:events'
import { mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CommandApps, type CommandAppsDeps, type CommandService } from '../apps/command/command-apps.ts'
import { LogFile } from '../apps/command/log-file.ts'
import { confined, type Sandbox } from '../apps/command/sandbox.ts'
import { spawnConfined } from '../apps/command/spawn.ts'
import { HomeApp } from '../apps/home-app.ts'
import type { CommandHooks } from '../apps/hooks.ts'
import { appSecret } from '../core/app-secret.ts'
import type { Clock } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { ServiceName, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { HomeApps } from '../handover/resident-deps.ts'
import { APP_TOOLS, relayed, sendSignal } from './app-machine.ts'
import { diskSpace } from './instance-settings.ts'
import type { AppOptions, InstanceOptions } from './options.ts'
import { commandEnvironment } from './snapshot-hooks.ts'

/** So much of a disk stays free: an app that would take it is ended. */
const RESERVE_BYTES_MAX = 1024 ** 3
const RESERVE_SHARE = 0.05

export interface AppsDeps {
  /** The daemon's data folder. */
  readonly folder: string
  readonly identity: Identity
  readonly hooks: CommandHooks
  readonly clock: Clock
  readonly log: Logger
}

/**
 * The apps that this instance runs by itself; null where it offers none.
 *
 * @throws NodeDaemonError `BAD_CONFIG` they cannot be kept apart on this machine
 */
export async function openCommandApps(
  options: Pick<InstanceOptions, 'services' | 'hooks' | 'apps'>,
  secrets: Secrets,
  deps: AppsDeps
): Promise<CommandApps | null> {
  const services = new Map<ServiceName, CommandService>()
  for (const { name, command } of options.services) {
    if (command === null) continue
    const ready = options.hooks.ready[name]
    const readable = options.apps.readable[name] ?? []
    await checkReadable(readable)
    const isReady: CommandService['isReady'] =
      ready === undefined ? null : (place, signal) => deps.hooks.isReady(ready, place, signal)
    const busy = options.hooks.busy[name]
    const isAtWork: CommandService['isAtWork'] =
      busy === undefined ? null : (place, signal) => deps.hooks.isAtWork(busy, place, signal)
    services.set(name, { spec: command, readable, isReady, isAtWork })
  }
  if (services.size === 0) return null
  const folder = join(deps.folder, 'apps')
  const sandbox = await chooseSandbox(options.apps, folder)
  if (sandbox.kind === 'none') deps.log.warn({}, 'apps run without a sandbox: each can read what this program can')
  const { totalBytes } = await diskSpace(deps.folder)
  return await CommandApps.open({
    ...deps,
    folder,
    workspaces: join(deps.folder, 'workspaces'),
    services,
    sandbox,
    relay: relayed,
    environment: commandEnvironment(),
    appsMax: options.apps.count,
    idleMs: options.apps.idleMs,
    startMs: options.apps.startMs,
    reserveBytes: Math.min(RESERVE_BYTES_MAX, totalBytes * RESERVE_SHARE),
    freeBytes: async () => (await diskSpace(deps.folder)).freeBytes,
    secretOf: (workspace) => secrets.of(workspace),
    send: sendSignal
  } satisfies CommandAppsDeps)
}

/** What apps of workspaces may rely on at each home. */
export class Secrets {
  readonly #identity: Identity
  readonly #told = new Map<WorkspaceId, string>()

  constructor(identity: Identity) {
    this.#identity = identity
  }

  keep(workspace: WorkspaceId, secret: Uint8Array): void {
    this.#told.set(workspace, Buffer.from(secret).toString('hex'))
  }

  /** Where an older coordinator told none, it is one of this instance, and another one at the next home. */
  of(workspace: WorkspaceId): string {
    return this.#told.get(workspace) ?? Buffer.from(appSecret(this.#identity, workspace)).toString('hex')
  }
}

/** What runs in workspaces while this instance is their home. */
export function homeApps(
  { hooks: { freeze, thaw } }: Pick<InstanceOptions, 'hooks'>,
  { hooks, commands, secrets }: { hooks: CommandHooks; commands: CommandApps | null; secrets: Secrets }
): HomeApps {
  return {
    keepSecret: (workspace, secret) => secrets.keep(workspace, secret),
    of(place) {
      const own = commands?.of(place) ?? null
      const [freezes, thaws] = [freeze[place.service], thaw[place.service]]
      if (own === null && freezes === undefined && thaws === undefined) return null
      return new HomeApp(own, {
        freeze: freezes === undefined ? null : (signal) => hooks.freeze(freezes, place, signal),
        thaw: thaws === undefined ? null : () => hooks.thaw(thaws, place)
      })
    }
  }
}

/** @throws NodeDaemonError `BAD_CONFIG` */
async function checkReadable(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const isThere = await stat(path).then(
      () => true,
      () => false
    )
    if (!isThere) {
      throw new NodeDaemonError('BAD_CONFIG', `apps are to read ${path}, which is not there`, {
        advice: 'look at --app-read'
      })
    }
  }
}

/** @throws NodeDaemonError `BAD_CONFIG` */
async function chooseSandbox(options: AppOptions, folder: string): Promise<Sandbox> {
  const { memoryBytes, processes, openFiles } = options
  const parts = { limits: { memoryBytes, processes, openFiles }, tools: APP_TOOLS }
  if (options.sandbox === 'none') return { ...parts, kind: 'none', network: true }
  const sandbox: Sandbox = { ...parts, kind: 'bwrap', network: options.network }
  const problem = await probe(sandbox, folder)
  if (problem === null) return sandbox
  throw new NodeDaemonError('BAD_CONFIG', `apps cannot be kept apart on this machine: ${problem}`, {
    advice:
      "install Debian's package bubblewrap and allow user namespaces; --sandbox none runs apps as you, with all that you can read"
  })
}

/** Why nothing runs in such a sandbox here; null where it does. */
async function probe(sandbox: Sandbox, folder: string): Promise<string | null> {
  const room = join(folder, 'probe')
  await mkdir(room, { recursive: true, mode: 0o700 })
  const rooms = { workspace: room, run: room, readable: [] }
  const child = spawnConfined(confined(sandbox, rooms, ['true']), {
    folder: room,
    environment: commandEnvironment()
  })
  const said = new LogFile(join(room, 'said'))
  const output = [child.stdout, child.stderr].flatMap((stream) => (stream === null ? [] : [said.follow(stream)]))
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
    await Promise.all(output)
    return code === 0 ? null : said.lastLine || `bwrap ended with ${code ?? signal}`
  } catch (error) {
    return messageOf(error)
  } finally {
    await rm(room, { recursive: true, force: true })
  }
}
