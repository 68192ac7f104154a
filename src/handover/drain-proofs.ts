import type { Clock } from '../core/clock.ts'
import { seal } from '../core/envelope.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import { exitRecord } from '../core/records.ts'
import { receiptProblem, writeCertificate } from './certificate.ts'
import type { DrainLedger, Proof } from './drain-ledger.ts'
import type { Holdings } from './holdings.ts'
import type { Moved } from './moved.ts'
import type { OwnershipTable } from './ownership-table.ts'
import type { RepositoryProof } from './proof.ts'

const NOBODY_SERVES = 'the data is safe in the main repository, and nobody serves it until another instance joins'

export interface DrainProofsDeps {
  readonly table: OwnershipTable
  readonly holdings: Holdings
  readonly repository: RepositoryProof
  readonly identity: Identity
  readonly clock: Clock
}

/** Gathers what proves that an instance may go. */
export class DrainProofs {
  readonly #deps: DrainProofsDeps
  readonly #peer: PeerIdText
  readonly #ledger: DrainLedger

  constructor(deps: DrainProofsDeps, peer: PeerIdText, ledger: DrainLedger) {
    this.#deps = deps
    this.#peer = peer
    this.#ledger = ledger
  }

  /** What was to be handed over, is no longer at home here, and is not proven yet: it went elsewhere by itself, or the coordinator was restarted at that moment. */
  get elsewhere(): WorkspaceId[] {
    const { table } = this.#deps
    return [...this.#ledger.taken].filter(
      (workspace) => !this.#ledger.isProven(workspace) && table.get(workspace)?.signed.value.home !== this.#peer
    )
  }

  /** Is the instance home of nothing, and all that it left proven? */
  get isComplete(): boolean {
    return this.elsewhere.length === 0 && this.#deps.table.homesOf(this.#peer).length === 0
  }

  /** What there is to say beside the certificate; empty where every workspace that it left is served. */
  get lastWord(): string {
    const { table } = this.#deps
    const isOrphan = ({ head }: Proof): boolean => table.get(head.value.workspace)?.signed.value.home === null
    return this.#ledger.proofs().some(isOrphan) ? NOBODY_SERVES : ''
  }

  /** Durable on return. */
  async prove({ workspace, base, receipt, to }: Pick<Moved, 'workspace' | 'base' | 'receipt' | 'to'>): Promise<void> {
    if (base === null) return this.#ledger.prove(workspace, null)
    const { peerId } = this.#deps.identity
    const own = await this.#deps.repository.receiptFor(base)
    const statement = { instance: this.#peer, federation: peerId }
    // What an instance says it holds must not spoil the proof of another.
    const counts = receipt !== null && receiptProblem(receipt, base, statement) === null
    const receipts = counts ? [receipt, own] : [own]
    await this.#ledger.prove(workspace, { head: base, receipts, recipient: counts && to !== null ? to : peerId })
  }

  /** The workspace went to another home by itself: the base of its epoch is what this instance left, or newer. */
  async proveElsewhere(workspace: WorkspaceId): Promise<void> {
    const { table, holdings, repository } = this.#deps
    const value = table.get(workspace)?.signed.value
    if (value === undefined || value.base === null) return this.#ledger.prove(workspace, null)
    const base = await repository.head(value.base)
    if (base === null) throw new NodeDaemonError('INTEGRITY', `the base of workspace ${workspace} is missing`)
    const receipt = value.home === null ? null : holdings.receipt(workspace, value.home, base.cid)
    await this.prove({ workspace, base, receipt, to: value.home })
  }

  /** The exit certificate of all that is proven. */
  async certificate(): Promise<Uint8Array> {
    const { identity, clock } = this.#deps
    const proofs = this.#ledger.proofs()
    const heads = proofs.map(({ head: { cid, value }, recipient }) => {
      const { workspace, epoch, sequence } = value
      return { workspace, epoch, sequence, head: cid, recipient }
    })
    const said = { federation: identity.peerId, instance: this.#peer, issuedAtMs: clock.wall(), heads }
    return writeCertificate(await seal(exitRecord, said, identity), proofs)
  }
}
