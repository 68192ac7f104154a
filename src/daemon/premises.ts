import { join } from 'node:path'
import type { Clock } from '../core/clock.ts'
import type { WorkspaceId } from '../core/ids.ts'
import { type KeyValue, prefixed } from '../core/key-value.ts'
import type { Logger } from '../core/log.ts'
import type { Random } from '../core/random.ts'
import type { Premises } from '../handover/resident-deps.ts'
import { makeDurableFolder, removeTree } from '../worktree/disk.ts'
import type { FileSystem } from '../worktree/file-system.ts'
import { nodeFileSystem } from '../worktree/node-file-system.ts'
import type { FileReader } from '../worktree/reader.ts'
import { watchFolder } from '../worktree/watch.ts'
import { workerReader } from '../worktree/worker-reader.ts'
import { Worktree } from '../worktree/worktree.ts'

/** A disk as the workspaces of an instance need it. */
export interface PremisesDisk {
  readonly files: FileSystem
  /** Of the same files. It is closed with the premises. */
  readonly reader: FileReader
  readonly watch: typeof watchFolder
}

export interface PremisesDeps extends PremisesDisk {
  readonly folder: string
  readonly state: KeyValue
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

const PRIVATE_FOLDER = 0o700
const WORKSPACE_FOLDER = 0o755

/** The disks of this machine, read by threads of their own. */
export const machineDisk = (deps: { readonly log: Logger }): PremisesDisk => ({
  files: nodeFileSystem,
  reader: workerReader(deps),
  watch: watchFolder
})

/**
 * Where the workspaces of an instance lie: files in `workspaces/ID`, uploads on their way in `staging/ID`, files that are
 * fetched from the repository in `incoming/ID`. All are read by the same reader.
 */
export class PremisesKeeper {
  readonly #deps: PremisesDeps
  readonly #kept = new Map<WorkspaceId, Premises>()

  private constructor(deps: PremisesDeps) {
    this.#deps = deps
  }

  /** Uploads that a killed process left are removed; what was fetched halfway is gone on with. */
  static async open(deps: PremisesDeps): Promise<PremisesKeeper> {
    await removeTree(deps.files, join(deps.folder, 'staging'))
    for (const name of ['workspaces', 'staging', 'incoming', 'cookies', 'empty']) {
      await makeDurableFolder(deps.files, join(deps.folder, name), PRIVATE_FOLDER)
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
    const { files, reader, state, clock, random, log } = this.#deps
    const folder = join(this.#deps.folder, 'workspaces', workspace)
    const staging = join(this.#deps.folder, 'staging', workspace)
    const cookies = join(this.#deps.folder, 'cookies')
    const incoming = join(this.#deps.folder, 'incoming', workspace)
    const worktree = new Worktree({
      files,
      reader,
      folder,
      staging: incoming,
      index: prefixed(state, `tree/${workspace}/`),
      clock,
      random,
      log
    })
    const watch: Premises['watch'] = async (onDirty) => {
      await makeDurableFolder(files, folder, WORKSPACE_FOLDER)
      await files.makeFolders(staging, PRIVATE_FOLDER)
      return this.#deps.watch({ folder, cookies, clock, log }, onDirty)
    }
    const premises = { files, worktree, folder, staging, watch }
    this.#kept.set(workspace, premises)
    return premises
  }

  /** Ends the reading of files. */
  close(): Promise<void> {
    return this.#deps.reader.close()
  }
}
