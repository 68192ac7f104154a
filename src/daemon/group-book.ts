import type { Grant } from '../console/inputs.ts'
import type { Caller, GroupBook } from '../console/service.ts'
import type { GroupView } from '../console/service-views.ts'
import { ownerOfGroup } from '../core/ids.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { Group, Groups } from '../membership/groups.ts'
import type { Services } from '../routing/services.ts'
import { time } from './views.ts'

export interface GroupBookDeps {
  readonly groups: Groups
  readonly services: Pick<Services, 'list'>
  readonly table: Pick<OwnershipTable, 'find'>
}

/** The groups as admins see them. */
export class LiveGroupBook implements GroupBook {
  readonly #deps: GroupBookDeps

  constructor(deps: GroupBookDeps) {
    this.#deps = deps
  }

  list(): GroupView[] {
    return this.#deps.groups.list().map((group) => this.#view(group))
  }

  async add({ actor }: Caller, name: string): Promise<GroupView> {
    return this.#view(await this.#deps.groups.add(name, actor))
  }

  remove({ actor }: Caller, name: string): Promise<void> {
    return this.#deps.groups.remove(name, actor)
  }

  async grant({ actor }: Caller, name: string, { user, rights }: Grant): Promise<GroupView> {
    return this.#view(await this.#deps.groups.grant(name, user, rights, actor))
  }

  async revoke({ actor }: Caller, name: string, user: string): Promise<GroupView> {
    return this.#view(await this.#deps.groups.revoke(name, user, actor))
  }

  #view({ name, createdAt, members }: Group): GroupView {
    const { services, table } = this.#deps
    const owner = ownerOfGroup(name)
    return {
      name,
      createdAt: time(createdAt),
      members: [...members].map(([user, rights]) => ({ user, rights })).sort((a, b) => (a.user < b.user ? -1 : 1)),
      workspaces: services.list().filter((service) => table.find(service.name, owner) !== null).length
    }
  }
}
