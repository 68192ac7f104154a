import type { PeerIdText } from '../core/ids.ts'
import type { Gate } from '../network/host.ts'

/** Whom an instance lets in and talks with: its coordinator, and who is a member by the newest signed list. */
export class Trusted implements Gate {
  #coordinator: PeerIdText | null = null
  #members: ReadonlySet<PeerIdText> = new Set()
  #doors: ReadonlySet<PeerIdText> = new Set()

  pinned(coordinator: PeerIdText): void {
    this.#coordinator = coordinator
  }

  /** May this peer send users' requests here? */
  mayOpen(peer: PeerIdText): boolean {
    return peer === this.#coordinator || this.isDoor(peer)
  }

  isDoor(peer: PeerIdText): boolean {
    return this.#doors.has(peer)
  }

  /** The newest list, and who of it is a front door. Returns those who were on the one before and are on it no more. */
  listed(members: readonly PeerIdText[], doors: readonly PeerIdText[] = []): PeerIdText[] {
    const before = this.#members
    this.#members = new Set(members)
    this.#doors = new Set(doors)
    return [...before].filter((peer) => !this.#members.has(peer))
  }

  isMember(peer: PeerIdText): boolean {
    return this.#members.has(peer)
  }

  standing(peer: PeerIdText): 'member' | 'refused' {
    return peer === this.#coordinator || this.isMember(peer) ? 'member' : 'refused'
  }
}
