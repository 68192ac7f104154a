import { CID } from 'multiformats/cid'
import { judgeHead, type OwnershipView, type Tip } from '../content/heads.ts'
import type { Block } from '../core/blocks.ts'
import type { Clock } from '../core/clock.ts'
import { open, type Signed, seal } from '../core/envelope.ts'
import { codeOf, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { headRecord, type Receipt, receiptRecord, type SignedHead } from '../core/records.ts'
import type { Channel, Host } from '../network/host.ts'
import type { MainRepository } from '../store/repository.ts'
import type { Counts } from '../store/rows.ts'
import {
  type FromHeads,
  HEADS_LIMITS,
  HEADS_PROTOCOL,
  type HeadsAnswer,
  type HeadsAsk,
  headsReply,
  headsRequest
} from '../wire/heads.ts'
import { type Access, noAccess } from './access.ts'
import { serveBlocks } from './blocks-server.ts'
import { receiptOf } from './receipt.ts'
import { UnderWay } from './under-way.ts'

/** Heads that the repository has lost and instances still hold. */
export interface LostHeadsView {
  /** Null where it lacks none of this workspace. */
  get(workspace: WorkspaceId): CID | null
  /** The repository has it, or one that came after it. Durable on return. */
  forget(workspace: WorkspaceId): Promise<void>
}

export interface RepositoryServiceDeps {
  readonly repository: MainRepository
  readonly identity: Identity
  readonly clock: Clock
  readonly log: Logger
  readonly access: (peer: PeerIdText, workspace: WorkspaceId) => Access
  /** Who may write now; null for a workspace that nobody knows. The seal is the repository's own. */
  readonly ownership: (workspace: WorkspaceId) => Omit<OwnershipView, 'sealedEpoch'> | null
  readonly lost: LostHeadsView
  /** An instance proved that it holds a head. */
  readonly onHolding: (receipt: Signed<Receipt>) => void
  /** A head was accepted and is durable. */
  readonly onHead: (head: SignedHead) => void
}

/** The main repository as members see it: takes heads and blocks, answers with receipts, tells followers. */
export class RepositoryService {
  readonly #deps: RepositoryServiceDeps
  readonly #followers = new Map<WorkspaceId, Set<Follower>>()

  constructor(deps: RepositoryServiceDeps) {
    this.#deps = deps
  }

  async register(host: Host): Promise<void> {
    await host.handle(HEADS_PROTOCOL, (channel) => this.#serveHeads(channel))
    const { repository, access, log } = this.#deps
    await serveBlocks(host, { source: repository, intake: repository, access, giving: null, log })
  }

  async #serveHeads(channel: Channel): Promise<void> {
    const follower = new Follower(channel, this.#deps.log)
    const underWay = new UnderWay({ count: HEADS_LIMITS.requestsMax, bytes: HEADS_LIMITS.underWayBytes })
    try {
      for (let frame = await channel.receive(); frame !== null; frame = await channel.receive()) {
        const { id, ...ask } = headsRequest.decode(frame)
        const bytes = frame.length
        await underWay.begin(bytes)
        void this.#answer(channel.peer, ask, follower)
          .then((answer) => follower.send({ id, ...answer }))
          .finally(() => underWay.end(bytes))
      }
    } finally {
      for (const workspace of follower.workspaces) this.#unfollow(workspace, follower)
    }
  }

  async #answer(peer: PeerIdText, ask: HeadsAsk, follower: Follower): Promise<HeadsAnswer> {
    try {
      switch (ask.kind) {
        case 'publish':
          return { kind: 'receipt', receipt: await this.#publish(peer, ask.head, ask.blocks) }
        case 'diverged':
          return { kind: 'receipt', receipt: await this.#diverged(peer, ask.head, ask.blocks) }
        case 'tip':
          return await this.#tip(peer, ask.workspace)
        case 'follow':
          return await this.#follow(peer, ask.workspace, follower)
        case 'unfollow':
          this.#unfollow(ask.workspace, follower)
          return { kind: 'nothing' }
        case 'holding':
          await this.#holding(peer, ask.receipt)
          return { kind: 'nothing' }
      }
    } catch (error) {
      return failure(error)
    }
  }

  async #publish(peer: PeerIdText, bytes: Uint8Array, blocks: readonly Block[]): Promise<Uint8Array> {
    const head = await open(headRecord, bytes, peer)
    const counts = await this.#take(head, blocks)
    const receipt = await this.#receipt(head, counts)
    this.#deps.onHead(head)
    this.#tellFollowers(head, peer)
    return receipt.bytes
  }

  /** The home goes on from a head that the repository has lost: only the heads in between are missing then. */
  async #take(head: SignedHead, blocks: readonly Block[]): Promise<Counts> {
    const { repository, lost } = this.#deps
    const { workspace, previous } = head.value
    const missing = lost.get(workspace)
    if (missing === null || (!head.cid.equals(missing) && previous?.equals(missing) !== true)) {
      return repository.publish(head, blocks, ({ tip, sealedEpoch }) => this.#judge(head, tip, sealedEpoch))
    }
    const owner = this.#deps.ownership(workspace)
    if (owner?.home !== head.signer || owner.epoch !== head.value.epoch) {
      throw new NodeDaemonError('NOT_HOME', `${head.signer} is not the home in epoch ${head.value.epoch}`)
    }
    const counts = await repository.regain(head, blocks)
    await lost.forget(workspace)
    return counts
  }

  /** Asked again for each head: a stream outlives the right to follow. */
  #tellFollowers(head: SignedHead, writer: PeerIdText): void {
    const { workspace } = head.value
    for (const follower of this.#followers.get(workspace) ?? []) {
      if (follower.peer !== writer && this.#deps.access(follower.peer, workspace)?.read === true) follower.tell(head)
    }
  }

  #judge(head: SignedHead, tip: Tip | null, sealedEpoch: number): void {
    const ownership = this.#deps.ownership(head.value.workspace)
    if (ownership === null) throw new NodeDaemonError('NOT_FOUND', `no workspace ${head.value.workspace}`)
    const verdict = judgeHead(head, tip, { ...ownership, sealedEpoch })
    if (verdict.kind === 'refuse') throw new NodeDaemonError(verdict.code, verdict.reason)
  }

  async #diverged(peer: PeerIdText, bytes: Uint8Array, blocks: readonly Block[]): Promise<Uint8Array> {
    const head = await open(headRecord, bytes, peer)
    if (this.#deps.access(peer, head.value.workspace)?.send !== true) throw noAccess(head.value.workspace)
    return (await this.#receipt(head, await this.#deps.repository.keepDiverged(head, blocks))).bytes
  }

  /** The repository's own receipt for a head that it holds. */
  async receiptFor(head: SignedHead): Promise<Signed<Receipt>> {
    return this.#receipt(head, await this.#deps.repository.publish(head, [], () => undefined))
  }

  async #receipt(head: SignedHead, counts: { blocks: number; bytes: number }): Promise<Signed<Receipt>> {
    const { identity, clock } = this.#deps
    return seal(receiptRecord, receiptOf(head, counts, 'repository', identity.peerId, clock.wall()), identity)
  }

  async #tip(peer: PeerIdText, workspace: WorkspaceId): Promise<HeadsAnswer> {
    if (this.#deps.access(peer, workspace)?.read !== true) throw noAccess(workspace)
    const found = await this.#deps.repository.tip(workspace)
    return found === null ? { kind: 'nothing' } : { kind: 'head', head: found.head.bytes }
  }

  async #follow(peer: PeerIdText, workspace: WorkspaceId, follower: Follower): Promise<HeadsAnswer> {
    if (this.#deps.access(peer, workspace)?.read !== true) throw noAccess(workspace)
    follower.workspaces.add(workspace)
    const followers = this.#followers.get(workspace) ?? new Set()
    this.#followers.set(workspace, followers.add(follower))
    return this.#tip(peer, workspace)
  }

  #unfollow(workspace: WorkspaceId, follower: Follower): void {
    follower.workspaces.delete(workspace)
    const followers = this.#followers.get(workspace)
    followers?.delete(follower)
    if (followers?.size === 0) this.#followers.delete(workspace)
  }

  async #holding(peer: PeerIdText, bytes: Uint8Array): Promise<void> {
    const receipt = await open(receiptRecord, bytes, peer)
    const { workspace, recipient, role } = receipt.value
    if (recipient !== peer || role !== 'instance')
      throw new NodeDaemonError('BAD_SIGNATURE', 'a receipt for somebody else')
    if (this.#deps.access(peer, workspace)?.read !== true) throw noAccess(workspace)
    // A head that the repository does not know would make who claims it look nearer to the base than all others.
    const head = await this.#deps.repository.head(receipt.value.head)
    if (head === null || head.value.workspace !== workspace || head.value.sequence !== receipt.value.sequence) {
      throw new NodeDaemonError('NOT_FOUND', 'a receipt for a head that the repository does not have')
    }
    this.#deps.onHolding(receipt)
  }
}

