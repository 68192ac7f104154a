import { randomBytes } from 'node:crypto'
import { subscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import type { Block } from '../../../src/core/blocks.ts'
import type { PeerIdText, WorkspaceId } from '../../../src/core/ids.ts'
import type * as randoms from '../../../src/core/random.ts'
import type { Link } from '../../../src/network/host.ts'
import type * as levels from '../../../src/store/level.ts'
import type * as homes from '../../../src/sync/home.ts'
import type { RemoteRepository } from '../../../src/sync/repository-client.ts'
import type * as disks from '../../../src/worktree/node-file-system.ts'
import type * as readers from '../../../src/worktree/worker-reader.ts'
import type * as worktrees from '../../../src/worktree/worktree.ts'
import { productModule } from '../product.ts'
import { answerParent } from '../worker.ts'
import { connectAsInstance, type RepositoryPlace } from './connect.ts'
import { RAW_PROTOCOL } from './raw-protocol.ts'

/** The instance's side: a workspace on disk and its home, connected to the repository as an instance is. */
export type ToHome =
  | (RepositoryPlace & {
      readonly kind: 'open'
      /** The workspace's files lie in `files` below it. */
      readonly folder: string
    })
  /** Looks at all files, and answers once what changed has a receipt. */
  | { readonly kind: 'sync' }
  | { readonly kind: 'raw'; readonly bytes: number }

export interface HomeOpened {
  readonly peer: PeerIdText
}

export interface Synced {
  readonly ms: number
  /** On the TCP connections, both ways. */
  readonly wireBytes: number
  readonly chunks: number
  readonly nodes: number
}

const RAW_CODEC = 0x55
const RAW_PART_BYTES = 256 * 1024

const sockets: Socket[] = []
subscribe('net.client.socket', (message) => sockets.push((message as { socket: Socket }).socket))
const wireBytes = (): number => sockets.reduce((sum, { bytesRead, bytesWritten }) => sum + bytesRead + bytesWritten, 0)

const sent = { chunks: 0, nodes: 0 }
function note(blocks: readonly Block[]): void {
  for (const { cid } of blocks) sent[cid.code === RAW_CODEC ? 'chunks' : 'nodes']++
}

/** The same repository, with what is sent to it counted. */
function counted(remote: RemoteRepository): RemoteRepository {
  return {
    ...remote,
    publish(head, blocks) {
      note(blocks)
      return remote.publish(head, blocks)
    },
    async blocks(workspace, signal) {
      const exchange = await remote.blocks(workspace, signal)
      return {
        missing: (cids) => exchange.missing(cids),
        want: (cids) => exchange.want(cids),
        close: () => exchange.close(),
        put(blocks, urgency) {
          note(blocks)
          return exchange.put(blocks, urgency)
        }
      }
    }
  }
}

let sync: homes.HomeSync
let data: Link
let close = async (): Promise<void> => undefined

async function opened(question: Extract<ToHome, { kind: 'open' }>): Promise<HomeOpened> {
  const { dist, folder } = question
  const connected = await connectAsInstance(question)
  const remote = counted(connected.remote)
  const { systemRandom } = await productModule<typeof randoms>(dist, 'core/random.js')
  const { openLevel } = await productModule<typeof levels>(dist, 'store/level.js')
  const { HomeSync } = await productModule<typeof homes>(dist, 'sync/home.js')
  const { nodeFileSystem } = await productModule<typeof disks>(dist, 'worktree/node-file-system.js')
  const { workerReader } = await productModule<typeof readers>(dist, 'worktree/worker-reader.js')
  const { Worktree } = await productModule<typeof worktrees>(dist, 'worktree/worktree.js')
  const { host, identity, clock, log } = connected
  data = connected.data
  const level = await openLevel(join(folder, 'state'))
  const reader = workerReader({ log })
  const worktree = new Worktree({
    files: nodeFileSystem,
    folder: join(folder, 'files'),
    staging: join(folder, 'staging'),
    index: level,
    clock,
    random: systemRandom(),
    log,
    reader
  })
  sync = new HomeSync(
    {
      worktree,
      remote: async () => remote,
      identity,
      clock,
      log,
      onPublished: (head) => level.write({ put: [['head', head.bytes]] }, { durable: true }),
      onFenced: (error) => {
        throw error
      },
      hooks: null
    },
    { workspace: randomBytes(16).toString('hex') as WorkspaceId, epoch: 1, tip: null }
  )
  sync.start()
  close = async () => {
    await sync.stop()
    await reader.close()
    await host.close()
    await level.close()
  }
  return { peer: host.peerId }
}

async function synced(): Promise<Synced> {
  const wireBefore = wireBytes()
  sent.chunks = 0
  sent.nodes = 0
  const began = performance.now()
  await sync.published('all')
  return { ms: performance.now() - began, wireBytes: wireBytes() - wireBefore, ...sent }
}

async function rawStream(bytes: number): Promise<{ readonly ms: number }> {
  const stream = await data.openBytes(RAW_PROTOCOL)
  const length = Buffer.alloc(8)
  length.writeBigUInt64BE(BigInt(bytes))
  const part = randomBytes(RAW_PART_BYTES)
  const answered = once(stream, 'data')
  const began = performance.now()
  stream.write(length)
  for (let left = bytes; left > 0; left -= part.length) {
    if (!stream.write(part.subarray(0, Math.min(left, part.length)))) await once(stream, 'drain')
  }
  await answered
  const ms = performance.now() - began
  stream.destroy()
  return { ms }
}

answerParent<ToHome>(
  async (question) => {
    if (question.kind === 'open') return opened(question)
    return question.kind === 'sync' ? synced() : rawStream(question.bytes)
  },
  () => close()
)
