import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../core/clock.ts'
import type { WorkspaceId } from '../core/ids.ts'
import { type KeyValue, prefixed } from '../core/key-value.ts'
import type { Logger } from '../core/log.ts'
import type { Random } from '../core/random.ts'
import type { Premises } from '../handover/resident-deps.ts'
import type { FileReader } from '../worktree/reader.ts'
import { watchFolder } from '../worktree/watch.ts'
import { workerReader } from '../worktree/worker-reader.ts'
import { Worktree } from '../worktree/worktree.ts'

export interface PremisesDeps {
  readonly folder: string
  readonly state: KeyValue
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/**
 * Where the workspaces of an instance lie: files in `workspaces/ID`, uploads on their way in `staging/ID`, files that are
 * fetched from the repository in `incoming/ID`. All are read by the same threads.
 */
export class PremisesKeeper {
  readonly #deps: PremisesDeps
  readonly #reader: FileReader
  readonly #kept = new Map<WorkspaceId, Premises>()

  private constructor(deps: PremisesDeps) {
    this.#deps = deps
    this.#reader = workerReader(deps)
  }

  /** Uploads that a killed process left are removed; what was fetched halfway is gone on with. */
  static async open(deps: PremisesDeps): Promise<PremisesKeeper> {
    await rm(join(deps.folder, 'staging'), { recursive: true, force: true })
    for (const name of ['workspaces', 'staging', 'incoming', 'cookies', 'empty']) {
      await mkdir(join(deps.folder, name), { recursive: true, mode: 0o700 })
    }
    return new PremisesKeeper(deps)
  }

  /** A folder that is always empty: what a newcomer without a workspace sees. */
  get empty(): { readonly folder: string; readonly staging: string } {
    return { folder: join(this.#deps.folder, 'empty'), staging: join(this.#deps.folder, 'staging') }
  }

  async of(workspace: WorkspaceId): Promise<Premises> {
    const known = this.#kept.get(workspace)
    if (known !== undefined) return known
    const { state, clock, random, log } = this.#deps
    const folder = join(this.#deps.folder, 'workspaces', workspace)
    const staging = join(this.#deps.folder, 'staging', workspace)
    const cookies = join(this.#deps.folder, 'cookies')
    const incoming = join(this.#deps.folder, 'incoming', workspace)
    const worktree = new Worktree({
      folder,
      staging: incoming,
      index: prefixed(state, `tree/${workspace}/`),
      clock,
      random,
      log,
      reader: this.#reader
    })
    const watch: Premises['watch'] = async (onDirty) => {
      await mkdir(folder, { recursive: true, mode: 0o755 })
      await mkdir(staging, { recursive: true, mode: 0o700 })
      return watchFolder({ folder, cookies, clock, log }, onDirty)
    }
    const premises = { worktree, folder, staging, watch }
    this.#kept.set(workspace, premises)
    return premises
  }

  /** Ends the reading of files. */
  close(): Promise<void> {
    return this.#reader.close()
  }
}
