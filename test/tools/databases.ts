import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { chmod, chown, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { requireProgram, runTool } from './debian.ts'
import type { TestFederation } from './federation.ts'
import type { WebUser } from './web-user.ts'

const RECIPES = fileURLToPath(new URL('../../examples/databases', import.meta.url))
const PATIENCE_MS = 60_000
const LOG_LINES_KEPT = 40

/** A home that is only slow, on a machine that has much to do, is not taken for dead. */
export const PATIENT: readonly string[] = ['--failover-after', '4s']

/** The script of a recipe, as it stands. */
export const recipe = (database: string, script: string): string => join(RECIPES, database, script)

export const shortHooks = (before: string, after: string | null = null): string[] => [
  ...['--hook-interval', '300ms', '--before-snapshot', `files=${before}`],
  ...(after === null ? [] : ['--after-snapshot', `files=${after}`])
]

type Environment = Readonly<Record<string, string>>

/** What a test starts of a database, in a folder of its own that its user may enter. All of it is ended on dispose. */
export class DatabaseHost implements AsyncDisposable {
  readonly folder: string
  readonly #user: { readonly uid: number; readonly gid: number; readonly name: string } | null
  readonly #children: ChildProcessWithoutNullStreams[] = []

  private constructor(folder: string, user: DatabaseHost['user']) {
    this.folder = folder
    this.#user = user
  }

  /** @param userName whom a server runs as where this process is root's, which no server wants */
  static async open(userName: string): Promise<DatabaseHost> {
    const folder = await mkdtemp(join(tmpdir(), 'database-'))
    await chmod(folder, 0o755)
    if (process.getuid?.() !== 0) return new DatabaseHost(folder, null)
    const line = new RegExp(`^${userName}:[^:]*:(\\d+):(\\d+):`, 'm').exec(await readFile('/etc/passwd', 'utf8'))
    const [uid, gid] = [Number(line?.[1]), Number(line?.[2])]
    await chown(folder, uid, gid)
    return new DatabaseHost(folder, { uid, gid, name: userName })
  }

  get user(): { readonly uid: number; readonly gid: number; readonly name: string } | null {
    return this.#user
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  /** A process that runs until `kill` or the end. A server runs as the database's user. */
  start(
    file: string,
    args: readonly string[],
    options: { readonly env?: Environment; readonly server?: boolean } = {}
  ) {
    const identity = options.server === true && this.#user !== null ? { uid: this.#user.uid, gid: this.#user.gid } : {}
    const child = spawn(file, args, { cwd: this.folder, env: { ...process.env, ...options.env }, ...identity })
    this.#children.push(child)
    const log: string[] = []
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        log.push(line)
        if (log.length > LOG_LINES_KEPT) log.shift()
      })
    }
    child.on('error', (error) => log.push(error.message))
    return { child, log }
  }

  /** A client that carries out one statement after the other. */
  session(file: string, args: readonly string[], env: Environment = {}): Session {
    const { child, log } = this.start(file, args, { env })
    return new Session(child, log)
  }

  /** As the database's user, to its end. */
  async asServer(file: string, args: readonly string[]): Promise<string> {
    const user = this.#user
    if (user === null) return this.run(file, args)
    const identity = [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups']
    return this.run(requireProgram('/usr/bin/setpriv', 'util-linux'), [...identity, file, ...args])
  }

  async run(file: string, args: readonly string[], env: Environment = {}): Promise<string> {
    return (await runTool(file, args, { signal: AbortSignal.timeout(PATIENCE_MS), env })).trim()
  }

  /** Ends all that was started here without a word. */
  async kill(): Promise<void> {
    const running = this.#children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)
    await Promise.all(
      running.map((child) => {
        const ended = new Promise((resolve) => child.once('exit', resolve))
        return child.kill('SIGKILL') ? ended : undefined
      })
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}

/** Lines in, lines out: each statement is answered by the line that it selects. */
export class Session {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #log: readonly string[]
  readonly #answers: AsyncIterator<string>

  constructor(child: ChildProcessWithoutNullStreams, log: readonly string[]) {
    this.#child = child
    this.#log = log
    this.#answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  }

  /** Resolves once the database has answered with this line; what it said before is skipped. */
  async ask(statement: string, answer: string): Promise<void> {
    this.#child.stdin.write(`${statement}\n`)
    for (;;) {
      const { value, done } = await this.#answers.next()
      if (done === true) throw new Error(`no "${answer}" after ${statement}\n${this.#log.join('\n')}`)
      if (value === answer) return
    }
  }
}

/** Commits one row after the other, each with the next number. */
export class Counter {
  committed = 0
  readonly #commit: (number: number) => Promise<void>

  constructor(commit: (number: number) => Promise<void>) {
    this.#commit = commit
  }

  async commit(count: number): Promise<void> {
    for (let left = count; left > 0; left--) {
      await this.#commit(this.committed + 1)
      this.committed++
    }
  }
}

export interface Pair {
  readonly ada: WebUser
  /** Ada's workspace on its home. */
  readonly folder: string
}

/** Ada's workspace has its home at alpha and a standby at beta; each runs with these flags. */
export async function homeAndStandby(
  federation: TestFederation,
  flags: Readonly<Record<'alpha' | 'beta', readonly string[]>>
): Promise<Pair> {
  await federation.join('alpha', flags.alpha)
  const ada = await federation.addUser('ada')
  await ada.save('/readme.txt', 'the database of ada')
  await federation.join('beta', flags.beta)
  await federation.settled()
  return { ada, folder: await federation.filesOf(ada, 'alpha') }
}

/** The unsynced state of the home: nothing is left that was changed before the call, hooks included. */
export async function synced(
  federation: TestFederation,
  ada: WebUser,
  newerThan: number,
  home = 'alpha'
): Promise<void> {
  let calm = 0
  await federation.until('everything is in a published head', async () => {
    const { unsyncedAgeMs, unsyncedBytes } = await federation.status(home)
    const { head } = await federation.workspaceOf(ada)
    const isCalm = unsyncedAgeMs === 0 && unsyncedBytes === 0 && (head?.sequence ?? 0) > newerThan
    calm = isCalm ? calm + 1 : 0
    return calm > 1
  })
}

/** Three backups of the database with rows between; of the first, neither base nor log is kept. */
export async function expectRotation(at: {
  /** Where the recipe keeps what it made. */
  readonly folder: string
  readonly isBase: (name: string) => boolean
  readonly log: string
  readonly backup: () => Promise<unknown>
  readonly commit: () => Promise<unknown>
}): Promise<void> {
  const bases = async (): Promise<string[]> => (await readdir(at.folder)).filter(at.isBase)
  const log = async (): Promise<string[]> => (await readdir(join(at.folder, at.log))).sort()
  await at.backup()
  const [[firstBase = ''], [firstOfLog = '']] = [await bases(), await log()]
  for (const _ of ['second', 'third']) {
    await at.commit()
    await at.backup()
  }
  expect(await bases()).toHaveLength(2)
  expect(await bases(), 'the oldest base is gone').not.toContain(firstBase)
  expect(await log(), 'and its log').not.toContain(firstOfLog)
}

/** Waits until all rows so far are synced, and commits some more. Resolves with how many are synced at the least. */
export async function syncedAndMore(
  federation: TestFederation,
  ada: WebUser,
  newerThan: number,
  { counter, more }: { readonly counter: Counter; readonly more: number }
): Promise<number> {
  await synced(federation, ada, newerThan)
  const noted = counter.committed
  await counter.commit(more)
  return noted
}

/** The database has every row up to one that was committed, and each that was synced. */
export function expectAllSynced(
  { count, highest }: { readonly count: number | undefined; readonly highest: number | undefined },
  counter: Counter,
  noted: number
): void {
  expect(count, 'none is missing between').toBe(highest)
  expect(highest).toBeGreaterThanOrEqual(noted)
  expect(highest).toBeLessThanOrEqual(counter.committed)
}

export const sequenceOf = async (federation: TestFederation, ada: WebUser): Promise<number> =>
  (await federation.workspaceOf(ada)).head?.sequence ?? 0

/** The home dies with its database; the standby serves the workspace. Resolves with the workspace's folder there. */
export async function dieAndPromote(federation: TestFederation, ada: WebUser, host: DatabaseHost): Promise<string> {
  await Promise.all([federation.kill('alpha'), host.kill()])
  await federation.until('beta serves', async () => (await ada.get('/readme.txt')).by === 'beta')
  return federation.filesOf(ada, 'beta')
}
