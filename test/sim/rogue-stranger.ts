import type { PeerIdText, WorkspaceId } from '../../src/core/ids.ts'
import { BLOCKS_PROTOCOL, blocksRequest } from '../../src/wire/blocks.ts'
import { CONTROL_PROTOCOL, fromInstance } from '../../src/wire/control.ts'
import { HEADS_PROTOCOL, headsRequest } from '../../src/wire/heads.ts'
import type { Protocol } from '../../src/wire/protocol.ts'
import { REVISION } from '../../src/wire/revision.ts'
import type { Note } from './checks.ts'
import type { Federation } from './federation.ts'
import { Machine } from './machine.ts'
import { converse } from './rogue-member.ts'

const NOBODY = { rate: 1, wallOffMs: 0 }

/** I13: a peer that is no member, or none any more, speaks every protocol. It must hear nothing. */
export class RogueStranger {
  readonly #federation: Federation
  readonly #note: Note
  readonly #machine: Machine
  #last: Promise<void> = Promise.resolve()

  constructor(federation: Federation, note: Note) {
    this.#federation = federation
    this.#note = note
    this.#machine = new Machine(federation.world, 'stranger', '10.0.1.1', NOBODY)
    federation.network.addMachine(this.#machine)
  }

  /** One after another: the machine runs one process, and the next would end it in the middle of what it waits for. */
  knock(as: PeerIdText): Promise<void> {
    const turn = this.#last.then(() => this.#knock(as))
    this.#last = turn.catch(() => undefined)
    return turn
  }

  async #knock(as: PeerIdText): Promise<void> {
    const { network, coordinator } = this.#federation
    const { core } = coordinator
    const [row] = [...(core?.table.all() ?? [])]
    if (core === null || row === undefined) return
    const { workspace } = row.signed.value
    const host = network.startHost(this.#machine, this.#machine.begin(), as, { standing: () => 'member' }, null)
    try {
      const link = await host.dial([coordinator.address], coordinator.storage.identity.peerId)
      for (const [protocol, ask] of this.#asks(workspace)) {
        const frames = await converse(this.#federation, link, protocol, ask, 1)
        const isMember = coordinator.core?.registry.get(as)?.state === 'approved'
        if (frames.length > 0 && !isMember) this.#note('I13', `${as} is no member and is answered on ${protocol.id}`)
      }
    } catch {
      // Out of reach now.
    } finally {
      await host.close()
    }
  }

  #asks(workspace: WorkspaceId): [Protocol, Uint8Array[]][] {
    const hello = {
      version: '0.0.0',
      services: [],
      versions: {},
      labels: {},
      capacityBytes: 1e9,
      clockMs: 0,
      workspaces: [],
      addresses: [],
      ownershipNumber: 0,
      memberListNumber: 0,
      revision: REVISION,
      awaitsDrain: false,
      route: null
    }
    return [
      [HEADS_PROTOCOL, [headsRequest.encode({ id: 1, kind: 'tip', workspace })]],
      [BLOCKS_PROTOCOL, [blocksRequest.encode({ kind: 'open', workspace })]],
      [CONTROL_PROTOCOL, [fromInstance.encode({ kind: 'hello', hello })]]
    ]
  }
}
