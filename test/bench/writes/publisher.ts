import { randomBytes } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import type * as encodings from '../../../src/content/encode.ts'
import type * as blocks from '../../../src/core/blocks.ts'
import type { Block } from '../../../src/core/blocks.ts'
import type * as envelopes from '../../../src/core/envelope.ts'
import type { PeerIdText, WorkspaceId } from '../../../src/core/ids.ts'
import type * as records from '../../../src/core/records.ts'
import type { SignedHead } from '../../../src/core/records.ts'
import { percentile } from '../benchmark.ts'
import { SMALL_BODY_BYTES } from '../front-door/limits.ts'
import { productModule } from '../product.ts'
import { type Connected, connectAsInstance, type RepositoryPlace } from '../sync/connect.ts'
import { answerParent } from '../worker.ts'

/** The homes of many workspaces in one process: each publishes one small change after another. */
export type ToPublisher =
  | (RepositoryPlace & { readonly kind: 'open' })
  | { readonly kind: 'publish'; readonly workspaces: number; readonly durationMs: number }

export interface PublisherOpened {
  readonly peer: PeerIdText
}

export interface Published {
  readonly heads: number
  readonly failed: number
  readonly ms: number
  readonly p50Ms: number
  readonly p99Ms: number
}

interface Product {
  readonly connected: Connected
  readonly encode: typeof encodings
  readonly blocks: typeof blocks
  readonly envelope: typeof envelopes
  readonly records: typeof records
}

let product: Product | null = null

async function opened(place: RepositoryPlace): Promise<PublisherOpened> {
  const { dist } = place
  product = {
    connected: await connectAsInstance(place),
    encode: await productModule(dist, 'content/encode.js'),
    blocks: await productModule(dist, 'core/blocks.js'),
    envelope: await productModule(dist, 'core/envelope.js'),
    records: await productModule(dist, 'core/records.js')
  }
  return { peer: product.connected.host.peerId }
}

/** A folder with one small file that nobody has written before. */
function changed({ encode, blocks: { blockOf, RAW_CODEC } }: Product, now: number): { root: CID; made: Block[] } {
  const leaf = blockOf(RAW_CODEC, randomBytes(SMALL_BODY_BYTES))
  const mtime = { secs: BigInt(Math.floor(now / 1000)), nsecs: 0 }
  const link = { cid: leaf.cid, size: SMALL_BODY_BYTES, totalBytes: SMALL_BODY_BYTES }
  const file = encode.fileNode([link], { mode: 0o644, mtime })
  const entry = { name: 'small.txt', cid: file.block.cid, totalBytes: file.totalBytes }
  const folder = encode.folderNode([entry], { mode: 0o755, mtime: { secs: 0n, nsecs: 0 } })
  return { root: folder.block.cid, made: [leaf, file.block, folder.block] }
}

/** Makes the next head, publishes it, and waits for its receipt. */
async function publishNext(own: Product, workspace: WorkspaceId, tip: SignedHead | null): Promise<SignedHead> {
  const { connected, envelope, records: types } = own
  const createdAtMs = connected.clock.wall()
  const { root, made } = changed(own, createdAtMs)
  const sequence = (tip?.value.sequence ?? 0) + 1
  const counts = { files: 1, bytes: SMALL_BODY_BYTES, unsettled: [] }
  const value = { workspace, epoch: 1, sequence, root, previous: tip?.cid ?? null, createdAtMs, ...counts }
  const head = await envelope.seal(types.headRecord, value, connected.identity)
  await connected.remote.publish(head, made)
  return head
}

async function published(workspaces: number, durationMs: number): Promise<Published> {
  const own = product
  if (own === null) throw new Error('the publisher is not open')
  const latencies: number[] = []
  let failed = 0
  const began = performance.now()
  const until = began + durationMs
  const keepPublishing = async (workspace: WorkspaceId): Promise<void> => {
    let tip: SignedHead | null = null
    while (performance.now() < until) {
      const at = performance.now()
      try {
        tip = await publishNext(own, workspace, tip)
      } catch {
        // What follows would not follow on it: this workspace ends here, and the table says that it failed.
        failed += 1
        return
      }
      latencies.push(performance.now() - at)
    }
  }
  await Promise.all(
    Array.from({ length: workspaces }, () => keepPublishing(randomBytes(16).toString('hex') as WorkspaceId))
  )
  const ms = performance.now() - began
  return { heads: latencies.length, failed, ms, p50Ms: percentile(latencies, 0.5), p99Ms: percentile(latencies, 0.99) }
}

answerParent<ToPublisher>(
  async (question) =>
    question.kind === 'open' ? opened(question) : published(question.workspaces, question.durationMs),
  async () => {
    await product?.connected.host.close()
  }
)
