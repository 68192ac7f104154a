import type { ChildProcess } from 'node:child_process'
import type { Readable } from 'node:stream'
import { aborted, type Clock, sleep, withTimeout } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { ServiceName, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { Slots } from '../core/parallel.ts'
import type { SnapshotHooks } from '../sync/snapshot-hooks.ts'
import type { Command, Confined } from './command/sandbox.ts'
import { spawnConfined } from './command/spawn.ts'

/** What an operator lets run around the snapshots of a service's workspaces: lines for `/bin/sh -c`. */
export interface HookCommands {
  readonly before: string | null
  readonly after: string | null
}

/** The workspace in whose folder a command runs. */
export interface HookPlace {
  readonly workspace: WorkspaceId
  readonly service: ServiceName
  readonly epoch: number
  readonly folder: string
}

/** A command in the sandbox of an app. */
export interface Beside {
  readonly confined: Confined
  readonly environment: Readonly<Record<string, string>>
}

export interface HookDeps {
  readonly clock: Clock
  readonly log: Logger
  /**
   * How a command runs beside an app that runs in a sandbox: in one like it, with more in its environment. Null where the
   * service of the place has none.
   */
  readonly beside?: (place: HookPlace, command: Command) => Beside | null
  /** All that a command finds in its environment beside what says where it is. */
  readonly environment: Readonly<Record<string, string>>
  /** How long one command may take, in milliseconds. */
  readonly timeoutMs: number
  /** Ends a process and all others of its group, at once. Does nothing where there is none left. */
  readonly killGroup: (pid: number) => void
}

/** `before-snapshot` commands that run at once, over all workspaces of an instance. */
const AT_ONCE = 4
const OUTPUT_CHARACTERS_KEPT = 4096
const LAST_LINE_CHARACTERS_MAX = 200
/** How long the output of a command that has ended is still read: what it left running may hold it open. */
const LAST_OUTPUT_MS = 100

/**
 * Runs an operator's commands. Each runs as `/bin/sh -c COMMAND` in the workspace's folder, in the sandbox of its app where
 * that has one, in a process group of its own, with nothing on stdin and with WORKSPACE_ID, WORKSPACE_DIR, SERVICE and EPOCH in an otherwise clean environment. After
 * its time it is killed with its group. The end of its output is logged where it fails. What it starts in the background
 * is left alone when it ends by itself.
 */
export class CommandHooks {
  readonly #deps: HookDeps
  readonly #slots = new Slots(AT_ONCE)

  constructor(deps: HookDeps) {
    this.#deps = deps
  }

  /** @throws NodeDaemonError from `before`: `BUSY` it ended with another code than 0, `TIMED_OUT` it took too long */
  of({ before, after }: HookCommands, place: HookPlace): SnapshotHooks {
    return {
      before: async (signal) => {
        if (before !== null) await this.#slots.run(() => this.#run('before-snapshot', before, place, signal))
      },
      after: async () => {
        if (after === null) return
        // Its failure is logged where it happens: the snapshot is taken already.
        await this.#run('after-snapshot', after, place).catch(() => undefined)
      }
    }
  }

  /**
   * Whether users are at work in a place: the command ends with 0. One that cannot be asked, or that takes too long, is
   * taken to be at work: nobody is to be interrupted by mistake.
   */
  async isAtWork(command: string, place: HookPlace, signal: AbortSignal): Promise<boolean> {
    try {
      return await this.#slots.run(async () => (await this.#ask('busy', command, place, new Tail(), signal)) === '0')
    } catch (error) {
      if (signal.aborted) throw error
      const { workspace, service } = place
      this.#deps.log.warn({ workspace, service, error: messageOf(error) }, 'busy was not answered')
      return true
    }
  }

  /**
   * Has an app write what it has, before its workspace is moved.
   *
   * @throws NodeDaemonError `BUSY`, `TIMED_OUT` as `before`; `ABORTED` by the signal
   */
  async freeze(command: string, place: HookPlace, signal: AbortSignal): Promise<void> {
    await this.#run('freeze', command, place, signal)
  }

  /** Tells an app that its workspace stays. Never rejects: a failure is logged. */
  async thaw(command: string, place: HookPlace): Promise<void> {
    await this.#run('thaw', command, place).catch(() => undefined)
  }

  /** Is an app that answers ready for users? The command ends with 0. */
  async isReady(command: string, place: HookPlace, signal: AbortSignal): Promise<boolean> {
    try {
      return (await this.#ask('ready', command, place, new Tail(), signal)) === '0'
    } catch (error) {
      if (signal.aborted) throw error
      return false
    }
  }

  /** How the command ended. */
  async #ask(name: string, command: string, place: HookPlace, output: Tail, signal?: AbortSignal): Promise<string> {
    if (signal?.aborted) throw aborted(signal)
    const { clock, timeoutMs } = this.#deps
    const what = `${name} of ${place.service}`
    return await withTimeout(clock, timeoutMs, what, (late) => this.#runCommand(command, place, output, late), signal)
  }

  async #run(name: string, command: string, place: HookPlace, signal?: AbortSignal): Promise<void> {
    const { log } = this.#deps
    const { workspace, service } = place
    const output = new Tail()
    try {
      const ending = await this.#ask(name, command, place, output, signal)
      if (ending === '0') return
      throw new NodeDaemonError('BUSY', `${name} of ${service} ended with ${ending}${output.lastLine}`, {
        advice: 'look at the log for its output, and run the command by hand in the folder of the workspace'
      })
    } catch (error) {
      if (signal?.aborted) throw error
      log.warn({ workspace, service, error: messageOf(error), output: output.text }, `${name} failed`)
      throw error
    }
  }

  async #runCommand(command: string, place: HookPlace, output: Tail, signal: AbortSignal): Promise<string> {
    const words: Command = ['/bin/sh', '-c', command]
    const beside = this.#deps.beside?.(place, words)
    const environment = { ...this.#deps.environment, ...variablesOf(place), ...beside?.environment }
    const child = spawnConfined(beside?.confined ?? plain(words), { folder: place.folder, environment })
    const kill = (): void => {
      if (child.pid !== undefined) this.#deps.killGroup(child.pid)
    }
    signal.addEventListener('abort', kill, { once: true })
    try {
      return await this.#ended(child, output)
    } finally {
      signal.removeEventListener('abort', kill)
    }
  }

  /** The exit code, or the name of the signal. Rejects where it could not be started. */
  async #ended(child: ChildProcess, output: Tail): Promise<string> {
    const { stdout, stderr } = child
    const closed = Promise.withResolvers<void>()
    const exited = new Promise<string>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code, signal) => resolve(String(code ?? signal)))
    })
    child.once('close', () => closed.resolve())
    for (const stream of [stdout, stderr]) if (stream !== null) output.readFrom(stream)
    const ending = await exited
    await Promise.race([closed.promise, sleep(this.#deps.clock, LAST_OUTPUT_MS)])
    stdout?.destroy()
    stderr?.destroy()
    return ending
  }
}

const plain = ([file, ...args]: Command): Confined => ({ file, args, hidden: [] })

const variablesOf = ({ workspace, service, epoch, folder }: HookPlace): Record<string, string> => ({
  WORKSPACE_ID: workspace,
  WORKSPACE_DIR: folder,
  SERVICE: service,
  EPOCH: String(epoch)
})

/** The end of what a command says. */
class Tail {
  #text = ''

  get text(): string {
    return this.#text
  }

  /** For a message: after a colon, empty where nothing was said. */
  get lastLine(): string {
    const line = this.#text.trimEnd().split('\n').at(-1)?.trim().slice(0, LAST_LINE_CHARACTERS_MAX) ?? ''
    return line === '' ? '' : `: ${line}`
  }

  readFrom(stream: Readable): void {
    stream.setEncoding('utf8')
    stream.on('data', (chunk: string) => {
      this.#text = (this.#text + chunk).slice(-OUTPUT_CHARACTERS_KEPT)
    })
    stream.on('error', () => undefined)
  }
}
