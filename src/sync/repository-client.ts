import type { Block } from '../core/blocks.ts'
import type { Clock } from '../core/clock.ts'
import { open, type Signed } from '../core/envelope.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { headRecord, type Receipt, receiptRecord, type SignedHead } from '../core/records.ts'
import type { Channel, Link } from '../network/host.ts'
import { type FromHeads, HEADS_PROTOCOL, type HeadsAsk, headsReply, headsRequest } from '../wire/heads.ts'
import { type BlockExchange, openExchange } from './block-exchange.ts'
import type { RateLimit } from './rate-limit.ts'
import type { Uplink } from './uplink.ts'

/** The main repository over one connection. Every call rejects with `CLOSED` or `OUT_OF_REACH` once that is gone. */
export interface RemoteRepository {
  /**
   * Publishes a head; blocks that the repository misses travel with it or went before.
   *
   * On return the head and its closure are durable in the repository, as its verified receipt says.
   *
   * @throws NodeDaemonError `INCOMPLETE` with `data.missing`; `SEALED`, `STALE_EPOCH`, `NOT_HOME`, `CONFLICT`
   */
  publish(head: SignedHead, blocks: readonly Block[]): Promise<Signed<Receipt>>
  /** Keeps a head that came too late. Same durability. */
  publishDiverged(head: SignedHead, blocks: readonly Block[]): Promise<Signed<Receipt>>
  tip(workspace: WorkspaceId): Promise<SignedHead | null>
  /** The newest head, and from then on each newer one through `onHead`. */
  follow(workspace: WorkspaceId): Promise<SignedHead | null>
  unfollow(workspace: WorkspaceId): Promise<void>
  holding(receipt: Signed<Receipt>): Promise<void>
  blocks(workspace: WorkspaceId, signal?: AbortSignal): Promise<BlockExchange>
}

export interface RemoteRepositoryDeps {
  /** Heads go with control, blocks on a connection of their own. */
  readonly control: Link
  readonly data: Link
  readonly coordinator: PeerIdText
  /** Bytes of blocks that go out and come in. */
  readonly upload: Uplink
  readonly download: RateLimit
  readonly clock: Clock
  readonly log: Logger
  readonly onHead: (head: SignedHead) => void
}

export async function connectRepository(deps: RemoteRepositoryDeps): Promise<RemoteRepository> {
  const asks = new Asks(await deps.control.open(HEADS_PROTOCOL), deps)
  const receipt = async (ask: HeadsAsk & { blocks: readonly Block[] }, head: SignedHead): Promise<Signed<Receipt>> => {
    const answer = await paced(deps.upload, ask.blocks, head.value.workspace, () => asks.ask(ask))
    if (answer.kind !== 'receipt') throw unexpected(answer.kind)
    const signed = await open(receiptRecord, answer.receipt, deps.coordinator)
    if (signed.value.role !== 'repository' || !signed.value.head.equals(head.cid)) {
      throw new NodeDaemonError('BAD_SIGNATURE', 'the receipt is for another head')
    }
    return signed
  }
  const head = async (ask: HeadsAsk & { readonly workspace: WorkspaceId }): Promise<SignedHead | null> => {
    const answer = await asks.ask(ask)
    if (answer.kind === 'nothing') return null
    if (answer.kind !== 'head') throw unexpected(answer.kind)
    return checkedHead(await open(headRecord, answer.head), ask.workspace)
  }
  return {
    publish: (signed, blocks) => receipt({ kind: 'publish', head: signed.bytes, blocks }, signed),
    publishDiverged: (signed, blocks) => receipt({ kind: 'diverged', head: signed.bytes, blocks }, signed),
    tip: (workspace) => head({ kind: 'tip', workspace }),
    follow: (workspace) => head({ kind: 'follow', workspace }),
    unfollow: async (workspace) => {
      await asks.ask({ kind: 'unfollow', workspace })
    },
    holding: async (signed) => {
      await asks.ask({ kind: 'holding', receipt: signed.bytes })
    },
    blocks: (workspace, signal) => openExchange(deps.data, workspace, deps, signal)
  }
}

/** What travels with a head counts against the limit, and goes first. */
async function paced<T>(
  upload: Uplink,
  blocks: readonly Block[],
  workspace: WorkspaceId,
  work: () => Promise<T>
): Promise<T> {
  const bytes = blocks.reduce((sum, block) => sum + block.bytes.length, 0)
  await upload.take(bytes, workspace, 'acknowledged')
  try {
    return await work()
  } finally {
    upload.lost(bytes)
  }
}

function checkedHead(head: SignedHead, workspace: WorkspaceId): SignedHead {
  if (head.value.workspace === workspace) return head
  throw new NodeDaemonError('PROTOCOL_VIOLATION', 'the head of another workspace')
}

const unexpected = (kind: string): NodeDaemonError =>
  new NodeDaemonError('PROTOCOL_VIOLATION', `an unexpected answer: ${kind}`)

interface Waiting {
  readonly resolve: (answer: FromHeads) => void
  readonly reject: (error: NodeDaemonError) => void
}

/** Pairs answers with what was asked. */
class Asks {
  readonly #channel: Channel
  readonly #deps: RemoteRepositoryDeps
  readonly #waiting = new Map<number, Waiting>()
  #next = 1
  #over: NodeDaemonError | null = null

  constructor(channel: Channel, deps: RemoteRepositoryDeps) {
    this.#channel = channel
    this.#deps = deps
    this.#receive().then(
      () => this.#end(new NodeDaemonError('CLOSED', 'the repository closed the stream')),
      (error: unknown) => this.#end(new NodeDaemonError('CLOSED', messageOf(error), { cause: error }))
    )
  }

  async ask(ask: HeadsAsk): Promise<FromHeads> {
    if (this.#over !== null) throw this.#over
    const id = this.#next++
    const answered = new Promise<FromHeads>((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
    answered.catch(() => undefined)
    try {
      await this.#channel.send(headsRequest.encode({ id, ...ask }))
      const answer = await answered
      if (answer.kind !== 'failure') return answer
      throw new NodeDaemonError(answer.code, answer.message, { data: { missing: answer.missing } })
    } finally {
      this.#waiting.delete(id)
    }
  }

  async #receive(): Promise<void> {
    for (let frame = await this.#channel.receive(); frame !== null; frame = await this.#channel.receive()) {
      const answer = headsReply.decode(frame)
      if (answer.id !== 0) this.#waiting.get(answer.id)?.resolve(answer)
      else if (answer.kind === 'head') this.#deps.onHead(await open(headRecord, answer.head))
    }
  }

  #end(error: NodeDaemonError): void {
    this.#over = error
    for (const waiting of this.#waiting.values()) waiting.reject(error)
    this.#waiting.clear()
  }
}
