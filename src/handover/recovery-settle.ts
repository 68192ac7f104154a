import { type Clock, withTimeout } from '../core/clock.ts'
import { seal } from '../core/envelope.ts'
import { hasCode, messageOf } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { forEachParallel } from '../core/parallel.ts'
import { sealRecord } from '../core/records.ts'
import type { MainRepository } from '../store/repository.ts'
import type { LostHeads } from './lost-heads.ts'
import type { OwnershipTable } from './ownership-table.ts'
import type { HeldHead, Testimony } from './testimony.ts'

/** So far above all that is known do numbers and epochs go on: what nobody has reported lies below, too. */
export const LEAP = 1_000_000
const AT_ONCE = 16
/** Users wait so long at most for the repository to have again what instances hold. */
const FETCH_FIRST_MS = 5000
/** Workspaces that are named one by one. */
const NAMED_MAX = 100

export interface Settled {
  /** Whose newest ownership record came from an instance. */
  readonly adopted: readonly WorkspaceId[]
  /** Whose newest head the repository lacks, for now. */
  readonly lostHeads: number
  /** How many workspaces only the repository knows: nobody has said whose they are. */
  readonly unclaimed: number
  /** Some of them. */
  readonly unclaimedIds: readonly WorkspaceId[]
  /** What the repository knows of these could not be read or written: their homes go on in the epoch that was reported. */
  readonly setAside: readonly WorkspaceId[]
}

export interface SettleDeps {
  readonly table: OwnershipTable
  readonly repository: MainRepository
  readonly lost: LostHeads
  readonly identity: Identity
  readonly clock: Clock
  readonly log: Logger
}

/** One workspace that fails does not keep the others waiting. */
class Each {
  readonly failed = new Set<WorkspaceId>()
  readonly #log: Logger

  constructor(log: Logger) {
    this.#log = log
  }

  async do(workspace: WorkspaceId, work: () => Promise<void>): Promise<void> {
    if (this.failed.has(workspace)) return
    try {
      await work()
    } catch (error) {
      this.failed.add(workspace)
      this.#log.error({ workspace, error: messageOf(error) }, 'a workspace is set aside by the recovery')
    }
  }
}

/**
 * Writes down what instances have reported: the newest ownership of each workspace, in a later epoch than any that was
 * given out, under numbers above any that was. Durable on return; what broke off is made good by doing it again.
 *
 * @param numberBefore the highest number that this coordinator knew before
 */
export async function settleRecovery(deps: SettleDeps, testimony: Testimony, numberBefore: number): Promise<Settled> {
  const { table, lost } = deps
  const each = new Each(deps.log)
  const number = Math.max(testimony.highestNumber, numberBefore) + LEAP
  await table.leap({ number, epoch: (await highestEpoch(deps, testimony, each)) + LEAP })
  const adopted = await adoptNewest(deps, testimony)
  await findLost(deps, testimony, each)
  await fetchFirst(deps)
  const homes = [...table.all()].filter(({ signed }) => signed.value.home !== null)
  const whole = homes.map(({ signed }) => signed.value.workspace).filter((workspace) => lost.get(workspace) === null)
  await forEachParallel(whole, AT_ONCE, (workspace) => each.do(workspace, () => lift(deps, workspace)))
  const unclaimed = await findUnclaimed(deps, each)
  for (const workspace of each.failed) await signAnew(deps, workspace)
  return { adopted, lostHeads: lost.count, ...unclaimed, setAside: [...each.failed].sort().slice(0, NAMED_MAX) }
}

async function highestEpoch({ table, repository }: SettleDeps, testimony: Testimony, each: Each): Promise<number> {
  let highest = testimony.highestEpoch
  for (const { signed } of table.all()) highest = Math.max(highest, signed.value.epoch)
  for await (const workspace of repository.workspaces()) {
    await each.do(workspace, async () => {
      const tip = await repository.tip(workspace)
      highest = Math.max(highest, await repository.sealedEpoch(workspace), tip?.tip.epoch ?? 0)
    })
  }
  return highest
}

async function adoptNewest({ table, clock }: SettleDeps, testimony: Testimony): Promise<WorkspaceId[]> {
  const adopted: WorkspaceId[] = []
  for (const record of testimony.newest()) {
    const known = table.get(record.workspace)?.signed.value.number ?? 0
    if (record.number <= known || record.removed === true) continue
    await table.adopt(record, clock.wall())
    adopted.push(record.workspace)
  }
  return adopted
}

async function findLost(deps: SettleDeps, testimony: Testimony, each: Each): Promise<void> {
  for (const workspace of testimony.workspaces()) {
    const held = testimony.newestHead(workspace, deps.table.get(workspace)?.signed.value ?? null)
    if (held !== null) await each.do(workspace, () => noteWhereLost(deps, held))
  }
}

/** Lists a head where the repository lacks it and would take it yet: its workspace is not promoted without it. Durable on return. */
export async function noteWhereLost(
  { repository, lost }: Pick<SettleDeps, 'repository' | 'lost'>,
  held: HeldHead
): Promise<void> {
  if ((await repository.head(held.head.cid)) !== null) return
  const { workspace, epoch, sequence } = held.head.value
  const tip = (await repository.tip(workspace))?.tip ?? null
  if (epoch <= (await repository.sealedEpoch(workspace)) || epoch < (tip?.epoch ?? 0)) return
  if (sequence > (tip?.sequence ?? 0)) await lost.add(held)
}

/** What takes longer is fetched while its home serves; only a promotion waits for it. */
async function fetchFirst({ lost, clock }: SettleDeps): Promise<void> {
  try {
    await withTimeout(clock, FETCH_FIRST_MS, 'fetching what the repository has lost', () => lost.fetchAll())
  } catch (error) {
    if (!hasCode(error, 'TIMED_OUT')) throw error
  }
}

/**
 * The same home, in an epoch above all others: seal, base, swap. It goes on from what it published last. Every epoch in
 * between is sealed too: an instance that has not reported may know one of them.
 */
async function lift({ table, repository, identity, clock }: SettleDeps, workspace: WorkspaceId): Promise<void> {
  const owned = table.get(workspace)
  if (owned === null) return
  const { home, standbys, epoch: current } = owned.signed.value
  const epoch = table.epochAfter(current) - 1
  const { base } = await repository.seal(workspace, epoch, (newest) =>
    seal(sealRecord, { workspace, epoch, head: newest?.cid ?? null, sealedAtMs: clock.wall() }, identity)
  )
  await table.swap(workspace, current, { home, standbys, base: base?.cid ?? null })
}

/** Under a number that instances obey which hold a later record than any that was reported. */
async function signAnew({ table }: SettleDeps, workspace: WorkspaceId): Promise<void> {
  const owned = table.get(workspace)?.signed.value
  if (owned !== undefined) await table.setStandbys(workspace, owned.epoch, owned.standbys)
}

async function findUnclaimed(
  { table, repository }: SettleDeps,
  each: Each
): Promise<Pick<Settled, 'unclaimed' | 'unclaimedIds'>> {
  const unclaimedIds: WorkspaceId[] = []
  let unclaimed = 0
  for await (const workspace of repository.workspaces()) {
    await each.do(workspace, async () => {
      if (table.get(workspace) !== null || (await repository.tip(workspace)) === null) return
      unclaimed++
      if (unclaimedIds.length < NAMED_MAX) unclaimedIds.push(workspace)
    })
  }
  return { unclaimed, unclaimedIds }
}
