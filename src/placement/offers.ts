import type { ServiceName } from '../core/ids.ts'

/** What an instance must have to run a service. */
export interface Declared {
  readonly name: ServiceName
  /** Of the app. */
  readonly version: string
  /** Labels that it must have. */
  readonly needs: Readonly<Record<string, string>>
  /** `user`: each workspace is of one user. An older instance can read no other owner. */
  readonly scope: 'user' | 'group' | 'service'
}

/** What an instance offers. */
export interface Offering {
  readonly services: readonly ServiceName[]
  /** Of its apps, by service. Where none is said, the app counts as the one that was declared. */
  readonly versions: Readonly<Record<string, string>>
  /** As the admin has approved or set them. */
  readonly labels: Readonly<Record<string, string>>
  /** Can it read owners that are no users? */
  readonly knowsOwners: boolean
}

/** What an instance can run now, and why it cannot run the rest of what it offers. */
export interface Runnable {
  readonly services: readonly ServiceName[]
  readonly unfit: ReadonlyMap<ServiceName, string>
}

/**
 * Which of the services that an instance offers may it be home and standby of? Those that are declared in a compatible
 * version, and need nothing that it lacks. What is not declared is not judged.
 */
export function runnable(offering: Offering, declared: (service: ServiceName) => Declared | null): Runnable {
  const services: ServiceName[] = []
  const unfit = new Map<ServiceName, string>()
  for (const name of offering.services) {
    const service = declared(name)
    const why = service === null ? null : whyUnfit(service, offering)
    if (why === null) services.push(name)
    else unfit.set(name, why)
  }
  return { services, unfit }
}

function whyUnfit(
  { name, version, needs, scope }: Declared,
  { versions, labels, knowsOwners }: Offering
): string | null {
  const own = Object.hasOwn(versions, name) ? versions[name] : undefined
  if (own !== undefined && !areCompatible(own, version)) return `it has version ${own}, and ${version} is declared`
  for (const [key, value] of Object.entries(needs)) {
    if (!Object.hasOwn(labels, key) || labels[key] !== value) return `it has no label ${key}=${value}`
  }
  return scope !== 'user' && !knowsOwners ? 'its node-daemon is too old for shared workspaces' : null
}

/**
 * Can one version of an app go on with the files of the other? As semantic versions promise: the same first number, and
 * the same second one where the first is 0. What comes before the first digit (`v`) does not count. Versions that do not
 * begin with a number must be equal.
 */
export function areCompatible(one: string, other: string): boolean {
  if (one === other) return true
  const [first, second] = [series(one), series(other)]
  return first !== null && first === second
}

/** Can this version be compared with others? */
export const isComparable = (version: string): boolean => series(version) !== null

function series(version: string): string | null {
  const [, major, minor = '0'] = /^v?(\d+)(?!\w)(?:\.(\d+))?/i.exec(version) ?? []
  if (major === undefined) return null
  return Number(major) === 0 ? `0.${Number(minor)}` : `${Number(major)}`
}
