import type { CommandSpec } from '../apps/command/spec.ts'
import type { UpstreamTarget } from '../apps/upstream/target.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { ServiceName } from '../core/ids.ts'

/** A service that an instance offers, and how it runs it. */
export interface Offer {
  readonly name: ServiceName
  /** An app that runs by itself. */
  readonly upstream: UpstreamTarget | null
  /** A process for each workspace. Null, like `upstream`: the built-in app. */
  readonly command: CommandSpec | null
}

/** @throws NodeDaemonError `BAD_USAGE` a version is told of a service that is not offered */
export function checkVersions(versions: Readonly<Record<string, string>>, offers: readonly Offer[]): void {
  const unknown = Object.keys(versions).find((name) => !offers.some((offer) => offer.name === name))
  if (unknown === undefined) return
  throw new NodeDaemonError('BAD_USAGE', `a version is told of ${unknown}, which is not offered`, {
    advice: `offer it too: --service ${unknown}=http://127.0.0.1:8080`
  })
}

/**
 * @param folder the data folder: an app is told in a header where below it the files of users are
 * @throws NodeDaemonError `BAD_USAGE` a service is offered twice, or an app could not be told of the folder
 */
export function checkOffers(offers: readonly Offer[], folder: string): void {
  const names = new Set<ServiceName>()
  for (const { name, upstream, command } of offers) {
    const isBuiltIn = upstream === null && command === null
    if (names.has(name)) throw new NodeDaemonError('BAD_USAGE', `the service ${name} is offered twice`)
    names.add(name)
    if (!isBuiltIn && !PRINTABLE_ASCII.test(folder)) {
      throw new NodeDaemonError('BAD_USAGE', `the app of ${name} cannot be told of the data folder ${folder}`, {
        advice: 'choose one with --data whose whole path is in plain ASCII letters, digits and signs'
      })
    }
  }
}

/** Those that are run as commands. */
export const commandServices = (offers: readonly Offer[]): ServiceName[] =>
  offers.filter(({ command }) => command !== null).map(({ name }) => name)

const PRINTABLE_ASCII = /^[\x20-\x7e]*$/
