import { z } from 'zod'
import { NodeDaemonError } from '../core/errors.ts'
import { isServiceName, type ServiceName } from '../core/ids.ts'
import { Mutex } from '../core/mutex.ts'
import { parse } from '../core/parse.ts'
import type { Audit } from '../membership/audit.ts'
import { fromDocument, putOwn } from '../membership/documents.ts'
import type { ControlStore } from '../store/control-store.ts'
import { type AcknowledgeLevel, LEVELS, type ServiceLevel } from '../wire/control.ts'
import type { ServiceRoute } from './neighbours.ts'
import { parseRoute, routeText } from './service-route.ts'

/** What the federation runs. */
export interface Service extends ServiceRoute {
  readonly acknowledge: AcknowledgeLevel
  /** Of the app, for people. */
  readonly version: string
}

/** A service as an admin declares it. */
export interface NewService {
  readonly name: string
  /** See `parseRoute`. */
  readonly route: string
  /** Null: as the coordinator is set, at each of its starts. */
  readonly acknowledge: AcknowledgeLevel | null
  readonly version: string
}

export interface ServicesDeps {
  readonly store: ControlStore
  readonly audit: Audit
  /** How many workspaces there are of a service. */
  readonly workspaces: (service: ServiceName) => number
}

const KEY = 'services'
const SERVICES_MAX = 64
const VERSION = /^[\w.+-]{1,40}$/
const schema = z.array(
  z.object({
    name: z.custom<ServiceName>((value) => typeof value === 'string' && isServiceName(value)),
    route: z.string(),
    acknowledge: z.enum(LEVELS).nullable(),
    version: z.string()
  })
)
type Stored = z.infer<typeof schema>[number]

/** At the first start of a coordinator. */
const FIRST: readonly Stored[] = [{ name: 'files' as ServiceName, route: '/', acknowledge: null, version: '1' }]

/**
 * The services that are declared at the coordinator. A change is in the audit log, then durable, then visible, one at a
 * time; it holds from then on.
 */
export class Services {
  readonly #deps: ServicesDeps
  readonly #unsaid: AcknowledgeLevel
  readonly #writes = new Mutex()
  readonly #listeners = new Set<() => void>()
  #stored: readonly Stored[]
  #list: readonly Service[]

  private constructor(deps: ServicesDeps, unsaid: AcknowledgeLevel, stored: readonly Stored[]) {
    this.#deps = deps
    this.#unsaid = unsaid
    this.#stored = stored
    this.#list = this.#view(stored)
  }

  /** `unsaid`: the level of services that were declared without one. */
  static async open(deps: ServicesDeps, unsaid: AcknowledgeLevel): Promise<Services> {
    const kept = await deps.store.get(KEY)
    return new Services(deps, unsaid, kept === null ? FIRST : fromDocument(schema, KEY, kept.value))
  }

  /** In the order in which they were declared; the same array until the next change. */
  list(): readonly Service[] {
    return this.#list
  }

  /** Of a service that is not declared, `local`: for all that is known, its homes acknowledge without the repository. */
  levelOf(name: ServiceName): AcknowledgeLevel {
    return this.#list.find((one) => one.name === name)?.acknowledge ?? 'local'
  }

  levels(): readonly ServiceLevel[] {
    return this.#list.map(({ name, acknowledge }) => ({ name, acknowledge }))
  }

  /** The level for one who cannot be told the level of each: nowhere less than what was declared. */
  strictest(): AcknowledgeLevel {
    return this.#list.every(({ acknowledge }) => acknowledge === 'local') ? 'local' : 'replicated'
  }

  /** Calls back after each change. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener)
  }

  /**
   * @throws NodeDaemonError `BAD_USAGE` for a bad name, route or version; `NAME_TAKEN` the name or the route is taken;
   *   `REFUSED_BY_POLICY` with 64 services
   */
  add(service: NewService, by: string): Promise<Service> {
    return this.#writes.run(async () => {
      const declared = this.#checked(service)
      const { name, route, acknowledge, version } = declared
      await this.#deps.audit({
        actor: by,
        action: 'service.add',
        target: name,
        details: { route, acknowledge, version }
      })
      await this.#keep([...this.#stored, declared])
      return this.#known(name)
    })
  }

  /**
   * Nobody reaches the service any more.
   *
   * @throws NodeDaemonError `NOT_FOUND`; `REFUSED_BY_POLICY` it has workspaces: nobody would reach their files
   */
  remove(name: string, by: string): Promise<void> {
    return this.#writes.run(async () => {
      const service = this.#known(name)
      this.#requireUnused(service.name)
      const before = this.#stored
      await this.#deps.audit({ actor: by, action: 'service.rm', target: name, details: {} })
      await this.#keep(before.filter((one) => one.name !== name))
      try {
        // A first change of a user may have come in between.
        this.#requireUnused(service.name)
      } catch (error) {
        await this.#deps.audit({ actor: by, action: 'service.rm.undone', target: name, details: {} })
        await this.#keep(before)
        throw error
      }
    })
  }

  #requireUnused(name: ServiceName): void {
    const count = this.#deps.workspaces(name)
    if (count === 0) return
    throw new NodeDaemonError(
      'REFUSED_BY_POLICY',
      `${count} workspaces of ${name} exist: nobody would reach their files`,
      {
        advice: 'see them with: node-daemon workspaces ls'
      }
    )
  }

  #checked({ name, route, acknowledge, version }: NewService): Stored {
    const text = routeText(parseRoute(route))
    if (!isServiceName(name)) throw bad('name of a service', name, 'use 1 to 40 of a-z 0-9 -')
    if (!VERSION.test(version)) throw bad('version', version, 'use 1 to 40 letters, digits and . _ + -')
    const other = this.#stored.find((one) => one.name === name || one.route === text)
    if (other !== undefined) {
      const what =
        other.name === name ? `the service ${name} is declared already` : `${other.name} has the route ${text}`
      throw new NodeDaemonError('NAME_TAKEN', what, { advice: 'see: node-daemon services ls' })
    }
    if (this.#stored.length >= SERVICES_MAX) {
      throw new NodeDaemonError(
        'REFUSED_BY_POLICY',
        `there are ${SERVICES_MAX} services already, the most there may be`
      )
    }
    return { name, route: text, acknowledge, version }
  }

  #known(name: string): Service {
    const found = this.#list.find((one) => one.name === name)
    if (found !== undefined) return found
    throw new NodeDaemonError('NOT_FOUND', `there is no service "${parse.line(name, 80)}"`)
  }

  async #keep(next: readonly Stored[]): Promise<void> {
    await this.#deps.store.transact([putOwn(KEY, next)])
    this.#stored = next
    this.#list = this.#view(next)
    for (const listener of this.#listeners) listener()
  }

  #view(stored: readonly Stored[]): readonly Service[] {
    return stored.map(({ name, route, acknowledge, version }) => ({
      name,
      route: parseRoute(route),
      scope: 'user',
      acknowledge: acknowledge ?? this.#unsaid,
      version
    }))
  }
}

const bad = (what: string, text: string, advice: string): NodeDaemonError =>
  new NodeDaemonError('BAD_USAGE', `"${parse.line(text, 80)}" cannot be the ${what}`, { advice })
