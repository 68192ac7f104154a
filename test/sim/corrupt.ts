import type { Block } from '../../src/core/blocks.ts'
import { BLOCKS_PROTOCOL, blocksReply, blocksRequest } from '../../src/wire/blocks.ts'
import { HEADS_PROTOCOL, headsRequest } from '../../src/wire/heads.ts'
import type { Machine } from './machine.ts'
import type { OnFrame } from './network.ts'
import type { Chance } from './world.ts'

const SHARE = 0.4

/** Some of the blocks that a machine sends are not what their names say, as of a member that lies or whose memory is broken. */
export function corruptBlocks(liar: Machine, chance: Chance): OnFrame {
  const flipped = (blocks: readonly Block[]): Block[] => {
    const which = chance.below(blocks.length)
    return blocks.map((block, index) => (index === which ? flip(block, chance) : block))
  }
  return ({ from, protocol, bytes }) => {
    if (from !== liar) return bytes
    if (protocol.id === HEADS_PROTOCOL.id && liar.name !== 'coordinator') return ofHeads(bytes, chance, flipped)
    if (protocol.id !== BLOCKS_PROTOCOL.id) return bytes
    return liar.name === 'coordinator' ? ofReply(bytes, chance, flipped) : ofRequest(bytes, chance, flipped)
  }
}

type Flipped = (blocks: readonly Block[]) => Block[]

function ofHeads(bytes: Uint8Array, chance: Chance, flipped: Flipped): Uint8Array {
  const ask = headsRequest.decode(bytes)
  const hasBlocks = (ask.kind === 'publish' || ask.kind === 'diverged') && ask.blocks.length > 0
  if (!hasBlocks || !chance.happens(SHARE)) return bytes
  return headsRequest.encode({ ...ask, blocks: flipped(ask.blocks) })
}

function ofRequest(bytes: Uint8Array, chance: Chance, flipped: Flipped): Uint8Array {
  const ask = blocksRequest.decode(bytes)
  if (ask.kind !== 'put' || ask.blocks.length === 0 || !chance.happens(SHARE)) return bytes
  return blocksRequest.encode({ kind: 'put', blocks: flipped(ask.blocks) })
}

function ofReply(bytes: Uint8Array, chance: Chance, flipped: Flipped): Uint8Array {
  const reply = blocksReply.decode(bytes)
  if (reply.kind !== 'blocks' || reply.blocks.length === 0 || !chance.happens(SHARE)) return bytes
  return blocksReply.encode({ kind: 'blocks', blocks: flipped(reply.blocks) })
}

function flip(block: Block, chance: Chance): Block {
  const bytes = new Uint8Array(block.bytes)
  const at = chance.below(Math.max(1, bytes.length))
  bytes[at] = (bytes[at] ?? 0) ^ 0x40
  return { ...block, bytes }
}
