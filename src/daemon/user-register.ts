import type { NewUser } from '../console/inputs.ts'
import type { Caller } from '../console/service.ts'
import type { NewUserView, UserView } from '../console/views.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { isUserId, type OwnerId, type UserId } from '../core/ids.ts'
import { parse } from '../core/parse.ts'
import type { Director } from '../handover/director.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { Accounts } from '../membership/accounts.ts'
import type { Groups } from '../membership/groups.ts'
import type { User, UserSource } from '../membership/users.ts'
import type { Door } from '../routing/doors/doors.ts'
import type { RouteBook } from '../routing/routes/book.ts'
import { PERSONAL } from './group-use.ts'
import { time } from './views.ts'

const NAMED = 'user:'
const GUEST = 'guest:'

export interface UserRegisterDeps {
  readonly accounts: Pick<Accounts, 'users'>
  readonly groups: Pick<Groups, 'forget'>
  readonly table: Pick<OwnershipTable, 'all'>
  readonly routeBook: Pick<RouteBook, 'endSessionsOf'>
  readonly doors: Pick<Door, 'breakOff'>
  readonly director: Pick<Director, 'touch'>
  /** What a user may hold over all services; null where nothing bounds it. */
  readonly quotas: { of(owner: OwnerId): number | null }
}

/** The users of a federation as its admins see them. A guest is one of them while it is blocked. */
export class UserRegister {
  readonly #deps: UserRegisterDeps

  constructor(deps: UserRegisterDeps) {
    this.#deps = deps
  }

  list(): UserView[] {
    const { users } = this.#deps.accounts
    const counts = new Map<OwnerId, number>()
    for (const { signed } of this.#deps.table.all()) {
      counts.set(signed.value.owner, (counts.get(signed.value.owner) ?? 0) + 1)
    }
    const named = users.list().map((user) => {
      const id = `${NAMED}${user.name}` as UserId
      return this.#view(id, user, sourceText(user.source), counts)
    })
    const guests = users.guests.list().map(({ guest, blockedAt }) => {
      return this.#view(guest, { name: guest, blocked: true, createdAt: blockedAt }, 'guest', counts)
    })
    return [...named, ...guests]
  }

  async add({ actor }: Caller, { name, provider, subject }: NewUser): Promise<NewUserView> {
    const { users } = this.#deps.accounts
    if (provider === undefined && subject === undefined) return users.add(name, actor)
    if (provider === undefined || subject === undefined) {
      throw new NodeDaemonError('BAD_USAGE', 'a person at a provider is named by both', {
        advice: 'say provider and subject, or neither'
      })
    }
    await users.addProvided(name, provider, subject, actor)
    return { name, token: '' }
  }

  /** Who came in by the token of before, or by a session, is out. */
  async renewToken({ actor }: Caller, name: string): Promise<NewUserView> {
    const renewed = await this.#deps.accounts.users.renewToken(plainName(name), actor)
    this.#showOut(`${NAMED}${plainName(name)}` as UserId)
    return renewed
  }

  /** A later user of the same name must not come into groups by it. */
  async remove({ actor }: Caller, name: string): Promise<void> {
    await this.#deps.accounts.users.remove(plainName(name), actor)
    await this.#deps.groups.forget(plainName(name), actor)
    this.#showOut(`${NAMED}${plainName(name)}` as UserId)
  }

  /** A guest goes by its whole id, as it stands in the list of workspaces. */
  async block({ actor }: Caller, name: string, blocked: boolean): Promise<UserView> {
    const { users } = this.#deps.accounts
    if (!name.startsWith(GUEST)) {
      await (blocked ? users.block(plainName(name), actor) : users.unblock(plainName(name), actor))
      if (blocked) this.#showOut(`${NAMED}${plainName(name)}` as UserId)
      return this.#user(plainName(name))
    }
    if (!isUserId(name)) {
      throw new NodeDaemonError('BAD_USAGE', `"${parse.line(name, 80)}" is not the id of a guest`, {
        advice: 'take it whole from: node-daemon workspaces ls'
      })
    }
    const before = this.list().find((user) => user.name === name)
    if (blocked) await users.guests.block(name, actor)
    else await users.guests.unblock(name, actor)
    if (blocked) this.#showOut(name)
    return blocked || before === undefined ? this.#user(name) : { ...before, blocked: false }
  }

  async setQuota({ actor }: Caller, name: string, bytes: number | null): Promise<UserView> {
    const { accounts, table, director, routeBook } = this.#deps
    await accounts.users.setQuota(plainName(name), bytes, actor)
    // What they may hold is said where they are let in.
    routeBook.endSessionsOf(`${NAMED}${plainName(name)}` as UserId)
    for (const { signed } of table.all()) {
      const { workspace, owner } = signed.value
      if (owner === `${NAMED}${plainName(name)}`) director.touch(workspace)
    }
    return this.#user(plainName(name))
  }

  /** What is open ends now: requests on their way into their own workspaces, and their WebSockets anywhere. */
  #showOut(user: UserId): void {
    const { table, doors, routeBook, director } = this.#deps
    routeBook.endSessionsOf(user)
    for (const { signed } of table.all()) {
      const { workspace, owner } = signed.value
      if (owner === user) doors.breakOff(workspace, 'all')
      if (owner === user || !PERSONAL.test(owner)) director.touch(workspace)
    }
  }

  #view(
    id: UserId,
    { name, blocked, createdAt }: Pick<User, 'name' | 'blocked' | 'createdAt'>,
    source: string,
    counts: ReadonlyMap<OwnerId, number>
  ): UserView {
    const quotaBytes = this.#deps.quotas.of(id) ?? 0
    return { name, blocked, createdAt: time(createdAt), workspaces: counts.get(id) ?? 0, quotaBytes, source }
  }

  #user(name: string): UserView {
    const view = this.list().find((user) => user.name === name)
    if (view === undefined)
      throw new NodeDaemonError('NOT_FOUND', `there is no user "${parse.line(name, 80)}"`, {
        advice: 'see: node-daemon users ls'
      })
    return view
  }
}

/** Named users go by `user:ada` too, as they stand in the list of workspaces. */
const plainName = (name: string): string => (name.startsWith(NAMED) ? name.slice(NAMED.length) : name)

const sourceText = (source: UserSource): string => (source.kind === 'provider' ? source.provider : source.kind)
