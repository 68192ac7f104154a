import type { OwnerId, PeerIdText, ServiceName } from '../core/ids.ts'
import { type Candidate, isShortOfRoom, LOAD_PERMILLE_MAX, roomOf } from './candidate.ts'
import { rank } from './rendezvous.ts'

/** From this load on, in thousandths for each processor, an instance is given fewer newcomers than by its room. */
const LOAD_PERMILLE_FULL = 1000
/** What a busy instance counts at least, of its room. */
const SHARE_MIN = 0.25
/** A zone gets at most so many times the newcomers of all other zones together: what may fail together holds not nearly all. */
const ZONE_TIMES_MAX = 3

/** Why an instance takes no new workspaces now, for people; null where it does. */
export function whyNoNewcomers(one: Candidate): string | null {
  if (!one.newcomers) return 'its label newcomers=no'
  if (isShortOfRoom(one) || roomOf(one) === 0) return 'little is left of what it lends'
  return isBusy(one) ? `its load: ${(one.loadPermille / 1000).toFixed(1)} per processor` : null
}

const isBusy = ({ loadPermille }: Candidate): boolean => loadPermille > LOAD_PERMILLE_MAX

/**
 * The home of a workspace that does not exist yet; null where no instance takes one. Each owner has one by rendezvous
 * hashing, weighted by room, load and zone: it is known before the first change, and one instance more or less moves only
 * what it takes or leaves. Those that are too busy are chosen where all are.
 */
export function homeOfNewcomer(
  service: ServiceName,
  owner: OwnerId | null,
  candidates: readonly Candidate[]
): Candidate | null {
  const offering = candidates.filter(
    (one) => one.services.includes(service) && one.newcomers && !isShortOfRoom(one) && roomOf(one) > 0
  )
  const calm = offering.filter((one) => !isBusy(one))
  const able = calm.length > 0 ? calm : offering
  const weights = weightsOf(able)
  return (
    rank(
      newcomerKey(service, owner),
      able,
      ({ peer }) => peer,
      ({ peer }) => weights.get(peer) ?? 0
    )[0] ?? null
  )
}

/** One of those that offer a service, whatever they take: for who only reads, and has nothing yet. */
export function readerOfNothing(
  service: ServiceName,
  owner: OwnerId | null,
  candidates: readonly Candidate[]
): Candidate | null {
  const home = homeOfNewcomer(service, owner, candidates)
  if (home !== null) return home
  const offering = candidates.filter(({ services }) => services.includes(service))
  return (
    rank(
      newcomerKey(service, owner),
      offering,
      ({ peer }) => peer,
      () => 1
    )[0] ?? null
  )
}

/** Why nobody takes a new workspace of a service, for people. */
export function whyNoHome(service: ServiceName, candidates: readonly Candidate[]): string {
  const whys = candidates.flatMap((one) => {
    const why = one.unfit.get(service) ?? (one.services.includes(service) ? whyNoNewcomers(one) : null)
    return why === null ? [] : [`${one.name}: ${why}`]
  })
  const none = `no instance takes a new workspace of ${service} now`
  return whys.length === 0 ? none : `${none} (${whys.slice(0, TOLD_MAX).join('; ')})`
}

const TOLD_MAX = 5

const newcomerKey = (service: ServiceName, owner: OwnerId | null): string => `${service}\n${owner ?? ''}`

function weightsOf(able: readonly Candidate[]): ReadonlyMap<PeerIdText, number> {
  const weights = new Map(able.map((one): [PeerIdText, number] => [one.peer, roomOf(one) * shareOf(one)]))
  const byZone = Map.groupBy(
    able.filter(({ zone }) => zone !== null),
    ({ zone }) => zone
  )
  const sum = (some: readonly Candidate[]): number => some.reduce((all, { peer }) => all + (weights.get(peer) ?? 0), 0)
  const total = sum(able)
  for (const members of byZone.values()) {
    const own = sum(members)
    const most = ZONE_TIMES_MAX * (total - own)
    if (most === 0 || own <= most) continue
    for (const { peer } of members) weights.set(peer, ((weights.get(peer) ?? 0) * most) / own)
    // Two zones cannot both hold most.
    break
  }
  return weights
}

const shareOf = ({ loadPermille }: Candidate): number => {
  const calm = (LOAD_PERMILLE_MAX - loadPermille) / (LOAD_PERMILLE_MAX - LOAD_PERMILLE_FULL)
  return Math.min(1, Math.max(SHARE_MIN, calm))
}
