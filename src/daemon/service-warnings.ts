import type { ServiceName } from '../core/ids.ts'
import type { Candidate } from '../placement/candidate.ts'

const TOLD_MAX = 5

/**
 * What keeps a service from going on when an instance goes away, for people.
 *
 * @param alone how many of its workspaces lack a standby that they should have
 */
export function serviceWarnings(service: ServiceName, candidates: readonly Candidate[], alone: number): string[] {
  const offering = candidates.filter(({ services }) => services.includes(service))
  const unfit = candidates.flatMap(({ name, unfit: reasons }) => {
    const why = reasons.get(service)
    return why === undefined ? [] : [`${name} offers it and cannot run it: ${why}`]
  })
  return [...fallback(offering, alone), ...unfit.slice(0, TOLD_MAX)]
}

function fallback(offering: readonly Candidate[], alone: number): string[] {
  const [first, second] = offering
  if (first === undefined) return ['no instance offers it now: nobody can use it']
  if (second === undefined) return [`only ${first.name} offers it: when that goes away, nobody takes over`]
  const lacking = alone === 0 ? [] : [`${alone} of its workspaces have no standby yet`]
  const { zone } = first
  if (zone === null || offering.some((one) => one.zone !== zone)) return lacking
  return [...lacking, `all instances that offer it are in the zone ${zone}, and may fail together`]
}
