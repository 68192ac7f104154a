import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import { type Candidate, LOAD_PERMILLE_MAX, leftOf, markOf } from './candidate.ts'
import type { ToPlace } from './place.ts'
import { rank } from './rendezvous.ts'

export interface RebalanceWorkspace extends ToPlace {
  readonly home: PeerIdText
  /** `current`: it holds the newest head, and a move there copies nothing. */
  readonly standbys: readonly { readonly peer: PeerIdText; readonly current: boolean }[]
  /** Nobody uses it now: a move is not noticed. */
  readonly idle: boolean
}

export interface RebalanceMove {
  /** What passes from one to the other: being the home, or standing by. */
  readonly role: 'home' | 'standby'
  readonly workspace: WorkspaceId
  readonly from: PeerIdText
  readonly to: PeerIdText
  /** What has to be copied. */
  readonly bytes: number
  /** `disk`: little is left on the disk of `from`. */
  readonly reason: 'load' | 'disk'
}

/** How far from its fair share of workspaces an instance may be: this share of it, and at least one. */
const TOLERANCE = 0.1
/** Those that are furthest off are looked at; the others have their turn in a later plan. */
const GIVERS_MAX = 8
const TAKERS_MAX = 32
const CONSIDERED_MAX = 64

/** An instance while a plan is made. */
interface Party {
  readonly instance: Candidate
  left: number
  readonly mark: number
}

/** What an instance has of one service. */
interface Share {
  readonly party: Party
  readonly weight: number
  count: number
  readonly idle: RebalanceWorkspace[]
}

/**
 * Moves that bring each instance to its fair share of the workspaces of a service, by what it lends, and away from disks
 * that are nearly full: the fewest that do. Each brings the federation nearer to that, so that planning again after
 * each of them comes to an end. At most `max`, each workspace once, and only of those that are idle; a role of a standby
 * may move at any time.
 *
 * @param workspaces those that have a home; others are left out
 */
export function planRebalance(
  instances: readonly Candidate[],
  workspaces: Iterable<RebalanceWorkspace>,
  { max }: { readonly max: number }
): RebalanceMove[] {
  const ordered = [...instances].sort((a, b) => (a.peer < b.peer ? -1 : 1))
  const parties = new Map(
    ordered.map((instance): [PeerIdText, Party] => [
      instance.peer,
      { instance, left: leftOf(instance), mark: markOf(instance) }
    ])
  )
  const tally = new Tally(parties)
  for (const workspace of workspaces) tally.count(workspace)
  const moves = new Moves(parties, max)
  for (const party of parties.values()) if (party.left < party.mark) relieve(party, tally, moves)
  for (const shares of tally.services()) even(shares, moves)
  return moves.made
}

class Tally {
  readonly #parties: ReadonlyMap<PeerIdText, Party>
  readonly #shares = new Map<string, Map<PeerIdText, Share>>()
  readonly #stood = new Map<PeerIdText, RebalanceWorkspace[]>()

  constructor(parties: ReadonlyMap<PeerIdText, Party>) {
    this.#parties = parties
  }

  count(workspace: RebalanceWorkspace): void {
    const share = this.#sharesOf(workspace.service).get(workspace.home)
    if (share !== undefined) {
      share.count++
      if (workspace.idle && share.idle.length < CONSIDERED_MAX) share.idle.push(workspace)
    }
    for (const { peer } of workspace.standbys) {
      const party = this.#parties.get(peer)
      if (party === undefined || party.left >= party.mark || workspace.bytes === 0) continue
      const stood = this.#stood.get(peer) ?? []
      this.#stood.set(peer, stood)
      if (stood.length < CONSIDERED_MAX) stood.push(workspace)
    }
  }

  #sharesOf(service: RebalanceWorkspace['service']): Map<PeerIdText, Share> {
    const known = this.#shares.get(service)
    if (known !== undefined) return known
    const offering = [...this.#parties.values()].filter(({ instance }) => instance.services.includes(service))
    const shares = new Map(
      offering.map((party): [PeerIdText, Share] => [
        party.instance.peer,
        { party, weight: Math.max(1, party.instance.capacityBytes), count: 0, idle: [] }
      ])
    )
    this.#shares.set(service, shares)
    return shares
  }

  /** What it stands by for, and has to give away. */
  stoodBy(peer: PeerIdText): readonly RebalanceWorkspace[] {
    return this.#stood.get(peer) ?? []
  }

