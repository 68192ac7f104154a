import type { CID } from 'multiformats/cid'
import type { Block } from '../core/blocks.ts'
import { BoundedMap } from '../core/bounded-map.ts'
import { aborted, type Clock, type Instant, withTimeout } from '../core/clock.ts'
import { hasCode, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Ownership, SignedHead } from '../core/records.ts'
import type { Neighbours } from '../network/neighbours.ts'
import type { Providers } from '../network/providers.ts'
import type { Reach } from '../network/reach.ts'
import { type BlockExchange, openExchange } from './block-exchange.ts'
import { chooseSources, needsHolders } from './choose-sources.ts'
import type { NearBlocks } from './members.ts'
import { RateLimit } from './rate-limit.ts'
import { Uplink } from './uplink.ts'

/** Blocks that a member is asked for at a time: more while it is quick, so that a slow one costs little. */
const PIECE = { min: 8, max: 64 }
const QUICK_MS = 500
/** What members may cost for one head. Bytes that come add what they take at a fair rate, so that who is quick goes on. */
const BUDGET_MS = { first: 2000, max: 10_000 }
const FAIR_BYTES_PER_MS = 500
/** Who failed is left alone for so long; who sent what is not so, for longer. */
const REST_MS = 60_000
const LIAR_REST_MS = 60 * 60_000
const RESTING_MAX = 1000

export interface NearDeps {
  readonly self: PeerIdText
  /** This instance's own, as the coordinator has it. */
  readonly zone: () => string | null
  readonly neighbours: Pick<Neighbours, 'get'>
  readonly reach: Pick<Reach, 'isNear' | 'link'>
  readonly providers: Pick<Providers, 'find'>
  readonly download: RateLimit
  readonly clock: Clock
  readonly log: Logger
}

/** Fetches blocks from members, and remembers who is not worth asking. */
export class NearMembers {
  readonly #deps: NearDeps
  readonly #resting = new BoundedMap<PeerIdText, Instant>(RESTING_MAX)

  constructor(deps: NearDeps) {
    this.#deps = deps
  }

