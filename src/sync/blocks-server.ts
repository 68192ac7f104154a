import type { CID } from 'multiformats/cid'
import type { Block } from '../core/blocks.ts'
import { codeOf, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Channel, Host } from '../network/host.ts'
import {
  BLOCKS_LIMITS,
  BLOCKS_PROTOCOL,
  blocksReply,
  blocksRequest,
  type FromBlocks,
  type ToBlocks
} from '../wire/blocks.ts'
import { type Access, noAccess } from './access.ts'

/** Where served blocks come from. */
export interface BlockSource {
  /** Verified; null where it is not held for this workspace. */
  read(workspace: WorkspaceId, cid: CID): Promise<Uint8Array | null>
}

/** Where sent blocks go. */
export interface BlockIntake {
  missing(workspace: WorkspaceId, cids: readonly CID[]): Promise<CID[]>
  keep(workspace: WorkspaceId, blocks: readonly Block[]): Promise<void>
  flush(): Promise<void>
}

interface Deps {
  readonly source: BlockSource
  /** Null where blocks are only given, not taken. */
  readonly intake: BlockIntake | null
  readonly access: (peer: PeerIdText, workspace: WorkspaceId) => Access
  readonly log: Logger
}

/** Serves blocks, one workspace a stream: a content id alone opens nothing. */
export async function serveBlocks(host: Host, deps: Deps): Promise<void> {
  await host.handle(BLOCKS_PROTOCOL, async (channel) => {
    try {
      await converse(channel, deps)
    } catch (error) {
      if (codeOf(error) === 'CLOSED') return
      deps.log.debug({ peer: channel.peer, error: messageOf(error) }, 'a blocks stream failed')
      await reply(channel, { kind: 'failure', code: codeOf(error), message: messageOf(error) })
    }
  })
}

const reply = (channel: Channel, message: FromBlocks): Promise<void> => channel.send(blocksReply.encode(message))

async function converse(channel: Channel, deps: Deps): Promise<void> {
  const first = await channel.receive()
  if (first === null) return
  const opening = blocksRequest.decode(first)
  if (opening.kind !== 'open')
    throw new NodeDaemonError('PROTOCOL_VIOLATION', 'a blocks stream begins with a workspace')
  const { workspace } = opening
  if (deps.access(channel.peer, workspace) === null) throw noAccess(workspace)
  await reply(channel, { kind: 'opened' })
  for (let frame = await channel.receive(); frame !== null; frame = await channel.receive()) {
    // Asked again for each message: a stream outlives the right to use it.
    const access = deps.access(channel.peer, workspace)
    await answer(channel, deps, workspace, access, blocksRequest.decode(frame))
  }
}

async function answer(
  channel: Channel,
  deps: Deps,
  workspace: WorkspaceId,
  access: Access,
  request: ToBlocks
): Promise<void> {
  if (access === null) throw noAccess(workspace)
  switch (request.kind) {
    case 'have':
      return reply(channel, { kind: 'missing', cids: await taking(deps).missing(workspace, request.cids) })
    case 'put':
      if (!access.send) throw new NodeDaemonError('FORBIDDEN', 'only homes send blocks')
      return taking(deps).keep(workspace, request.blocks)
    case 'flush':
      if (!access.send) throw noAccess(workspace)
      await taking(deps).flush()
      return reply(channel, { kind: 'flushed' })
    case 'want':
      if (!access.read) throw noAccess(workspace)
      return sendBlocks(channel, deps, workspace, request.cids)
    case 'open':
      throw new NodeDaemonError('PROTOCOL_VIOLATION', 'a blocks stream is about one workspace')
  }
}

function taking({ intake }: Deps): BlockIntake {
  if (intake === null) throw new NodeDaemonError('FORBIDDEN', 'an instance gives blocks, and takes none')
  return intake
}

async function sendBlocks(
  channel: Channel,
  { source }: Deps,
  workspace: WorkspaceId,
  cids: readonly CID[]
): Promise<void> {
  let batch: Block[] = []
  let bytes = 0
  for (const cid of cids) {
    const found = await source.read(workspace, cid)
    if (found === null) continue
    if (batch.length > 0 && bytes + found.length > BLOCKS_LIMITS.batchBytes) {
      await reply(channel, { kind: 'blocks', blocks: batch })
      batch = []
      bytes = 0
    }
    batch.push({ cid, bytes: found })
    bytes += found.length
  }
  if (batch.length > 0) await reply(channel, { kind: 'blocks', blocks: batch })
  await reply(channel, { kind: 'blocks', blocks: [] })
}