  idleAt(peer: PeerIdText): RebalanceWorkspace[] {
    return [...this.#shares.values()].flatMap((shares) => shares.get(peer)?.idle ?? [])
  }

  services(): Share[][] {
    return [...this.#shares.values()].map((shares) => [...shares.values()])
  }
}

class Moves {
  readonly made: RebalanceMove[] = []
  readonly #max: number
  readonly #parties: ReadonlyMap<PeerIdText, Party>
  readonly #taken = new Set<WorkspaceId>()

  constructor(parties: ReadonlyMap<PeerIdText, Party>, max: number) {
    this.#parties = parties
    this.#max = max
  }

  get isFull(): boolean {
    return this.made.length >= this.#max
  }

  has({ workspace }: RebalanceWorkspace): boolean {
    return this.#taken.has(workspace)
  }

  add(move: RebalanceMove): void {
    this.made.push(move)
    this.#taken.add(move.workspace)
    // What is given away counts as free once it is: in a later plan.
    const to = this.#parties.get(move.to)
    if (to !== undefined) to.left -= move.bytes
  }

  /** May it take over, without passing its own mark? */
  fits({ party }: { readonly party: Party }, workspace: RebalanceWorkspace): boolean {
    const { instance, left, mark } = party
    if (!instance.newcomers || left < mark || instance.loadPermille > LOAD_PERMILLE_MAX) return false
    return instance.services.includes(workspace.service) && left - lackingAt(workspace, instance.peer) >= mark
  }

  parties(): { readonly party: Party }[] {
    return [...this.#parties.values()].map((party) => ({ party }))
  }
}

const standsBy = ({ standbys }: RebalanceWorkspace, peer: PeerIdText): boolean =>
  standbys.some((standby) => standby.peer === peer && standby.current)

const lackingAt = (workspace: RebalanceWorkspace, peer: PeerIdText): number =>
  standsBy(workspace, peer) ? 0 : workspace.bytes

/** Best first: who has it already, then as rendezvous hashing ranks them by what they lend. */
function ranked<T extends { readonly party: Party }>(workspace: RebalanceWorkspace, takers: readonly T[]): T[] {
  const order = rank(
    workspace.workspace,
    takers,
    ({ party }) => party.instance.peer,
    ({ party }) => party.instance.capacityBytes
  )
  const has = (taker: T): boolean => standsBy(workspace, taker.party.instance.peer)
  return [...order.filter(has), ...order.filter((taker) => !has(taker))]
}

/** First what it only stands by for: nobody notices that. Then what it is home of. */
function relieve(party: Party, tally: Tally, moves: Moves): void {
  const { peer } = party.instance
  let needed = party.mark - party.left
  const takers = moves
    .parties()
    .sort((a, b) => b.party.left - a.party.left)
    .slice(0, TAKERS_MAX)
  const give = (workspace: RebalanceWorkspace, role: RebalanceMove['role']): void => {
    if (needed <= 0 || moves.isFull || moves.has(workspace) || workspace.bytes === 0) return
    const { home, standbys } = workspace
    const open = takers.filter((taker) => {
      const other = taker.party.instance.peer
      const isFree = role === 'home' || !standbys.some((standby) => standby.peer === other)
      return other !== peer && other !== home && isFree && moves.fits(taker, workspace)
    })
    // Who was the home stands by afterwards: nothing is gained unless somebody else can do that then.
    if (role === 'home' && standbys.length > 0 && open.length < 2) return
    const to = ranked(workspace, open)[0]?.party.instance.peer
    if (to === undefined) return
    const bytes = lackingAt(workspace, to)
    moves.add({ role, workspace: workspace.workspace, from: peer, to, bytes, reason: 'disk' })
    needed -= workspace.bytes
  }
  for (const workspace of tally.stoodBy(peer)) give(workspace, 'standby')
  for (const workspace of tally.idleAt(peer)) give(workspace, 'home')
}

/** Evens out the workspaces of one service. */
function even(shares: readonly Share[], moves: Moves): void {
  const total = shares.reduce((sum, { count }) => sum + count, 0)
  const weights = shares.reduce((sum, { weight }) => sum + weight, 0)
  const fair = ({ weight }: Share): number => (total * weight) / weights
  const tolerance = (share: Share): number => Math.max(1, TOLERANCE * fair(share))
  const excess = (share: Share): number => share.count - fair(share)
  const byExcess = [...shares].sort((a, b) => excess(b) / b.weight - excess(a) / a.weight)
  const givers = new Set(byExcess.slice(0, GIVERS_MAX))
  const takers = byExcess.slice(-TAKERS_MAX)
  /** Is the giver still the fuller one afterwards, and one of both off its share? */
  const helps = (giver: Share, taker: Share): boolean =>
    (giver.count - 1) / giver.weight >= (taker.count + 1) / taker.weight &&
    (excess(giver) >= tolerance(giver) || -excess(taker) >= tolerance(taker))

  const orders = new Map<WorkspaceId, readonly Share[]>()
  const orderOf = (workspace: RebalanceWorkspace, giver: Share): readonly Share[] => {
    const order = orders.get(workspace.workspace) ?? ranked(workspace, [...new Set([giver, ...takers])])
    orders.set(workspace.workspace, order)
    return order
  }
  while (givers.size > 0 && !moves.isFull) {
    const giver = [...givers].reduce((most, one) => (one.count / one.weight > most.count / most.weight ? one : most))
    const open = new Set(takers.filter((taker) => taker !== giver && helps(giver, taker)))
    const choice = chooseMove(giver, open, moves, orderOf)
    if (choice === null) {
      givers.delete(giver)
      continue
    }
    const { workspace, taker } = choice
    const [from, to] = [giver.party.instance.peer, taker.party.instance.peer]
    const bytes = lackingAt(workspace, to)
    moves.add({ role: 'home', workspace: workspace.workspace, from, to, bytes, reason: 'load' })
    giver.count--
    taker.count++
  }
}

/** The workspace that goes best: to where it stands by, then to where a new one would be placed, then any. */
function chooseMove(
  giver: Share,
  open: ReadonlySet<Share>,
  moves: Moves,
  orderOf: (workspace: RebalanceWorkspace, giver: Share) => readonly Share[]
): { readonly workspace: RebalanceWorkspace; readonly taker: Share } | null {
  let best: { readonly workspace: RebalanceWorkspace; readonly taker: Share; readonly cost: number } | null = null
  for (const workspace of giver.idle) {
    if (moves.has(workspace)) continue
    const order = orderOf(workspace, giver)
    const taker = order.find((one) => open.has(one) && moves.fits(one, workspace))
    if (taker === undefined) continue
    const hasIt = standsBy(workspace, taker.party.instance.peer)
    const cost = hasIt ? 0 : order.indexOf(taker) < order.indexOf(giver) ? 1 : 2
    if (best === null || cost < best.cost) best = { workspace, taker, cost }
    if (cost === 0) break
  }
  return best
}
