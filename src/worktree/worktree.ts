import { dirname } from 'node:path'
import type { CID } from 'multiformats/cid'
import type { BlockSink } from '../content/file.ts'
import { RAW_CODEC } from '../core/blocks.ts'
import type { Clock } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { KeyValue } from '../core/key-value.ts'
import type { Logger } from '../core/log.ts'
import { Mutex } from '../core/mutex.ts'
import type { Random } from '../core/random.ts'
import { type Applied, applyTree } from './apply.ts'
import { diskFailure, look, makeDurableFolder, removeTree } from './disk.ts'
import type { Facts } from './facts.ts'
import type { FileSystem } from './file-system.ts'
import type { Fetch } from './intake.ts'
import { leafOnDisk } from './leaf.ts'
import { pathsOf, type Touched, touchedTree, type WorkspacePath } from './paths.ts'
import type { Beginning, FileReader, ReaderOptions } from './reader.ts'
import { isLittle } from './scan.ts'
import { Staging } from './staging.ts'
import { EVERYTHING, type Survey, survey } from './survey.ts'
import { Outdated, TreeIndex } from './tree-index.ts'
import { NEW_STATE } from './tree-state.ts'

export interface WorktreeDeps {
  readonly files: FileSystem
  /** The workspace's files. */
  readonly folder: string
  /** On the same file system and outside every workspace: files on their way in. Other workspaces may use it too. */
  readonly staging: string
  /** Of this workspace alone. */
  readonly index: KeyValue
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Of the same files. */
  readonly reader: FileReader
}

export interface Snapshot {
  readonly root: CID
  /** Everything but folders. */
  readonly files: number
  /** Content of the files. */
  readonly bytes: number
  /** At most 100 paths: kept changing while they were read, could not be read or named, or are neither file, folder nor link. */
  readonly unsettled: readonly string[]
  /**
   * Remembers this snapshot as the state on disk, so that the next one reads only what changed. Call once its head is
   * durable elsewhere; until then a later snapshot reads the same files again and offers the same blocks again. Does
   * nothing where a later snapshot was begun or a tree applied: what this one saw is then looked at again.
   */
  commit(): Promise<void>
}

export interface SnapshotOptions {
  readonly signal?: AbortSignal
  /** Trusts nothing that was remembered: everything is read and offered. */
  readonly forget?: boolean
  /** Does somebody wait for it now? Where nobody does, a look at everything gives way to all else that uses the disk. */
  readonly isWaitedFor?: () => boolean
}

export interface ApplyOptions {
  readonly signal?: AbortSignal
  /** Trusts nothing that was remembered of the files: all that are there are read. */
  readonly forget?: boolean
}

const nobody = (): boolean => false

/** Up to so many touched paths are looked at together, before anything else. */
const LOOK_AHEAD = 512
/** More paths than this that no commit has covered, and the next snapshot looks at everything. */
const MAX_UNCOMMITTED = 100_000

/**
 * A workspace's folder as a tree of blocks, and back. Kept of each entry: its name, content or target, permission bits
 * and modification time (whole microseconds); not its owner. The workspace's own folder counts as mode 0755 of 1970, so
 * that the root depends on nothing but what is in it. Calls run one after another.
 */
export class Worktree {
  readonly #deps: WorktreeDeps
  readonly #index: TreeIndex
  readonly #staging: Staging
  readonly #reader: FileReader
  readonly #turn = new Mutex()
  /** Rises with each snapshot and each apply: only the newest snapshot can be committed. */
  #generation = 0
  #uncommitted: Set<WorkspacePath> | 'all' = new Set()
  /** Nobody but `apply` has written since the index was last compared with the disk. */
  #diskIsKnown = false

  constructor(deps: WorktreeDeps) {
    this.#deps = deps
    this.#index = new TreeIndex(deps.index)
    this.#staging = new Staging(deps)
    this.#reader = deps.reader
  }

