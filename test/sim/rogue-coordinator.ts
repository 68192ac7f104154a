import { seal } from '../../src/core/envelope.ts'
import type { Identity } from '../../src/core/identity.ts'
import type { WorkspaceId } from '../../src/core/ids.ts'
import { memberListRecord, type SignedOwnership } from '../../src/core/records.ts'
import { passes } from '../../src/handover/workspace-state.ts'
import type { Note } from './checks.ts'
import type { Federation } from './federation.ts'
import type { Chance } from './world.ts'

const ORDER_MS = 5000

/** I6: what a coordinator says that was restored from an old backup, or that is none. No instance may believe it. */
export class RogueCoordinator {
  readonly #federation: Federation
  readonly #chance: Chance
  readonly #note: Note
  readonly #past = new Map<WorkspaceId, SignedOwnership>()

  constructor(federation: Federation, chance: Chance, note: Note) {
    this.#federation = federation
    this.#chance = chance
    this.#note = note
  }

  /** Keeps the first that is seen of each workspace. */
  remember(): void {
    for (const { signed } of this.#federation.coordinator.core?.table.all() ?? []) {
      if (!this.#past.has(signed.value.workspace)) this.#past.set(signed.value.workspace, signed)
    }
  }

  async speak(): Promise<void> {
    const { identity } = this.#federation.coordinator.storage
    const { identity: other } = this.#chance.one(this.#federation.instances)
    const words = [
      () => this.#oldOwner(),
      () => this.#oldOwner(),
      () => this.#members(identity, 0),
      () => this.#members(other, 1e6)
    ]
    await this.#chance.one(words)()
  }

  /** A home is told what was so in an earlier epoch. */
  async #oldOwner(): Promise<void> {
    const { core } = this.#federation.coordinator
    for (const { signed } of core?.table.all() ?? []) {
      const { workspace, home, epoch } = signed.value
      const old = this.#past.get(workspace)
      const session = home === null ? null : (core?.control.session(home) ?? null)
      const isOlder = old !== undefined && old.value.epoch < epoch
      if (core === null || session === null || !isOlder || !passes(core.director.state(workspace))) continue
      try {
        await session.order({ kind: 'follow', ownership: old.bytes }, ORDER_MS)
        this.#note('I6', `${core.fleet.nameOf(session.peer)} took the owner of epoch ${old.value.epoch} in ${epoch}`)
      } catch {
        // Refused, or out of reach.
      }
      return
    }
  }

  /** A list without anybody in it. */
  async #members(signer: Identity, number: number): Promise<void> {
    const { world, coordinator, instances } = this.#federation
    const federation = coordinator.storage.identity.peerId
    const list = await seal(memberListRecord, { federation, number, issuedAtMs: 0, members: [] }, signer)
    const [session] = coordinator.core?.control.sessions() ?? []
    const instance = instances.find(({ peerId }) => peerId === session?.peer)
    if (session === undefined || instance?.core === undefined || !knowsItself(instance)) return
    session.tellMembers(list.bytes)
    const { runs } = instance
    await world.sleep(ORDER_MS)
    if (instance.runs === runs && !knowsItself(instance)) this.#note('I6', `${instance.name} took a list of no members`)
  }
}

function knowsItself({ core, peerId }: Federation['instances'][number]): boolean {
  try {
    return core?.daemon.resolvePeer(peerId) === peerId
  } catch {
    return false
  }
}
