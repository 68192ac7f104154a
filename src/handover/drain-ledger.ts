import { open, type Signed } from '../core/envelope.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import { parse } from '../core/parse.ts'
import { headRecord, type Receipt, receiptRecord } from '../core/records.ts'
import { CONTROL_LIMITS, type ControlChange, type ControlStore } from '../store/control-store.ts'
import type { ProvenHead } from './certificate.ts'

const PREFIX = 'drain-work/'

/** A head that an instance left, and who is named as its recipient. */
export interface Proof extends ProvenHead {
  readonly recipient: PeerIdText
}

interface StoredProof {
  readonly head: string
  readonly receipts: readonly string[]
  readonly recipient: string
}

/**
 * What an instance was to hand over in its drains since it served last, and what of it is proven to be elsewhere.
 * It survives a restart of the coordinator, so that the certificate of a drain that goes on proves all of it.
 */
export class DrainLedger {
  readonly #store: ControlStore
  readonly #prefix: string
  readonly #taken = new Set<WorkspaceId>()
  /** Null where the workspace was left before anything was written into it. */
  readonly #proven = new Map<WorkspaceId, Proof | null>()

  constructor(store: ControlStore, peer: PeerIdText) {
    this.#store = store
    this.#prefix = `${PREFIX}${peer}/`
  }

  /**
   * All ledgers that a former run has left.
   *
   * @throws NodeDaemonError `BAD_SIGNATURE` a stored head or receipt is not what was signed
   */
  static async load(store: ControlStore): Promise<Map<PeerIdText, DrainLedger>> {
    const ledgers = new Map<PeerIdText, DrainLedger>()
    for await (const { key, value } of store.list(PREFIX)) {
      const [, peerText = '', workspaceText = ''] = key.split('/')
      const peer = parse.peer(peerText)
      const ledger = ledgers.get(peer) ?? new DrainLedger(store, peer)
      ledgers.set(peer, ledger)
      await ledger.#read(parse.workspace(workspaceText), value)
    }
    return ledgers
  }

  async #read(workspace: WorkspaceId, row: Uint8Array): Promise<void> {
    this.#taken.add(workspace)
    if (row.length === 0) return
    const stored = JSON.parse(Buffer.from(row).toString()) as StoredProof | null
    this.#proven.set(workspace, stored === null ? null : await proofOf(stored))
  }

  /** All that was ever to be handed over. */
  get taken(): ReadonlySet<WorkspaceId> {
    return this.#taken
  }

  isProven(workspace: WorkspaceId): boolean {
    return this.#proven.has(workspace)
  }

  proofs(): Proof[] {
    return [...this.#proven.values()].filter((proof) => proof !== null)
  }

  /** These are about to be handed over. Durable on return, so that none is forgotten once it is elsewhere. */
  async take(workspaces: readonly WorkspaceId[]): Promise<void> {
    const fresh = workspaces.filter((workspace) => !this.#taken.has(workspace) || this.#proven.has(workspace))
    await this.#write(fresh.map((workspace) => this.#put(workspace, new Uint8Array(0))))
    for (const workspace of fresh) {
      this.#taken.add(workspace)
      this.#proven.delete(workspace)
    }
  }

  /** Durable on return. A later proof of the same workspace replaces the one before. */
  async prove(workspace: WorkspaceId, proof: Proof | null): Promise<void> {
    await this.#write([this.#put(workspace, Buffer.from(JSON.stringify(proof === null ? null : stored(proof))))])
    this.#taken.add(workspace)
    this.#proven.set(workspace, proof)
  }

  /** The instance serves again: a later drain has to prove only what it is home of then. */
  async clear(): Promise<void> {
    await this.#write(
      [...this.#taken].map((workspace) => ({ kind: 'remove', key: this.#prefix + workspace, ifRevision: 'any' }))
    )
    this.#taken.clear()
    this.#proven.clear()
  }

  #put(workspace: WorkspaceId, value: Uint8Array): ControlChange {
    return { kind: 'put', key: this.#prefix + workspace, value, ifRevision: 'any' }
  }

  async #write(changes: readonly ControlChange[]): Promise<void> {
    for (let at = 0; at < changes.length; at += CONTROL_LIMITS.changes) {
      await this.#store.transact(changes.slice(at, at + CONTROL_LIMITS.changes))
    }
  }
}

const base64 = ({ bytes }: { readonly bytes: Uint8Array }): string => Buffer.from(bytes).toString('base64')
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))

const stored = ({ head, receipts, recipient }: Proof): StoredProof => ({
  head: base64(head),
  receipts: receipts.map(base64),
  recipient
})

async function proofOf({ head, receipts, recipient }: StoredProof): Promise<Proof> {
  const opened: Signed<Receipt>[] = []
  for (const receipt of receipts) opened.push(await open(receiptRecord, bytesOf(receipt)))
  return { head: await open(headRecord, bytesOf(head)), receipts: opened, recipient: parse.peer(recipient) }
}
