import type { ServiceChange, ServiceOrder } from '../console/inputs.ts'
import type { Caller, ServiceCatalogue } from '../console/service.ts'
import type { ServiceView } from '../console/service-views.ts'
import type { ServiceName } from '../core/ids.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import { SCOPES, type ServiceScope } from '../routing/neighbours.ts'
import { routeText } from '../routing/service-route.ts'
import type { Service, Services } from '../routing/services.ts'
import type { Fleet } from './fleet.ts'
import { serviceWarnings } from './service-warnings.ts'

export interface ServiceCatalogueDeps {
  readonly services: Services
  readonly table: OwnershipTable
  readonly fleet: Fleet
  /** How many standbys a workspace should have. */
  readonly standbys: number
}

interface Owned {
  readonly workspaces: number
  readonly alone: number
  /** As their owners tell. */
  readonly scope: ServiceScope
}

/** It was declared before this coordinator lost what it knew. */
const undeclared = (name: ServiceName, { workspaces, scope }: Owned): ServiceView => ({
  name,
  route: '',
  scope,
  acknowledge: 'local',
  version: '',
  needs: {},
  writers: null,
  workspaces,
  instances: 0,
  warnings: [
    `it is not declared, so that nobody reaches its workspaces; say: node-daemon services add ${name} --scope ${scope}`
  ]
})

const NONE: Owned = { workspaces: 0, alone: 0, scope: 'user' }

/** The declared services as admins see them. */
export class LiveServiceCatalogue implements ServiceCatalogue {
  readonly #deps: ServiceCatalogueDeps

  constructor(deps: ServiceCatalogueDeps) {
    this.#deps = deps
  }

  list(): ServiceView[] {
    const owned = this.#owned()
    const declared = this.#deps.services.list().map((service) => this.#view(service, owned))
    const unknown = [...owned].filter(([name]) => this.#deps.services.get(name) === null)
    return [...declared, ...unknown.map(([name, one]) => undeclared(name, one))]
  }

  async add({ actor }: Caller, order: ServiceOrder): Promise<ServiceView> {
    const { name, route, acknowledge = null, version = '1', scope = 'user', needs = {}, writers = null } = order
    const declared = { name, route, acknowledge, version, scope, needs, writers }
    return this.#view(await this.#deps.services.add(declared, actor))
  }

  async change({ actor }: Caller, name: string, change: ServiceChange): Promise<ServiceView> {
    return this.#view(await this.#deps.services.change(name, change, actor))
  }

  remove({ actor }: Caller, name: string): Promise<void> {
    return this.#deps.services.remove(name, actor)
  }

  /** The workspaces of each service, and those of them without a standby. */
  #owned(): ReadonlyMap<ServiceName, Owned> {
    const counts = new Map<ServiceName, Owned>()
    for (const { signed } of this.#deps.table.all()) {
      const { service, owner, standbys } = signed.value
      const { workspaces, alone } = counts.get(service) ?? NONE
      const scope = SCOPES.find((one) => owner.startsWith(`${one}:`)) ?? 'user'
      counts.set(service, { workspaces: workspaces + 1, alone: alone + (standbys.length === 0 ? 1 : 0), scope })
    }
    return counts
  }

  #view({ name, route, ...service }: Service, owned = this.#owned()): ServiceView {
    const { fleet, standbys } = this.#deps
    const candidates = fleet.candidates()
    const { workspaces, alone } = owned.get(name) ?? NONE
    return {
      name,
      route: routeText(route),
      ...service,
      workspaces,
      instances: candidates.filter(({ services }) => services.includes(name)).length,
      warnings: serviceWarnings(name, candidates, standbys === 0 ? 0 : alone)
    }
  }
}
