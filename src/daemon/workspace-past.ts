import { CID } from 'multiformats/cid'
import type { SnapshotAt } from '../console/inputs.ts'
import type { Caller, WorkspacePast } from '../console/service.ts'
import type { HeadView, RestoreView, SnapshotView } from '../console/views.ts'
import { loadNode } from '../content/file.ts'
import type { Entry } from '../content/folder.ts'
import { entryAt } from '../content/replace.ts'
import type { Clock } from '../core/clock.ts'
import { codeOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { SignedHead } from '../core/records.ts'
import type { Director } from '../handover/director.ts'
import type { Instances, Quieting } from '../handover/neighbours.ts'
import { restoreInPlace } from '../handover/restore.ts'
import type { Audit, Decision } from '../membership/audit.ts'
import { carOf } from '../store/car-export.ts'
import type { HistoryRange, MainRepository } from '../store/repository.ts'
import { chooseHead, type Moment, tooMuchSaid } from './choose-head.ts'
import { withProgress } from './progress.ts'
import { time } from './views.ts'

/** A restore that has not begun by then, as others change the workspace, is given up. */
const RESTORE_DEADLINE_MS = 15 * 60_000
/** How many heads are looked through for a moment, at once and in all. */
const LOOKED_AT_ONCE = 256
const LOOKED_AT_MAX = 1_000_000

export interface WorkspacePastDeps {
  readonly repository: Pick<
    MainRepository,
    'history' | 'diverged' | 'closure' | 'read' | 'keep' | 'flush' | 'tip' | 'head'
  >
  readonly director: Pick<Director, 'whileHeld'>
  readonly instances: Pick<Instances, 'order' | 'nameOf'>
  readonly idle: Quieting['idle']
  /** @throws NodeDaemonError `NOT_FOUND`, `AMBIGUOUS` */
  readonly resolve: (text: string) => WorkspaceId
  readonly audit: Audit
  readonly clock: Clock
}

interface Found {
  readonly workspace: WorkspaceId
  readonly head: SignedHead
  readonly path: readonly string[]
  readonly entry: Pick<Entry, 'cid' | 'totalBytes'>
}

/** The retained moments of workspaces, for those who look back, fetch or return. */
export class LiveWorkspacePast implements WorkspacePast {
  readonly #deps: WorkspacePastDeps

  constructor(deps: WorkspacePastDeps) {
    this.#deps = deps
  }

  async history({ role }: Caller, text: string, limit: number): Promise<HeadView[]> {
    const { repository, resolve } = this.#deps
    const workspace = resolve(text)
    const views = (await repository.history(workspace, { limit })).map((head) => this.#headView(head, false))
    const diverged = (await repository.diverged(workspace)).map((head) => this.#headView(head, true))
    const all = role === 'admin' ? [...views, ...diverged] : [...views, ...diverged].map(withoutPaths)
    return all.sort((a, b) => b.sequence - a.sequence || Number(a.diverged) - Number(b.diverged))
  }

  async snapshot(text: string, at: SnapshotAt): Promise<SnapshotView> {
    const { workspace, head, path, entry } = await this.#find(text, at)
    const node = await loadNode(entry.cid, this.#load(workspace))
    return {
      workspace,
      head: await this.#viewOf(head),
      path: path.join('/'),
      kind: node.kind === 'file' || node.kind === 'link' ? node.kind : 'folder',
      cid: entry.cid.toString(),
      totalBytes: entry.totalBytes
    }
  }

  async *export({ actor }: Caller, text: string, at: SnapshotAt): AsyncGenerator<Uint8Array> {
    const { repository, audit } = this.#deps
    const { workspace, head, path, entry } = await this.#find(text, at)
    const details = { head: head.cid.toString(), path: path.join('/') }
    await audit({ actor, action: 'workspace.export', target: workspace, details })
    yield* carOf([entry.cid], repository.closure(head, entry.cid))
  }

  async *restore({ actor }: Caller, text: string, at: SnapshotAt): AsyncGenerator<RestoreView> {
    const { audit, clock, idle } = this.#deps
    const { workspace, head, path } = await this.#find(text, at)
    const signal = AbortSignal.timeout(RESTORE_DEADLINE_MS)
    yield* withProgress(clock, { state: 'working' as const }, async () => {
      const wish = { from: head.cid.toString(), path: path.join('/') }
      const note = (action: string, details: Decision['details']): Promise<void> =>
        audit({ actor, action, target: workspace, details })
      const restored = await restoreInPlace(this.#deps, head, path, { idle, signal }).catch(async (error: unknown) => {
        // Requests were held, and the home may have gone back all the same.
        await note('workspace.restore.failed', { ...wish, error: codeOf(error) })
        throw error
      })
      const { before, after, pauseMs } = restored
      await note('workspace.restore', { ...wish, before: before.cid.toString(), after: after.cid.toString() })
      return {
        state: 'done' as const,
        workspace,
        from: await this.#viewOf(head),
        before: this.#headView(before, false),
        after: this.#headView(after, false),
        pauseMs: Math.round(pauseMs)
      }
    })
  }

  async #find(text: string, { at, sequence, head: wanted, path: pathText }: SnapshotAt): Promise<Found> {
    const workspace = this.#deps.resolve(text)
    if (wanted !== undefined && (at !== undefined || sequence !== undefined)) throw tooMuchSaid()
    const moment = { atMs: at === undefined ? undefined : Date.parse(at), sequence }
    const head = wanted === undefined ? await this.#at(workspace, moment) : await this.#named(workspace, wanted)
    const path = pathText.split('/').filter((name) => name !== '')
    const { root } = head.value
    const entry = path.length === 0 ? { cid: root, totalBytes: 0 } : await entryAt(root, path, this.#load(workspace))
    if (entry === null) {
      throw new NodeDaemonError(
        'NOT_FOUND',
        `there was nothing at "${path.join('/')}" in head ${head.value.sequence}`,
        {
          advice: 'paths begin at the root of the workspace, and their case matters'
        }
      )
    }
    return { workspace, head, path, entry }
  }

  /** A retained head, or one that diverged, by its name or the start of it. */
  async #named(workspace: WorkspaceId, text: string): Promise<SignedHead> {
    const { repository } = this.#deps
    const cid = cidOrNull(text)
    if (cid === null) return await this.#begunBy(workspace, text)
    const head = await repository.head(cid)
    if (head === null || head.value.workspace !== workspace) throw noSuchMoment(workspace, text)
    if ((await repository.diverged(workspace)).some((other) => other.cid.equals(head.cid))) return head
    // Of some heads the record alone is kept.
    const retained = await this.#at(workspace, { sequence: head.value.sequence })
    if (!retained.cid.equals(head.cid)) throw noSuchMoment(workspace, text)
    return head
  }

  async #begunBy(workspace: WorkspaceId, text: string): Promise<SignedHead> {
    const found = new Map<string, SignedHead>()
    const note = (heads: readonly SignedHead[]): void => {
      for (const head of heads) if (head.cid.toString().startsWith(text)) found.set(head.cid.toString(), head)
    }
    note(await this.#deps.repository.diverged(workspace))
    for await (const heads of this.#pages(workspace)) note(heads)
    const [head] = found.values()
    if (head === undefined) throw noSuchMoment(workspace, `whose name begins with ${text}`)
    if (found.size === 1) return head
    throw new NodeDaemonError('AMBIGUOUS', `the names of ${found.size} heads begin with ${text}`, {
      advice: 'say more of it; node-daemon workspaces history --json shows whole names'
    })
  }

  async #at(workspace: WorkspaceId, moment: Moment): Promise<SignedHead> {
    const { sequence, atMs } = moment
    if (sequence !== undefined) {
      if (atMs !== undefined) throw tooMuchSaid()
      const found = chooseHead(
        await this.#deps.repository.history(workspace, { limit: 1, before: sequence + 1 }),
        moment
      )
      if (found === null) throw noSuchMoment(workspace, askedFor(moment))
      return found
    }
    let oldest: SignedHead | undefined
    for await (const heads of this.#pages(workspace)) {
      const found = chooseHead(heads, moment)
      if (found !== null) return found
      oldest = heads.at(-1)
    }
    throw noSuchMoment(workspace, askedFor(moment), oldest)
  }

  /** The retained heads page by page, newest first. */
  async *#pages(workspace: WorkspaceId): AsyncGenerator<readonly SignedHead[]> {
    let range: HistoryRange = { limit: LOOKED_AT_ONCE }
    for (let looked = 0; looked < LOOKED_AT_MAX; looked += LOOKED_AT_ONCE) {
      const heads = await this.#deps.repository.history(workspace, range)
      const last = heads.at(-1)
      if (last === undefined) return
      yield heads
      range = { limit: LOOKED_AT_ONCE, before: last.value.sequence }
    }
  }

  #load(workspace: WorkspaceId): (cid: CID) => Promise<Uint8Array> {
    return async (cid) => {
      const bytes = await this.#deps.repository.read(workspace, cid)
      if (bytes !== null) return bytes
      throw new NodeDaemonError('INCOMPLETE', `block ${cid} of the repository is damaged`, {
        advice: 'have it repaired from the instances that hold it: node-daemon repo verify'
      })
    }
  }

  async #viewOf(head: SignedHead): Promise<HeadView> {
    const diverged = await this.#deps.repository.diverged(head.value.workspace)
    return this.#headView(
      head,
      diverged.some(({ cid }) => cid.equals(head.cid))
    )
  }

  #headView({ cid, value, signer }: SignedHead, diverged: boolean): HeadView {
    return {
      head: cid.toString(),
      root: value.root.toString(),
      sequence: value.sequence,
      epoch: value.epoch,
      createdAt: time(value.createdAtMs),
      writer: signer,
      writerName: this.#deps.instances.nameOf(signer as PeerIdText),
      files: value.files,
      bytes: value.bytes,
      unsettledCount: value.unsettled.length,
      unsettled: value.unsettled,
      diverged
    }
  }
}

const withoutPaths = (view: HeadView): HeadView => ({ ...view, unsettled: [] })

function cidOrNull(text: string): CID | null {
  try {
    return CID.parse(text)
  } catch {
    return null
  }
}

function askedFor({ atMs, sequence }: Moment): string {
  if (atMs !== undefined) return `of ${time(atMs)} or before`
  return sequence === undefined ? 'yet' : `with the number ${sequence}`
}

function noSuchMoment(workspace: WorkspaceId, asked: string, oldest?: SignedHead): NodeDaemonError {
  const kept =
    oldest === undefined
      ? ''
      : `; the oldest that is kept is ${oldest.value.sequence}, of ${time(oldest.value.createdAtMs)}`
  return new NodeDaemonError('NOT_FOUND', `workspace ${workspace} has no head ${asked}${kept}`, {
    advice: `see which ones are kept: node-daemon workspaces history ${workspace.slice(0, 12)}`
  })
}
