import type { CID } from 'multiformats/cid'
import { DAG_PB_CODEC } from '../core/blocks.ts'
import { aborted } from '../core/clock.ts'
import { hasCode } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import { type ClosureView, checkClosure } from './closure.ts'
import { type Collection, step } from './collection.ts'
import { pageOf } from './level.ts'
import { Marks } from './marks.ts'
import type { Parts } from './open-repository.ts'
import * as rows from './rows.ts'

const LINKS_PAGE = 1000
const HEADS_PAGE = 256
const STAGED_ROWS = 8192
const LAST = '\u{10ffff}'

type Read = (cid: CID) => Promise<Uint8Array | null>

interface LinkRow {
  readonly key: string
  readonly cid: CID
  readonly closed: boolean
}

/** The workspaces that hold something, whether they have a head or not. */
export async function* linkedWorkspaces(run: Collection): AsyncGenerator<WorkspaceId> {
  for (let after = rows.LINK_ROWS; ; ) {
    const from = after
    const [row] = await step(run, ({ level }) => pageOf(level, { prefix: rows.LINK_ROWS, after: from, limit: 1 }))
    if (row === undefined) return
    const workspace = rows.workspaceOfLinkKey(row[0])
    yield workspace
    after = rows.linkRows(workspace) + LAST
  }
}

/**
 * Takes from one workspace what no retained or diverged head of it needs. Others publish meanwhile: what they bring is
 * marked, in the workspace's queue, before anything more is taken.
 */
export class Sweep {
  readonly workspace: WorkspaceId
  readonly #run: Collection
  /** Blocks that are needed. */
  readonly #needed: Marks
  /** Nodes below which all is marked. */
  readonly #whole: Marks
  readonly #coming: CID[] = []

  constructor(run: Collection, workspace: WorkspaceId) {
    this.#run = run
    this.workspace = workspace
    this.#needed = new Marks(2, run.access.marksKey)
    this.#whole = new Marks(4, run.access.marksKey)
  }

  protect(root: CID): void {
    this.#coming.push(root)
  }

  /** False where nobody knows all that the workspace needs: then nothing was taken. */
  async run(): Promise<boolean> {
    // Whoever publishes without having told of it has ended after this, and all conclusions are in the index.
    await this.#inQueue(({ shelf }) => shelf.settle())
    if (!(await this.#markHeads())) {
      const { log } = this.#run.access.deps
      log.warn({ workspace: this.workspace }, 'a head lacks blocks, and so nothing of its workspace is given back')
      return false
    }
    // No node may be taken for whole while something below it is taken away.
    const spare = await this.#eachPage((parts, page) => this.#open(parts, page))
    await this.#inQueue(({ shelf }) => shelf.settle())
    if (spare > 0) await this.#eachPage((parts, page, young) => this.#take(parts, page, young))
    return true
  }

  /** False where a head lacks a node: nobody knows what lies below that, and so nothing may be taken. */
  async #markHeads(): Promise<boolean> {
    const read: Read = (cid) => step(this.#run, ({ shelf }) => shelf.read(cid))
    for (const prefix of [rows.historyRows(this.workspace), rows.divergedRows(this.workspace)]) {
      for await (const root of this.#roots(prefix)) {
        if (!(await this.#mark(root, read))) return false
      }
    }
    return true
  }

  async *#roots(prefix: string): AsyncGenerator<CID> {
    for (let after = ''; ; ) {
      const from = after
      const page = await step(this.#run, async ({ ledger, level }) => {
        const entries = await pageOf(level, { prefix, after: from, limit: HEADS_PAGE })
        const isPast = prefix === rows.historyRows(this.workspace)
        const cids = entries.map(([key, row]) => (isPast ? rows.decodeHistory(key, row).cid : rows.decodeCid(row)))
        return { last: entries.at(-1)?.[0], roots: await ledger.roots(cids) }
      })
      yield* page.roots
      if (page.last === undefined) return
      after = page.last
    }
  }

  /** False where a node below it is missing or cannot be read. */
  async #mark(root: CID, read: Read): Promise<boolean> {
    const counts = { blocks: 0, bytes: 0 }
    const view: ClosureView = {
      states: async (cids) =>
        cids.map((cid) => {
          this.#needed.add(cid)
          return { held: true, bytes: 0, closed: this.#whole.has(cid) ? counts : null }
        }),
      load: read,
      closed: async (cid) => {
        this.#whole.add(cid)
      }
    }
    try {
      return (await checkClosure(root, view)).missing.length === 0
    } catch (error) {
      if (hasCode(error, 'INTEGRITY', 'BAD_REQUEST')) return false
      throw error
    }
  }

  /** Hands the workspace's links to `work`, in its queue and after whatever came since is marked. Sums up what it returns. */
  async #eachPage(
    work: (parts: Parts, page: readonly LinkRow[], young: ReadonlySet<string>) => number
  ): Promise<number> {
    let sum = 0
    for (let after = ''; ; ) {
      const from = after
      const { last, spare, young } = await step(this.#run, (parts) => this.#page(parts, from))
      if (last === undefined) return sum
      after = last
      if (spare.length === 0) continue
      sum += await this.#inQueue(async (parts) => {
        for (const root of this.#coming.splice(0)) await this.#mark(root, (cid) => parts.shelf.read(cid))
        const count = work(parts, spare, young)
        if (parts.shelf.staged.size > STAGED_ROWS) await parts.shelf.settle()
        return count
      })
    }
  }

  /** The next links that are not needed, as far as is known now. */
  async #page({ shelf, level }: Parts, after: string) {
    const prefix = rows.linkRows(this.workspace)
    const entries = await pageOf(level, { prefix, after, limit: LINKS_PAGE })
    const links = entries.map(([key, row]): LinkRow => {
      return { key, cid: rows.cidOfLinkKey(key), closed: rows.decodeLink(row).closed !== null }
    })
    const spare = links.filter(({ cid }) => !this.#needed.has(cid))
    const locations = await shelf.locations(spare.map(({ cid }) => cid))
    const young = new Set<string>()
    for (const [index, { key }] of spare.entries()) {
      const location = locations[index] ?? null
      if (location !== null && shelf.horizon.isYoung(location)) young.add(key)
    }
    return { last: entries.at(-1)?.[0], spare, young }
  }

  #open({ shelf }: Parts, page: readonly LinkRow[]): number {
    const spare = page.filter(({ cid }) => !this.#needed.has(cid))
    for (const { key, cid, closed } of spare) {
      if (closed && cid.code === DAG_PB_CODEC) shelf.staged.stage(key, rows.encodeLink(rows.HELD))
    }
    return spare.length
  }

  #take({ shelf }: Parts, page: readonly LinkRow[], young: ReadonlySet<string>): number {
    const { pins } = this.#run
    if (pins.isFull(this.workspace)) return 0
    const spare = page.filter(({ key, cid }) => !this.#needed.has(cid) && !young.has(key) && !pins.has(cid))
    for (const { key } of spare) shelf.staged.remove(key)
    return spare.length
  }

  #inQueue<T>(work: (parts: Parts) => Promise<T>): Promise<T> {
    const { access, signal } = this.#run
    return access.inQueue(this.workspace, async (parts) => {
      access.refuseOther(parts)
      if (signal.aborted) throw aborted(signal)
      return await work(parts)
    })
  }
}