/** One heads stream. A slow follower gets the newest head of each workspace and not every one between. */
class Follower {
  readonly peer: PeerIdText
  readonly workspaces = new Set<WorkspaceId>()
  readonly #channel: Channel
  readonly #log: Logger
  readonly #pending = new Map<WorkspaceId, SignedHead>()
  #telling = false

  constructor(channel: Channel, log: Logger) {
    this.peer = channel.peer
    this.#channel = channel
    this.#log = log
  }

  async send(message: FromHeads): Promise<void> {
    try {
      await this.#channel.send(headsReply.encode(message))
    } catch (error) {
      this.#log.debug({ peer: this.peer, error: messageOf(error) }, 'an answer was not sent')
      this.#channel.abort(error instanceof Error ? error : new Error(String(error)))
    }
  }

  tell(head: SignedHead): void {
    this.#pending.set(head.value.workspace, head)
    if (this.#telling) return
    this.#telling = true
    void this.#drain()
  }

  async #drain(): Promise<void> {
    for (const [workspace, head] of this.#pending) {
      this.#pending.delete(workspace)
      await this.send({ id: 0, kind: 'head', head: head.bytes })
    }
    this.#telling = false
  }
}

function failure(error: unknown): HeadsAnswer {
  const missing = error instanceof NodeDaemonError ? error.data?.missing : undefined
  const cids = Array.isArray(missing) ? missing.map((text) => CID.parse(String(text))) : []
  return { kind: 'failure', code: codeOf(error), message: messageOf(error), missing: cids }
}
