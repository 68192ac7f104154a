import { existsSync, mkdirSync } from 'node:fs'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { aborted, type Clock } from '../../core/clock.ts'
import { NodeDaemonError } from '../../core/errors.ts'
import { isWorkspaceId, type ServiceName, type WorkspaceId } from '../../core/ids.ts'
import type { Logger } from '../../core/log.ts'
import type { Beside, HookPlace } from '../hooks.ts'
import type { WorkspaceApps } from './command.ts'
import { DiskUse, measureByDu } from './disk-use.ts'
import { endLeftovers } from './leftovers.ts'
import { environmentOf, type Relay } from './plan.ts'
import type { SendSignal } from './running.ts'
import { type Command, confined, HOME_INSIDE, type Rooms, type Sandbox, UID_INSIDE } from './sandbox.ts'
import type { CommandSpec } from './spec.ts'
import { watchApps } from './watch.ts'
import { WorkspaceApp } from './workspace-app.ts'

/** A service that this instance runs as a command. */
export interface CommandService {
  readonly spec: CommandSpec
  /** What its app may read beside the system's programs. */
  readonly readable: readonly string[]
  /** Tells whether an app is ready once it answers; null: it is. */
  readonly isReady: ((place: HookPlace, signal: AbortSignal) => Promise<boolean>) | null
  /** Tells whether its users are at work though nobody asks it anything; null: nobody is. */
  readonly isAtWork: ((place: HookPlace, signal: AbortSignal) => Promise<boolean>) | null
}

export interface CommandAppsDeps {
  /** Where each workspace's app has a folder of its own, for its log and its socket. */
  readonly folder: string
  /** Where the files of workspaces lie: with those of one, the folder of its app goes too. */
  readonly workspaces: string
  readonly services: ReadonlyMap<ServiceName, CommandService>
  readonly sandbox: Sandbox
  readonly relay: Relay
  readonly environment: Readonly<Record<string, string>>
  /** Apps that run at once. */
  readonly appsMax: number
  readonly idleMs: number
  readonly startMs: number
  /** What is left free of the disk: nothing is started below it. */
  readonly reserveBytes: number
  readonly freeBytes: () => Promise<number>
  readonly secretOf: (workspace: WorkspaceId) => string
  readonly send: SendSignal
  readonly clock: Clock
  readonly log: Logger
}

/** The apps of an instance that run as commands, each for one workspace. */
export class CommandApps implements WorkspaceApps {
  readonly #deps: CommandAppsDeps
  readonly #apps = new Map<WorkspaceId, WorkspaceApp>()
  /** Those that have a place among the apps that run at once: from before their start until all of them has ended. */
  readonly #places = new Set<{ readonly app: WorkspaceApp }>()
  readonly #ending = new AbortController()
  #watching: Promise<void> = Promise.resolve()

  private constructor(deps: CommandAppsDeps) {
    this.#deps = deps
  }

  /** What an earlier run of the daemon has left running is ended first. */
  static async open(deps: CommandAppsDeps): Promise<CommandApps> {
    await mkdir(deps.folder, { recursive: true, mode: 0o700 })
    const tools = { ...deps.sandbox.tools, ...(await writeAccounts(deps.folder)) }
    const apps = new CommandApps({ ...deps, sandbox: { ...deps.sandbox, tools } })
    const ended = await endLeftovers(deps.folder, deps.send)
    await apps.#forgetGone()
    if (ended > 0) deps.log.info({ apps: ended }, 'apps of an earlier run were ended')
    const disk = new DiskUse({ ...deps, measure: measureByDu })
    apps.#watching = watchApps({ ...deps, disk, apps: () => [...apps.#apps.values()] }, apps.#ending.signal)
    return apps
  }

  find(workspace: WorkspaceId): WorkspaceApp | null {
    return this.#apps.get(workspace) ?? null
  }

