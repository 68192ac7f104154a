import type { PeerIdText } from '../core/ids.ts'
import type { Gate } from '../network/host.ts'

/** Whom an instance lets in and talks with: its coordinator, and who is a member by the newest signed list. */
export class Trusted implements Gate {
  #coordinator: PeerIdText | null = null
  #members: ReadonlySet<PeerIdText> = new Set()

  pinned(coordinator: PeerIdText): void {
    this.#coordinator = coordinator
  }

  /** The newest list. Returns those who were on the one before and are on it no more. */
  listed(members: readonly PeerIdText[]): PeerIdText[] {
    const before = this.#members
    this.#members = new Set(members)
    return [...before].filter((peer) => !this.#members.has(peer))
  }

  isMember(peer: PeerIdText): boolean {
    return this.#members.has(peer)
  }

  standing(peer: PeerIdText): 'member' | 'refused' {
    return peer === this.#coordinator || this.isMember(peer) ? 'member' : 'refused'
  }
}
