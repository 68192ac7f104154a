import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { NodeDaemonError } from '../core/errors.ts'
import type { GroupName, ServiceName } from '../core/ids.ts'
import { Mutex } from '../core/mutex.ts'
import { parse } from '../core/parse.ts'
import type { Audit } from '../membership/audit.ts'
import { fromDocument, putOwn } from '../membership/documents.ts'
import type { Declared } from '../placement/offers.ts'
import type { ControlStore } from '../store/control-store.ts'
import type { AcknowledgeLevel, ServiceLevel } from '../wire/control.ts'
import {
  checkedDeclaration,
  type Declaration,
  declarationSchema,
  type NewService,
  type ServiceTerms,
  type TermsChange
} from './declaration.ts'
import type { ServiceRoute } from './neighbours.ts'
import { parseRoute } from './service-route.ts'

/** What the federation runs. */
export interface Service extends ServiceRoute, Declared {
  readonly acknowledge: AcknowledgeLevel
}

export interface ServicesDeps {
  readonly store: ControlStore
  readonly audit: Audit
  /** How many workspaces there are of a service. */
  readonly workspaces: (service: ServiceName) => number
  readonly hasGroup: (group: GroupName) => boolean
}

const KEY = 'services'
const SERVICES_MAX = 64

/** At the first start of a coordinator. */
const FIRST: readonly Declaration[] = [
  {
    name: 'files' as ServiceName,
    route: '/',
    scope: 'user',
    acknowledge: null,
    version: '1',
    needs: {},
    writers: null
  }
]

/**
 * The services that are declared at the coordinator. A change is in the audit log, then durable, then visible, one at a
 * time; it holds from then on.
 */
export class Services {
  readonly #deps: ServicesDeps
  readonly #unsaid: AcknowledgeLevel
  readonly #writes = new Mutex()
  readonly #listeners = new Set<() => void>()
  #stored: readonly Declaration[]
  #list: readonly Service[]

  private constructor(deps: ServicesDeps, unsaid: AcknowledgeLevel, stored: readonly Declaration[]) {
    this.#deps = deps
    this.#unsaid = unsaid
    this.#stored = stored
    this.#list = this.#view(stored)
  }

  /** `unsaid`: the level of services that were declared without one. */
  static async open(deps: ServicesDeps, unsaid: AcknowledgeLevel): Promise<Services> {
    const kept = await deps.store.get(KEY)
    return new Services(deps, unsaid, kept === null ? FIRST : fromDocument(z.array(declarationSchema), KEY, kept.value))
  }

  /** In the order in which they were declared; the same array until the next change. */
  list(): readonly Service[] {
    return this.#list
  }

  get(name: ServiceName): Service | null {
    return this.#list.find((one) => one.name === name) ?? null
  }

  /** Of a service that is not declared, `local`: for all that is known, its homes acknowledge without the repository. */
  levelOf(name: ServiceName): AcknowledgeLevel {
    return this.get(name)?.acknowledge ?? 'local'
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
   * @throws NodeDaemonError `BAD_USAGE` see `checkedDeclaration`; `NOT_FOUND` there is no such group of writers;
   *   `NAME_TAKEN` the name or the route is taken; `REFUSED_BY_POLICY` with 64 services
   */
  add(service: NewService, by: string): Promise<Service> {
    return this.#writes.run(() => this.#add(service, by))
  }

  async #add(service: NewService, by: string): Promise<Service> {
    const declared = this.#checked(service)
    if (this.#stored.some((one) => one.name === declared.name)) {
      throw taken(`the service ${declared.name} is declared already`)
    }
    if (this.#stored.length >= SERVICES_MAX) {
      throw new NodeDaemonError(
        'REFUSED_BY_POLICY',
        `there are ${SERVICES_MAX} services already, the most there may be`
      )
    }
    const { name, ...details } = declared
    await this.#deps.audit({ actor: by, action: 'service.add', target: name, details })
    await this.#keep([...this.#stored, declared])
    return this.#known(name)
  }

  /**
   * Changes what is said of a service; what is not named stays. Instances that do not offer it as it is declared now are
   * relieved of it.
   *
   * @throws NodeDaemonError `NOT_FOUND` no such service; else as `add`
   */
  change(name: string, terms: TermsChange, by: string): Promise<Service> {
    return this.#writes.run(() => this.#change(name, terms, by))
  }

  async #change(name: string, terms: TermsChange, by: string): Promise<Service> {
    const { scope } = this.#known(name)
    const before = this.#stored.filter((one) => one.name === name)
    const [next] = before.map((one) => this.#checked({ name, scope, ...said(one, terms) }))
    if (next !== undefined && !isDeepStrictEqual([next], before)) {
      const details = said(next, {})
      await this.#deps.audit({ actor: by, action: 'service.set', target: name, details: { ...details } })
      await this.#keep(this.#stored.map((one) => (one.name === name ? next : one)))
    }
    return this.#known(name)
  }

  /**
   * Has these services declared as they are given: those that are missing are added, others are changed where they
   * differ. Further ones stay.
   *
   * @throws NodeDaemonError `REFUSED_BY_POLICY` a service is declared with another scope; else as `add` and `change`
   */
  declare(services: readonly NewService[], by: string): Promise<void> {
    return this.#writes.run(async () => {
      for (const service of services) {
        const known = this.#list.find((one) => one.name === service.name)
        if (known === undefined) await this.#add(service, by)
        else if (known.scope === service.scope) await this.#change(service.name, service, by)
        else {
          throw new NodeDaemonError(
            'REFUSED_BY_POLICY',
            `the service ${service.name} is declared with the scope ${known.scope}, not ${service.scope}`,
            { advice: 'a scope stays for ever: give the new service another name' }
          )
        }
      }
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

  #checked(service: NewService): Declaration {
    const declared = checkedDeclaration(service)
    const { name, route, writers } = declared
    const other = this.#stored.find((one) => one.route === route && one.name !== name)
    if (other !== undefined) throw taken(`${other.name} has the route ${route}`)
    if (writers !== null && !this.#deps.hasGroup(writers)) {
      throw new NodeDaemonError('NOT_FOUND', `there is no group "${writers}"`, {
        advice: `add it first: node-daemon groups add ${writers}`
      })
    }
    return declared
  }

  #known(name: string): Service {
    const found = this.#list.find((one) => one.name === name)
    if (found !== undefined) return found
    throw new NodeDaemonError('NOT_FOUND', `there is no service "${parse.line(name, 80)}"`, {
      advice: 'see: node-daemon services ls'
    })
  }

  async #keep(next: readonly Declaration[]): Promise<void> {
    await this.#deps.store.transact([putOwn(KEY, next)])
    this.#stored = next
    this.#list = this.#view(next)
    for (const listener of this.#listeners) listener()
  }

  #view(stored: readonly Declaration[]): readonly Service[] {
    return stored.map((one) => ({
      ...one,
      route: parseRoute(one.route),
      acknowledge: one.acknowledge ?? this.#unsaid
    }))
  }
}

const taken = (what: string): NodeDaemonError =>
  new NodeDaemonError('NAME_TAKEN', what, { advice: 'see: node-daemon services ls' })

const said = (
  before: Declaration,
  {
    route = before.route,
    acknowledge = before.acknowledge,
    version = before.version,
    needs = before.needs,
    writers = before.writers
  }: TermsChange
): ServiceTerms => ({ route, acknowledge, version, needs, writers })
