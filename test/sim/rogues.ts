import type { PeerIdText } from '../../src/core/ids.ts'
import type { Note } from './checks.ts'
import type { Federation } from './federation.ts'
import { RogueCoordinator } from './rogue-coordinator.ts'
import { RogueMember } from './rogue-member.ts'
import { RogueStranger } from './rogue-stranger.ts'
import type { Chance } from './world.ts'

const STRANGER = '12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf' as PeerIdText

/** Those who say what is not so. */
export class Rogues {
  readonly #federation: Federation
  readonly #chance: Chance
  readonly #member: RogueMember
  readonly #stranger: RogueStranger
  readonly #coordinator: RogueCoordinator

  constructor(federation: Federation, chance: Chance, note: Note) {
    this.#federation = federation
    this.#chance = chance
    this.#member = new RogueMember(federation, chance, note)
    this.#stranger = new RogueStranger(federation, note)
    this.#coordinator = new RogueCoordinator(federation, chance, note)
  }

  remember(): void {
    this.#coordinator.remember()
  }

  async act(what: 'lie' | 'knock' | 'old-words'): Promise<void> {
    const { coordinator, instances } = this.#federation
    if (what === 'old-words') return this.#coordinator.speak()
    if (what === 'lie') return this.#member.lie(this.#chance.one(instances))
    const thrownOut = instances.find(({ peerId }) => coordinator.core?.registry.get(peerId)?.state === 'revoked')
    await this.#stranger.knock(thrownOut?.peerId ?? STRANGER)
  }
}