  open(head: SignedHead, ownership: Ownership, signal: AbortSignal): NearBlocks {
    return new NearSession(this.#deps, this, head, ownership, signal)
  }

  isAwake(peer: PeerIdText): boolean {
    return (this.#resting.get(peer) ?? 0) <= this.#deps.clock.now()
  }

  failed(peer: PeerIdText, error: unknown): void {
    const { clock, log } = this.#deps
    // It gives to others now, and may have time for the next head.
    if (hasCode(error, 'BUSY')) return
    const lied = hasCode(error, 'INTEGRITY', 'PROTOCOL_VIOLATION')
    this.#resting.set(peer, clock.now() + (lied ? LIAR_REST_MS : REST_MS))
    const fields = { peer, error: messageOf(error) }
    if (lied) log.warn(fields, 'a member sent blocks that are not what they should be; they were thrown away')
    else log.debug(fields, 'a member gave no blocks')
  }
}

interface Line {
  readonly exchange: Promise<BlockExchange>
  readonly end: AbortController
  /** What `exchange` came to; null until it did. */
  opened: BlockExchange | null
}

/**
 * One head's blocks. A member that fails, or lacks any of what it is asked for, is not asked again; and nobody is once
 * the time for members is used up: the main repository has them all.
 */
class NearSession implements NearBlocks {
  readonly #deps: NearDeps
  readonly #members: NearMembers
  readonly #head: SignedHead
  readonly #ownership: Ownership
  readonly #signal: AbortSignal
  readonly #lines = new Map<PeerIdText, Line>()
  readonly #over = new Set<PeerIdText>()
  #sources: Promise<readonly PeerIdText[]> | null = null
  #piece: number = PIECE.min
  #bytes = 0
  #leftMs = BUDGET_MS.first

  constructor(deps: NearDeps, members: NearMembers, head: SignedHead, ownership: Ownership, signal: AbortSignal) {
    this.#deps = deps
    this.#members = members
    this.#head = head
    this.#ownership = ownership
    this.#signal = signal
  }

  async want(cids: readonly CID[]): Promise<Block[]> {
    this.#sources ??= this.#choose()
    const found: Block[] = []
    let left = cids
    for (const peer of await this.#sources) {
      const blocks = await this.#ask(peer, left)
      found.push(...blocks)
      const names = new Set(blocks.map(({ cid }) => cid.toString()))
      left = left.filter((cid) => !names.has(cid.toString()))
    }
    return found
  }

  async close(): Promise<void> {
    const { workspace, sequence } = this.#head.value
    if (this.#bytes > 0) this.#deps.log.debug({ workspace, sequence, bytes: this.#bytes }, 'blocks came from members')
    for (const { opened, end } of this.#lines.values()) {
      // One that did not open yet ends itself when it does: nobody waits for that.
      if (opened === null) end.abort(new NodeDaemonError('ABORTED', 'the blocks are not needed any more'))
      else await opened.close()
    }
  }

  async #choose(): Promise<readonly PeerIdText[]> {
    const { self, zone, neighbours, reach, providers } = this.#deps
    const { home, standbys } = this.#ownership
    const near = new Map<PeerIdText, string | null>()
    for (const peer of home === null ? standbys : [home, ...standbys]) {
      if (reach.isNear(peer) && this.#members.isAwake(peer)) near.set(peer, neighbours.get(peer)?.zone ?? null)
    }
    const facts = { self, zone: zone(), home, standbys, near }
    const holders = needsHolders(facts) ? await providers.find(this.#head.cid, this.#signal) : []
    return chooseSources({ ...facts, holders })
  }

  async #ask(peer: PeerIdText, cids: readonly CID[]): Promise<Block[]> {
    const { clock, download } = this.#deps
    const found: Block[] = []
    for (let from = 0; from < cids.length && !this.#over.has(peer) && this.#leftMs > 0; ) {
      const asked = cids.slice(from, from + this.#piece)
      from += asked.length
      const begun = clock.now()
      const blocks = await this.#pieceOf(peer, asked)
      const tookMs = clock.now() - begun
      this.#piece = tookMs < QUICK_MS ? Math.min(PIECE.max, this.#piece * 2) : PIECE.min
      // One that lacks something is behind, or withholds it.
      if (blocks.length < asked.length) this.#over.add(peer)
      const bytes = blocks.reduce((sum, block) => sum + block.bytes.length, 0)
      this.#bytes += bytes
      this.#leftMs = Math.min(BUDGET_MS.max, this.#leftMs - tookMs + bytes / FAIR_BYTES_PER_MS)
      await download.take(bytes, this.#signal)
      found.push(...blocks)
    }
    return found
  }

  async #pieceOf(peer: PeerIdText, asked: readonly CID[]): Promise<Block[]> {
    try {
      return await withTimeout(
        this.#deps.clock,
        this.#leftMs,
        'blocks of a member',
        async () => (await this.#line(peer).exchange).want(asked),
        this.#signal
      )
    } catch (error) {
      if (this.#signal.aborted) throw error
      this.#over.add(peer)
      this.#lines.get(peer)?.end.abort(error)
      this.#members.failed(peer, error)
      return []
    }
  }

  #line(peer: PeerIdText): Line {
    const known = this.#lines.get(peer)
    if (known !== undefined) return known
    const end = new AbortController()
    const exchange = this.#open(peer, AbortSignal.any([end.signal, this.#signal]))
    const line: Line = { exchange, end, opened: null }
    exchange.then(
      (opened) => {
        line.opened = opened
      },
      () => undefined
    )
    this.#lines.set(peer, line)
    return line
  }

  async #open(peer: PeerIdText, signal: AbortSignal): Promise<BlockExchange> {
    const { clock, reach } = this.#deps
    const link = await reach.link(peer)
    if (signal.aborted) throw aborted(signal)
    // What comes is counted after the time that it took was measured.
    const pace = { upload: new Uplink(clock), download: new RateLimit(clock), clock }
    return openExchange(link, this.#ownership.workspace, pace, signal)
  }
}
