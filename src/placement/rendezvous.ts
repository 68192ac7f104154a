import { hash } from 'node:crypto'

/**
 * Weighted rendezvous hashing: every chooser ranks the same way without talking, and one node more or less moves only
 * what it takes or leaves. A node's share is in proportion to its weight.
 *
 * Source: Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", SPAA 2005.
 */
export function rank<T>(key: string, nodes: readonly T[], id: (node: T) => string, weight: (node: T) => number): T[] {
  return nodes
    .map((node) => ({ node, score: score(key, id(node), weight(node)) }))
    .sort((a, b) => b.score - a.score || (id(a.node) < id(b.node) ? -1 : 1))
    .map(({ node }) => node)
}

function score(key: string, id: string, weight: number): number {
  if (weight <= 0) return Number.NEGATIVE_INFINITY
  const digest = hash('sha256', `${key}\n${id}`, 'buffer')
  // 52 bits, in (0, 1): the logarithm is finite.
  const unit = (digest.readUIntBE(0, 6) * 16 + (digest.readUInt8(6) >> 4) + 0.5) / 2 ** 52
  return -weight / Math.log(unit)
}
