import type { Signed } from '../core/envelope.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { MemberList, Ownership, SignedHead, SignedOwnership } from '../core/records.ts'
import type { MemberReport } from './ask-report.ts'

/** The newest head of a workspace that is proven, and the instances that hold it. */
export interface HeldHead {
  readonly head: SignedHead
  readonly holders: readonly PeerIdText[]
}

interface Told {
  newest: SignedOwnership
  /** One record of each epoch that some instance knows. */
  readonly byEpoch: Map<number, Ownership>
  readonly heads: Map<string, { readonly head: SignedHead; readonly holders: Set<PeerIdText> }>
}

/**
 * What instances report of that which their coordinator has signed, taken together. Nothing of it rests on an
 * instance's word: who writes which workspace stands in the coordinator's own records, and a head counts where its
 * signer was the home in its epoch, or where a record names it as the base.
 */
export class Testimony {
  readonly #workspaces = new Map<WorkspaceId, Told>()
  #memberList: Signed<MemberList> | null = null

  get memberList(): Signed<MemberList> | null {
    return this.#memberList
  }

  note({ peer, memberList, workspaces }: MemberReport): void {
    if (memberList !== null && memberList.value.number > (this.#memberList?.value.number ?? 0)) {
      this.#memberList = memberList
    }
    for (const { ownership, head } of workspaces) {
      const told = this.#told(ownership)
      if (ownership.value.number > told.newest.value.number) told.newest = ownership
      const known = told.byEpoch.get(ownership.value.epoch)
      if (known === undefined || known.number < ownership.value.number) {
        told.byEpoch.set(ownership.value.epoch, ownership.value)
      }
      if (head === null) continue
      const held = told.heads.get(head.cid.toString()) ?? { head, holders: new Set() }
      told.heads.set(head.cid.toString(), held)
      held.holders.add(peer)
    }
  }

  #told(ownership: SignedOwnership): Told {
    const { workspace } = ownership.value
    const told = this.#workspaces.get(workspace) ?? { newest: ownership, byEpoch: new Map(), heads: new Map() }
    this.#workspaces.set(workspace, told)
    return told
  }

  /** The newest ownership record of each workspace, in the order in which they were signed. */
  newest(): Ownership[] {
    return [...this.#workspaces.values()].map(({ newest }) => newest.value).sort((a, b) => a.number - b.number)
  }

  /** The highest epoch that was given out, as far as anybody knows. */
  get highestEpoch(): number {
    let highest = 0
    for (const workspace of this.#workspaces.keys()) highest = Math.max(highest, this.highestEpochOf(workspace))
    return highest
  }

  highestEpochOf(workspace: WorkspaceId): number {
    return Math.max(0, ...(this.#workspaces.get(workspace)?.byEpoch.keys() ?? []))
  }

  /** The highest number of a record that anybody holds. */
  get highestNumber(): number {
    let highest = 0
    for (const { newest } of this.#workspaces.values()) highest = Math.max(highest, newest.value.number)
    return highest
  }

  /** Workspaces that somebody has said something about, in the order of their ids. */
  workspaces(): WorkspaceId[] {
    return [...this.#workspaces.keys()].sort()
  }

  /** `known`: what the coordinator knows itself of who writes the workspace. Null where no head is proven. */
  newestHead(workspace: WorkspaceId, known: Ownership | null): HeldHead | null {
    const told = this.#workspaces.get(workspace)
    if (told === undefined) return null
    const records = [...told.byEpoch.values(), ...(known === null ? [] : [known])]
    let best: HeldHead | null = null
    for (const { head, holders } of told.heads.values()) {
      if (!records.some((record) => provesHead(record, head))) continue
      if (best === null || isLater(head, best.head)) best = { head, holders: [...holders].sort() }
    }
    return best
  }
}

/** Does this record say that whoever signed the head was the home in its epoch, or that the head is a base? */
export const provesHead = ({ epoch, home, base }: Ownership, head: SignedHead): boolean =>
  (epoch === head.value.epoch && home === head.signer) || base?.equals(head.cid) === true

export function isLater({ value: a }: SignedHead, { value: b }: SignedHead): boolean {
  return a.epoch !== b.epoch ? a.epoch > b.epoch : a.sequence > b.sequence
}