  /** The app of a workspace that this instance becomes the home of; null where its service runs in another way. */
  of(place: HookPlace): WorkspaceApp | null {
    const { services, secretOf } = this.#deps
    const service = services.get(place.service)
    if (service === undefined || this.#ending.signal.aborted) return null
    const { isReady, isAtWork } = service
    const { signal: ending } = this.#ending
    const app: WorkspaceApp = new WorkspaceApp(
      {
        ...this.#deps,
        ...service,
        folder: this.#folderOf(place),
        secret: () => secretOf(place.workspace),
        isReady: isReady === null ? null : (signal) => isReady(place, signal),
        isAtWork: isAtWork === null ? null : () => isAtWork(place, ending),
        admit: () => this.#admit(app),
        onClosed: () => {
          if (this.#apps.get(place.workspace) === app) this.#apps.delete(place.workspace)
        }
      },
      place
    )
    this.#apps.set(place.workspace, app)
    return app
  }

  /** A command in a sandbox like that of the place's app; null where its service runs in another way. */
  beside(place: HookPlace, command: Command): Beside | null {
    const { services, sandbox, secretOf } = this.#deps
    const service = services.get(place.service)
    if (service === undefined) return null
    const run = join(this.#folderOf(place), 'run')
    mkdirSync(run, { recursive: true, mode: 0o700 })
    const rooms: Rooms = { workspace: place.folder, run, readable: service.readable }
    const base = this.find(place.workspace)?.base ?? '/'
    const environment = environmentOf(sandbox, { folder: place.folder, run, base, secret: secretOf(place.workspace) })
    return { confined: confined(sandbox, rooms, command), environment }
  }

  /** Ends all apps. */
  async close(): Promise<void> {
    this.#ending.abort()
    await Promise.all([...this.#apps.values()].map((app) => app.close()))
    await this.#watching
    await this.#forgetGone()
  }

  async #forgetGone(): Promise<void> {
    const { folder, workspaces } = this.#deps
    for (const name of (await readdir(folder)).filter(isWorkspaceId)) {
      if (!existsSync(join(workspaces, name))) await rm(join(folder, name), { recursive: true, force: true })
    }
  }

  #folderOf({ workspace }: HookPlace): string {
    return join(this.#deps.folder, workspace)
  }

  /** @throws NodeDaemonError `NO_SPACE`, `BUSY` */
  async #admit(app: WorkspaceApp): Promise<() => void> {
    const { appsMax, reserveBytes, freeBytes } = this.#deps
    if ((await freeBytes()) < reserveBytes) {
      throw new NodeDaemonError('NO_SPACE', 'the disk of this server is nearly full: no app is started')
    }
    while (this.#places.size >= appsMax) await this.#makeRoom()
    if (this.#ending.signal.aborted) throw aborted(this.#ending.signal)
    const place = { app }
    this.#places.add(place)
    return () => void this.#places.delete(place)
  }

  /** On return one more may have ended; another app may have taken its place already. */
  async #makeRoom(): Promise<void> {
    const { appsMax } = this.#deps
    const idle = [...this.#places].map(({ app }) => app).filter(({ idleSince }) => idleSince !== null)
    for (const app of idle.sort((a, b) => (a.idleSince ?? 0) - (b.idleSince ?? 0))) if (await app.stopIfIdle()) return
    throw new NodeDaemonError('BUSY', `${appsMax} apps are in use on this server, and no more may run at once`)
  }
}

/** What programs look up of the one user that there is in a sandbox. Resolves with the files, by where they are inside. */
async function writeAccounts(folder: string): Promise<Record<string, string>> {
  const accounts = {
    passwd: `app:x:${UID_INSIDE}:${UID_INSIDE}::${HOME_INSIDE}:/bin/sh\n`,
    group: `app:x:${UID_INSIDE}:\n`
  }
  const found: Record<string, string> = {}
  for (const [name, text] of Object.entries(accounts)) {
    const path = join(folder, name)
    await writeFile(path, text)
    found[`/etc/${name}`] = path
  }
  return found
}
