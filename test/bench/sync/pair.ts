import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { BenchOptions } from '../benchmark.ts'
import type { Scratch } from '../scratch.ts'
import { cpuSeconds, peakResidentBytes } from '../system.ts'
import { Worker } from '../worker.ts'
import type { HomeOpened, Synced, ToHome } from './home.ts'
import type { RepositoryOpened, ToRepository } from './repository.ts'

const REPOSITORY = new URL('./repository.ts', import.meta.url)
const HOME = new URL('./home.ts', import.meta.url)

export interface PairSynced extends Synced {
  readonly cpuSeconds: { readonly repository: number; readonly home: number }
}

export const profileOf = (
  { profileFolder }: BenchOptions,
  name: string
): { readonly folder: string; readonly name: string } | null =>
  profileFolder === null ? null : { folder: profileFolder, name }

/** A main repository in a process of its own. */
export async function startRepository(
  scratch: Scratch,
  name: string,
  options: BenchOptions
): Promise<RepositoryOpened & { readonly worker: Worker }> {
  const worker = Worker.start(scratch, REPOSITORY, profileOf(options, `${name}-repository`))
  const folder = join(scratch.folder, name, 'coordinator')
  await mkdir(folder, { recursive: true })
  const opening: ToRepository = { kind: 'open', dist: options.dist, folder }
  return { worker, ...(await worker.ask<RepositoryOpened>(opening)) }
}

/** A repository and a home in two processes, connected. */
export class Pair implements AsyncDisposable {
  /** The workspace's files. */
  readonly files: string
  readonly #repository: Worker
  readonly #home: Worker

  private constructor(files: string, repository: Worker, home: Worker) {
    this.files = files
    this.#repository = repository
    this.#home = home
  }

  static async start(scratch: Scratch, name: string, options: BenchOptions): Promise<Pair> {
    const folder = join(scratch.folder, name, 'home')
    await mkdir(join(folder, 'files'), { recursive: true })
    const { worker: repository, peer, addresses } = await startRepository(scratch, name, options)
    const home = Worker.start(scratch, HOME, profileOf(options, `${name}-home`))
    const joining: ToHome = { kind: 'open', dist: options.dist, folder, repository: peer, addresses }
    const joined = await home.ask<HomeOpened>(joining)
    const welcome: ToRepository = { kind: 'home', peer: joined.peer }
    await repository.ask(welcome)
    return new Pair(join(folder, 'files'), repository, home)
  }

  /** Publishes what is on disk; ends with the repository's receipt. */
  async sync(): Promise<PairSynced> {
    const question: ToHome = { kind: 'sync' }
    const { answer, used } = await this.#withCpu<Synced>(question)
    return { ...answer, cpuSeconds: used }
  }

  /** Bytes over one stream of the same kind of connection. */
  async rawStream(bytes: number): Promise<{ readonly ms: number; readonly cpuSeconds: number }> {
    const question: ToHome = { kind: 'raw', bytes }
    const { answer, used } = await this.#withCpu<{ readonly ms: number }>(question)
    return { ...answer, cpuSeconds: used.repository + used.home }
  }

  /** What the home answers, and the CPU time that both processes used meanwhile. */
  async #withCpu<T>(question: ToHome): Promise<{ answer: T; used: PairSynced['cpuSeconds'] }> {
    const before = await this.#cpuSeconds()
    const answer = await this.#home.ask<T>(question)
    const after = await this.#cpuSeconds()
    return { answer, used: { repository: after.repository - before.repository, home: after.home - before.home } }
  }

  async #cpuSeconds(): Promise<PairSynced['cpuSeconds']> {
    return { repository: await cpuSeconds(this.#repository.pid), home: await cpuSeconds(this.#home.pid) }
  }

  async peakBytes(): Promise<{ readonly repository: number; readonly home: number }> {
    return {
      repository: await peakResidentBytes(this.#repository.pid),
      home: await peakResidentBytes(this.#home.pid)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#home[Symbol.asyncDispose]()
    await this.#repository[Symbol.asyncDispose]()
  }
}