  /**
   * The tree of what is on disk. Blocks that the last committed state does not have go to `sink`, one at a time, children
   * before parents, the root last. Blocks of a file that changed while it was read may be among them.
   *
   * One that throws has seen nothing: what it was to look at has to be named again.
   *
   * @param what touched paths, each meaning the entry with all below it, or that it is gone; `all` looks at everything and reads
   *   what looks different
   * @throws NodeDaemonError `NOT_FOUND` when the folder of a workspace that had one is missing; `BAD_REQUEST` for a path that leads
   *   out; also what `sink` throws
   */
  snapshot(
    what: { readonly paths: ReadonlySet<WorkspacePath> } | 'all',
    sink: BlockSink,
    options: SnapshotOptions = {}
  ): Promise<Snapshot> {
    return this.#alone(async () => {
      const uncommitted = this.#uncommitted
      const touched = this.#touched(what)
      this.#diskIsKnown = false
      const generation = ++this.#generation
      const found = await this.#survey(touched, oneAtATime(sink), options).catch((error: unknown) => {
        this.#uncommitted = uncommitted
        throw error
      })
      const { files, bytes } = found.state
      return {
        root: found.root,
        files,
        bytes,
        unsettled: found.unsettled,
        commit: () => this.#commit(generation, found)
      }
    })
  }

  #touched(what: { readonly paths: ReadonlySet<WorkspacePath> } | 'all'): Touched {
    if (what === 'all' || this.#uncommitted === 'all') {
      this.#uncommitted = 'all'
      return EVERYTHING
    }
    const paths = new Set([...this.#uncommitted, ...what.paths])
    const touched = touchedTree(paths)
    this.#uncommitted = paths.size > MAX_UNCOMMITTED ? 'all' : paths
    return touched
  }

  async #survey(
    touched: Touched,
    sink: BlockSink,
    { signal, forget = false, isWaitedFor = nobody }: SnapshotOptions
  ): Promise<Survey> {
    const { files, clock, log } = this.#deps
    const isPrompt = (): boolean => !touched.whole || isWaitedFor()
    const paths = pathsOf(touched, LOOK_AHEAD) ?? []
    const atOnce = isLittle(paths.length)
    const { folder, begunNs, facts } = await this.#begin(paths, { prompt: isPrompt(), atOnce, signal })
    const looked = new Map(paths.map((path, at): [WorkspacePath, Facts] => [path, facts.get(at)]))
    const [index, reader] = [this.#index, this.#reader]
    const deps = { files, folder, begunNs, looked, index, reader, isPrompt, clock, log, sink, signal, forget }
    const found = await survey(deps, touched)
    await this.#index.flush()
    return found
  }

  /** Looks at these paths, and makes what a new workspace does not have yet. */
  async #begin(
    paths: readonly WorkspacePath[],
    options: ReaderOptions
  ): Promise<{ folder: string; begunNs: bigint; facts: Beginning['facts'] }> {
    const request = { folder: this.#deps.folder, stamp: this.#staging.stampPath, paths }
    const begun = await this.#reader.begin(request, options)
    if (begun.folder !== null && begun.begunNs !== null)
      return { ...begun, folder: begun.folder, begunNs: begun.begunNs }
    const begunNs = await this.#staging.nowNs()
    const folder = await this.#realFolder()
    return { folder, begunNs, facts: (await this.#reader.begin(request, options)).facts }
  }

  #commit(generation: number, found: Survey): Promise<void> {
    return this.#alone(async () => {
      if (generation !== this.#generation) return
      await this.#index.record(found.changes, found.state, { durable: false })
      this.#generation++
      this.#uncommitted = new Set()
      await this.#index.sweepWhenDue()
    })
  }

  /**
   * Makes the folder equal to `root`, replacing only what differs from what is on disk. Content that any file of the
   * workspace has is taken from there; the rest is asked of `fetch`, in batches of at most 256 blocks or about 8 MiB of
   * content. On return all is on disk and the root recorded, durably. Interrupted at any moment, the next call
   * completes it. Entries that no tree can have (sockets, names that are not UTF-8) stay, unless they are in the way. Nobody else may write meanwhile; after an `apply`
   * and until the next snapshot, this object takes it that nobody did.
   *
   * @throws NodeDaemonError `INTEGRITY` for a tree or bytes that are not what their names say, `NOT_FOUND` when a block was not sent,
   *   `TOO_LARGE` above 1,000,000 entries that differ, `NO_SPACE`; also what `fetch` throws
   */
  apply(root: CID, fetch: Fetch, { signal, forget = false }: ApplyOptions = {}): Promise<Applied> {
    return this.#alone(async () => {
      this.#generation++
      const known = this.#diskIsKnown
      this.#diskIsKnown = false
      const applied = await this.#applyFrom(known && !forget, forget, root, fetch, signal)
      this.#diskIsKnown = true
      this.#uncommitted = new Set()
      await this.#index.sweepWhenDue()
      return applied
    })
  }

  async #applyFrom(
    known: boolean,
    forgets: boolean,
    root: CID,
    fetch: Fetch,
    signal: AbortSignal | undefined
  ): Promise<Applied> {
    const { files, log } = this.#deps
    const attempt = async (trusted: boolean, forget: boolean): Promise<Applied> => {
      const state = await this.#stateOfDisk(trusted, forget, signal)
      const folder = await this.#realFolder()
      const [index, staging] = [this.#index, this.#staging]
      return applyTree({ files, folder, index, staging, fetch, signal, onDiskIsDurable: trusted }, state, root)
    }
    try {
      return await attempt(known, forgets)
    } catch (error) {
      if (!(error instanceof Outdated)) throw error
      log.warn({ reason: messageOf(error) }, 'the index of a workspace is out of date: all its files are read again')
      return attempt(false, true)
    }
  }

  /** The tree on disk, recorded in the index. */
  async #stateOfDisk(known: boolean, forget: boolean, signal: AbortSignal | undefined): Promise<Survey['state']> {
    const before = await this.#index.state()
    if (known && before !== null && before.root !== null && !before.applying) return { ...before, root: before.root }
    const found = await this.#survey(EVERYTHING, () => undefined, { forget, ...(signal !== undefined && { signal }) })
    const applying = before?.applying === true || before?.root?.equals(found.root) !== true
    const state = { ...found.state, applying }
    await this.#index.record(found.changes, state, { durable: false })
    return state
  }

  /** The root that was applied or committed last. Null for a new workspace, and while an interrupted `apply` waits to be completed. */
  async appliedRoot(): Promise<CID | null> {
    const state = await this.#index.state()
    return state === null || state.applying ? null : state.root
  }

  /** The bytes of a node or leaf of the last committed or applied tree, checked. Null where they are not at hand. */
  async readBlock(cid: CID): Promise<Uint8Array | null> {
    try {
      return cid.code === RAW_CODEC
        ? await leafOnDisk({ ...this.#deps, index: this.#index }, cid)
        : await this.#index.node(cid)
    } catch (error) {
      throw diskFailure(error)
    }
  }

  /** What the last committed or applied tree has: everything but folders, and the content of its files. */
  async usage(): Promise<{ files: number; bytes: number }> {
    const { files, bytes } = (await this.#index.state()) ?? NEW_STATE
    return { files, bytes }
  }

  /** Removes all files and all that is remembered. On return the workspace is a new one, durably. */
  remove(): Promise<void> {
    return this.#alone(async () => {
      this.#generation++
      this.#diskIsKnown = false
      const state = (await this.#index.state()) ?? NEW_STATE
      await this.#index.record({ put: new Map(), remove: new Set() }, { ...state, applying: true }, { durable: true })
      const { files, folder } = this.#deps
      await removeTree(files, folder)
      const above = dirname(folder)
      if ((await look(files, above)) !== null) await files.syncFolder(above)
      await this.#staging.clear()
      await this.#index.clear()
      this.#uncommitted = new Set()
    })
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#turn.run(async () => {
      try {
        return await work()
      } catch (error) {
        throw diskFailure(error)
      }
    })
  }

  /** Has somebody taken the folder of a workspace that had one away? What stood in it is no deletion by its user. */
  async folderIsGone(): Promise<boolean> {
    const state = await this.#index.state()
    return (
      state !== null &&
      state.root !== null &&
      !state.applying &&
      (await look(this.#deps.files, this.#deps.folder)) === null
    )
  }

  /** Made for a new workspace; one that had files must have its folder. */
  async #realFolder(): Promise<string> {
    const { files, folder } = this.#deps
    const state = await this.#index.state()
    if (state?.root === null || state?.applying === true) await makeDurableFolder(files, folder)
    if ((await look(files, folder)) === null) {
      throw new NodeDaemonError('NOT_FOUND', `the folder ${folder} is missing`, {
        advice: 'look whether its disk is mounted'
      })
    }
    return files.realpath(folder)
  }
}

/** A sink that is never called before its last call is done with. */
function oneAtATime(sink: BlockSink): BlockSink {
  const turn = new Mutex()
  return (block) => turn.run(async () => sink(block))
}
