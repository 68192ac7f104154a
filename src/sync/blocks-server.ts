import type { CID } from 'multiformats/cid'
import type { Block } from '../core/blocks.ts'
import { codeOf, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Channel, Host } from '../network/host.ts'
import {
  BLOCKS_LIMITS,
  BLOCKS_PROTOCOL,
  blocksParts,
  blocksReply,
  blocksRequest,
  type FromBlocks,
  type ToBlocks
} from '../wire/blocks.ts'
import { type Access, noAccess } from './access.ts'
import type { Giving } from './giving.ts'
import { UnderWay } from './under-way.ts'

/** Where served blocks come from. */
export interface BlockSource {
  /** Verified; null where it is not held for this workspace. */
  read(workspace: WorkspaceId, cid: CID): Promise<Uint8Array | null>
}

/** Where sent blocks go. */
export interface BlockIntake {
  missing(workspace: WorkspaceId, cids: readonly CID[]): Promise<CID[]>
  keep(workspace: WorkspaceId, blocks: readonly Block[]): Promise<void>
}

interface Deps {
  readonly source: BlockSource
  /** Null where blocks are only given, not taken. */
  readonly intake: BlockIntake | null
  readonly access: (peer: PeerIdText, workspace: WorkspaceId) => Access
  /** How an instance gives beside what it sends itself; null at the repository, which has nothing else to send. */
  readonly giving: Giving | null
  readonly log: Logger
}

/** Gives the answer once it is its turn: answers go in the order of the requests. */
type Answering = () => Promise<void>

/** Serves blocks, one workspace a stream: a content id alone opens nothing. */
export async function serveBlocks(host: Host, deps: Deps): Promise<void> {
  const all = new UnderWay({ count: BLOCKS_LIMITS.requestsMaxOfAll, bytes: BLOCKS_LIMITS.underWayBytesOfAll })
  await host.handle(BLOCKS_PROTOCOL, async (channel) => {
    try {
      const conversing = (): Promise<void> => converse(channel, deps, all)
      await (deps.giving === null ? conversing() : deps.giving.during(channel.peer, conversing))
    } catch (error) {
      if (codeOf(error) === 'CLOSED') return
      deps.log.debug({ peer: channel.peer, error: messageOf(error) }, 'a blocks stream failed')
      await reply(channel, { kind: 'failure', code: codeOf(error), message: messageOf(error) })
    }
  })
}

const reply = (channel: Channel, message: FromBlocks): Promise<void> => channel.send(blocksReply.encode(message))

/** Reads on while what was asked before is worked on, within bounds. */
async function converse(channel: Channel, deps: Deps, all: UnderWay): Promise<void> {
  const first = await channel.receive()
  if (first === null) return
  const workspace = await opened(channel, deps, first)
  const own = new UnderWay({ count: BLOCKS_LIMITS.requestsMax, bytes: BLOCKS_LIMITS.underWayBytes })
  const failed = new AbortController()
  const gone = new AbortController()
  void channel.closed.then(() => gone.abort(new NodeDaemonError('CLOSED', 'the stream ended before its turn came')))
  let answers: Promise<void> = Promise.resolve()
  try {
    for (;;) {
      const frame = await channel.receive(failed.signal)
      if (frame === null) break
      const { length } = frame
      await own.begin(length)
      await all.begin(length)
      // Asked again for each message: a stream outlives the right to use it.
      const access = deps.access(channel.peer, workspace)
      const working = work({ channel, workspace, gone: gone.signal }, deps, access, frame)
      const answering = working.finally(() => all.end(length))
      answers = inTurn(answers, answering).finally(() => own.end(length))
      answers.catch((error: unknown) => failed.abort(error))
    }
  } catch (error) {
    if (!failed.signal.aborted) throw error
  } finally {
    await answers
  }
}

async function opened(channel: Channel, deps: Deps, first: Uint8Array): Promise<WorkspaceId> {
  const opening = blocksRequest.decode(first)
  if (opening.kind !== 'open')
    throw new NodeDaemonError('PROTOCOL_VIOLATION', 'a blocks stream begins with a workspace')
  const { workspace } = opening
  if (deps.access(channel.peer, workspace) === null) throw noAccess(workspace)
  await reply(channel, { kind: 'opened' })
  return workspace
}

/** What was asked is worked on at once, and answered after what was asked before. */
async function inTurn(before: Promise<void>, answering: Promise<Answering>): Promise<void> {
  const [, answer] = await Promise.all([before, answering])
  await answer()
}

interface Conversation {
  readonly channel: Channel
  readonly workspace: WorkspaceId
  /** Aborted once the stream is over. */
  readonly gone: AbortSignal
}

async function work(to: Conversation, deps: Deps, access: Access, frame: Uint8Array): Promise<Answering> {
  const { channel, workspace } = to
  const request: ToBlocks = blocksRequest.decode(frame)
  if (access === null) throw noAccess(workspace)
  switch (request.kind) {
    case 'have': {
      const cids = await taking(deps).missing(workspace, request.cids)
      return () => reply(channel, { kind: 'missing', cids })
    }
    case 'put':
      if (!access.send) throw new NodeDaemonError('FORBIDDEN', 'only homes send blocks')
      await taking(deps).keep(workspace, request.blocks)
      return () => reply(channel, { kind: 'kept' })
    case 'want':
      if (!access.read) throw noAccess(workspace)
      return () => sendBlocks(to, deps, request.cids)
    case 'open':
      throw new NodeDaemonError('PROTOCOL_VIOLATION', 'a blocks stream is about one workspace')
  }
}

function taking({ intake }: Deps): BlockIntake {
  if (intake === null) throw new NodeDaemonError('FORBIDDEN', 'an instance gives blocks, and takes none')
  return intake
}

async function sendBlocks(to: Conversation, { source, giving }: Deps, cids: readonly CID[]): Promise<void> {
  const most = giving === null ? BLOCKS_LIMITS.batchBytes : Math.min(BLOCKS_LIMITS.batchBytes, giving.pieceBytes)
  const send = (batch: readonly Block[], bytes: number): Promise<void> =>
    giving === null
      ? to.channel.send(...blocksParts(batch))
      : giving.send(to.channel, to.workspace, bytes, blocksParts(batch), to.gone)
  let batch: Block[] = []
  let bytes = 0
  for (const cid of cids) {
    const found = await source.read(to.workspace, cid)
    if (found === null) continue
    if (batch.length > 0 && bytes + found.length > most) {
      await send(batch, bytes)
      batch = []
      bytes = 0
    }
    batch.push({ cid, bytes: found })
    bytes += found.length
  }
  if (batch.length > 0) await send(batch, bytes)
  await reply(to.channel, { kind: 'blocks', blocks: [] })
}
