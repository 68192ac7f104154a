import { seal } from '../../src/core/envelope.ts'
import type { WorkspaceId } from '../../src/core/ids.ts'
import { headRecord, receiptRecord, type SignedHead } from '../../src/core/records.ts'
import type { Channel, Link } from '../../src/network/host.ts'
import { receiptOf } from '../../src/sync/receipt.ts'
import { BLOCKS_PROTOCOL, blocksReply, blocksRequest } from '../../src/wire/blocks.ts'
import { HEADS_PROTOCOL, type HeadsAnswer, type HeadsAsk, headsReply, headsRequest } from '../../src/wire/heads.ts'
import type { Protocol } from '../../src/wire/protocol.ts'
import type { Note } from './checks.ts'
import type { Federation } from './federation.ts'
import type { SimulatedInstance } from './instance.ts'
import type { Chance } from './world.ts'

const ANSWER_MS = 5000

/** An approved instance with a valid key that lies. Nothing of what it says may count. */
export class RogueMember {
  readonly #federation: Federation
  readonly #chance: Chance
  readonly #note: Note

  constructor(federation: Federation, chance: Chance, note: Note) {
    this.#federation = federation
    this.#chance = chance
    this.#note = note
  }

  /** Tells one lie about one workspace. */
  async lie(liar: SimulatedInstance): Promise<void> {
    const { core } = this.#federation.coordinator
    const rows = [...(core?.table.all() ?? [])]
    const link = liar.core?.host.links(this.#federation.coordinator.storage.identity.peerId).at(-1)
    if (core === null || rows.length === 0 || link === undefined) return
    const { workspace, epoch, home, standbys } = this.#chance.one(rows).signed.value
    const tip = (await core.repository.tip(workspace))?.head ?? null
    if (tip === null) return
    const isStranger = home !== liar.peerId && !standbys.includes(liar.peerId)
    const lies = [
      () => this.#receiptOfAnother(liar, link, tip),
      () => this.#receiptOfNothing(liar, link, tip),
      () => this.#oldEpoch(liar, link, tip, epoch),
      ...(isStranger ? [() => this.#foreignBlocks(liar, link, workspace, tip)] : [])
    ]
    await this.#chance.one(lies)()
  }

  async #receiptOfAnother(liar: SimulatedInstance, link: Link, head: SignedHead): Promise<void> {
    const other = this.#federation.instances.find((instance) => instance !== liar)
    if (other === undefined) return
    const receipt = receiptOf(head, { blocks: 1, bytes: 1 }, 'instance', other.peerId, 0)
    const { bytes } = await seal(receiptRecord, receipt, liar.identity)
    const answer = await this.#heads(link, { kind: 'holding', receipt: bytes })
    if (answer?.kind === 'nothing') this.#note('I7', `a receipt of ${liar.name} for ${other.name} was taken`)
  }

  async #receiptOfNothing(liar: SimulatedInstance, link: Link, head: SignedHead): Promise<void> {
    const none: SignedHead = { ...head, value: { ...head.value, sequence: head.value.sequence + 1000 } }
    const receipt = receiptOf(none, { blocks: 1, bytes: 1 }, 'instance', liar.peerId, 0)
    const { bytes } = await seal(receiptRecord, receipt, liar.identity)
    const answer = await this.#heads(link, { kind: 'holding', receipt: bytes })
    if (answer?.kind === 'nothing') this.#note('I7', `a receipt of ${liar.name} for a head that is none was taken`)
  }

  /** As a former home would that has not heard that another one took over. */
  async #oldEpoch(liar: SimulatedInstance, link: Link, tip: SignedHead, epoch: number): Promise<void> {
    if (epoch < 2) return
    const { sequence } = tip.value
    const old = { ...tip.value, epoch: epoch - 1, sequence: sequence + 1, previous: tip.cid }
    const head = await seal(headRecord, old, liar.identity)
    const answer = await this.#heads(link, { kind: 'publish', head: head.bytes, blocks: [] })
    if (answer?.kind === 'receipt') this.#note('I5', `a head of epoch ${epoch - 1} was taken in epoch ${epoch}`)
  }

  /** I15: the name of a block opens nothing. */
  async #foreignBlocks(liar: SimulatedInstance, link: Link, workspace: WorkspaceId, tip: SignedHead): Promise<void> {
    const { signed } = this.#federation.coordinator.core?.table.get(workspace) ?? {}
    const ask = [
      blocksRequest.encode({ kind: 'open', workspace }),
      blocksRequest.encode({ kind: 'want', cids: [tip.value.root] })
    ]
    const frames = await this.#converse(link, BLOCKS_PROTOCOL, ask, 3)
    const now = this.#federation.coordinator.core?.table.get(workspace)?.signed
    const isSame = signed !== undefined && signed === now && now.value.home !== liar.peerId
    const given = frames
      .map((frame) => blocksReply.decode(frame))
      .some((one) => one.kind === 'blocks' && one.blocks.length > 0)
    if (given && isSame && !now.value.standbys.includes(liar.peerId)) {
      this.#note('I15', `${liar.name} was given blocks of ${workspace}, with which it has nothing to do`)
    }
  }

  async #heads(link: Link, ask: HeadsAsk): Promise<HeadsAnswer | null> {
    const [frame] = await this.#converse(link, HEADS_PROTOCOL, [headsRequest.encode({ id: 1, ...ask })], 1)
    return frame === undefined ? null : headsReply.decode(frame)
  }

  async #converse(link: Link, protocol: Protocol, ask: readonly Uint8Array[], answers: number): Promise<Uint8Array[]> {
    return await converse(this.#federation, link, protocol, ask, answers)
  }
}

/** Says something and hears what comes, as far as it comes. */
export async function converse(
  { world }: Federation,
  link: Link,
  protocol: Protocol,
  ask: readonly Uint8Array[],
  answers: number
): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = []
  const heard = (async (): Promise<void> => {
    let channel: Channel | null = null
    try {
      channel = await link.open(protocol)
      for (const frame of ask) await channel.send(frame)
      while (frames.length < answers) {
        const frame = await channel.receive()
        if (frame === null) break
        frames.push(frame)
      }
    } catch {
      // Refused, cut off, or out of reach: nothing was heard.
    }
    channel?.abort(new Error('enough'))
  })()
  await Promise.race([heard, world.sleep(ANSWER_MS)])
  return frames
}
