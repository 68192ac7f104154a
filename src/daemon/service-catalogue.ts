import type { ServiceOrder } from '../console/inputs.ts'
import type { Caller, ServiceCatalogue } from '../console/service.ts'
import type { ServiceView } from '../console/views.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import { routeText } from '../routing/service-route.ts'
import type { Service, Services } from '../routing/services.ts'
import type { Fleet } from './fleet.ts'

export interface ServiceCatalogueDeps {
  readonly services: Services
  readonly table: OwnershipTable
  readonly fleet: Fleet
}

/** The declared services as admins see them. */
export class LiveServiceCatalogue implements ServiceCatalogue {
  readonly #deps: ServiceCatalogueDeps

  constructor(deps: ServiceCatalogueDeps) {
    this.#deps = deps
  }

  list(): ServiceView[] {
    return this.#deps.services.list().map((service) => this.#view(service))
  }

  async add({ actor }: Caller, { name, route, acknowledge, version }: ServiceOrder): Promise<ServiceView> {
    const declared = { name, route, acknowledge: acknowledge ?? null, version: version ?? '1' }
    return this.#view(await this.#deps.services.add(declared, actor))
  }

  remove({ actor }: Caller, name: string): Promise<void> {
    return this.#deps.services.remove(name, actor)
  }

  #view({ name, route, scope, acknowledge, version }: Service): ServiceView {
    const { table, fleet } = this.#deps
    return {
      name,
      route: routeText(route),
      scope,
      acknowledge,
      version,
      workspaces: table.countOf(name),
      instances: fleet.candidates().filter(({ services }) => services.includes(name)).length
    }
  }
}
