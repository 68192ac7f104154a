import { z } from 'zod'
import { NodeDaemonError } from '../core/errors.ts'
import { type GroupName, isGroupName, isUserId, type UserId } from '../core/ids.ts'
import { Mutex } from '../core/mutex.ts'
import { parse } from '../core/parse.ts'
import { loadDocuments, putOwn, removeOwn } from './documents.ts'
import type { AccountDeps } from './token-book.ts'

export const RIGHTS = ['read', 'write'] as const
/** What a member of a group may do in its workspaces. */
export type Rights = (typeof RIGHTS)[number]

/** Users who share workspaces. */
export interface Group {
  readonly name: GroupName
  /** Unix milliseconds. */
  readonly createdAt: number
  /** By their name, without `user:`. */
  readonly members: ReadonlyMap<string, Rights>
}

export interface GroupsDeps extends Pick<AccountDeps, 'store' | 'clock' | 'audit'> {
  /** What keeps a group from being taken away, for people; null: nothing. */
  readonly inUse: (group: GroupName) => string | null
}

const PREFIX = 'group/'
const GROUPS_MAX = 10_000
const MEMBERS_MAX = 10_000
const NAMED = 'user:'
const LIST = { advice: 'see: node-daemon groups ls' }

const schema = z.object({
  name: z.custom<GroupName>((value) => typeof value === 'string' && isGroupName(value)),
  createdAt: z.number(),
  members: z.array(z.tuple([z.string(), z.enum(RIGHTS)]))
})

/**
 * The groups of a federation, all of them in memory. A change is in the audit log, then durable, then visible, one at a
 * time. `by` is who makes it.
 */
export class Groups {
  readonly #deps: GroupsDeps
  readonly #writes = new Mutex()
  readonly #groups: Map<GroupName, Group>
  readonly #listeners = new Set<(group: GroupName) => void>()

  private constructor(deps: GroupsDeps, groups: readonly Group[]) {
    this.#deps = deps
    this.#groups = new Map(groups.map((group) => [group.name, group]))
  }

  /** @throws NodeDaemonError `INTEGRITY` when one cannot be read */
  static async open(deps: GroupsDeps): Promise<Groups> {
    const stored = await loadDocuments(deps.store, PREFIX, schema)
    return new Groups(
      deps,
      stored.map((group) => ({ ...group, members: new Map(group.members) }))
    )
  }

  /** By name. */
  list(): readonly Group[] {
    return [...this.#groups.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  has(name: GroupName): boolean {
    return this.#groups.has(name)
  }

  /** What a user may do in the workspaces of a group; null where they are no member, or there is no such group. */
  rightsOf(group: GroupName, user: UserId): Rights | null {
    if (!user.startsWith(NAMED)) return null
    return this.#groups.get(group)?.members.get(user.slice(NAMED.length)) ?? null
  }

  /** The groups that a user is in, by name. */
  of(user: UserId): readonly GroupName[] {
    const name = user.startsWith(NAMED) ? user.slice(NAMED.length) : null
    if (name === null) return []
    return [...this.#groups.values()].flatMap((group) => (group.members.has(name) ? [group.name] : [])).sort()
  }

  /** Calls back after each change. */
  onChange(listener: (group: GroupName) => void): void {
    this.#listeners.add(listener)
  }

  /** @throws NodeDaemonError `BAD_USAGE` for a bad name; `NAME_TAKEN`; `REFUSED_BY_POLICY` with 10,000 groups */
  add(name: string, by: string): Promise<Group> {
    return this.#writes.run(async () => {
      if (!isGroupName(name)) {
        throw new NodeDaemonError('BAD_USAGE', `"${parse.line(name, 80)}" cannot be the name of a group`, {
          advice: 'use 1 to 40 of a-z 0-9 - and begin with a letter or digit'
        })
      }
      if (this.#groups.has(name)) throw new NodeDaemonError('NAME_TAKEN', `there is a group "${name}" already`, LIST)
      if (this.#groups.size >= GROUPS_MAX) throw tooMany(`${GROUPS_MAX} groups`)
      const group = { name, createdAt: this.#deps.clock.wall(), members: new Map<string, Rights>() }
      await this.#record(by, 'add', name, {})
      await this.#keep(group)
      return group
    })
  }

  /** @throws NodeDaemonError `NOT_FOUND`; `REFUSED_BY_POLICY` it is in use */
  remove(name: string, by: string): Promise<void> {
    return this.#writes.run(async () => {
      const group = this.#known(name)
      this.#checkUnused(group.name)
      await this.#record(by, 'rm', name, {})
      // Somebody may have begun a workspace of it meanwhile.
      this.#checkUnused(group.name)
      await this.#deps.store.transact([removeOwn(PREFIX + name)])
      this.#groups.delete(group.name)
      this.#tell(group.name)
    })
  }

  /**
   * Makes a user a member, or gives a member other rights. The user need not have a token here: a sign-on may name them.
   *
   * @throws NodeDaemonError `NOT_FOUND` no such group; `BAD_USAGE` that is not the name of a user; `REFUSED_BY_POLICY`
   *   with 10,000 members
   */
  grant(name: string, user: string, rights: Rights, by: string): Promise<Group> {
    return this.#change(name, by, 'grant', { user, rights }, ({ members }) => {
      if (!isUserId(NAMED + user)) {
        throw new NodeDaemonError('BAD_USAGE', `"${parse.line(user, 80)}" cannot be the name of a user`)
      }
      if (members.size >= MEMBERS_MAX && !members.has(user)) throw tooMany(`${MEMBERS_MAX} members`)
      return members.get(user) === rights ? null : new Map([...members, [user, rights]])
    })
  }

  /** @throws NodeDaemonError `NOT_FOUND` no such group, or no such member of it */
  revoke(name: string, user: string, by: string): Promise<Group> {
    return this.#change(name, by, 'revoke', { user }, ({ members }) => {
      if (members.has(user)) return without(members, user)
      throw new NodeDaemonError('NOT_FOUND', `"${parse.line(user, 80)}" is not in ${name}`)
    })
  }

  /** Takes a user out of every group: another one may have the name later. */
  async forget(user: string, by: string): Promise<void> {
    for (const { name, members } of this.list()) {
      if (!members.has(user)) continue
      await this.#change(name, by, 'revoke', { user }, (group) => without(group.members, user))
    }
  }

  #checkUnused(name: GroupName): void {
    const why = this.#deps.inUse(name)
    if (why !== null) throw new NodeDaemonError('REFUSED_BY_POLICY', `${name} stays: ${why}`)
  }

  /** `next` may throw to refuse; null leaves everything as it is. */
  #change(
    name: string,
    by: string,
    action: string,
    details: Readonly<Record<string, unknown>>,
    next: (group: Group) => ReadonlyMap<string, Rights> | null
  ): Promise<Group> {
    return this.#writes.run(async () => {
      const before = this.#known(name)
      const members = next(before)
      if (members === null) return before
      const group = { ...before, members }
      await this.#record(by, action, name, details)
      await this.#keep(group)
      return group
    })
  }

  #known(name: string): Group {
    const group = isGroupName(name) ? this.#groups.get(name) : undefined
    if (group === undefined) throw new NodeDaemonError('NOT_FOUND', `there is no group "${parse.line(name, 80)}"`, LIST)
    return group
  }

  async #record(by: string, action: string, target: string, details: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#deps.audit({ actor: by, action: `group.${action}`, target, details })
  }

  async #keep(group: Group): Promise<void> {
    await this.#deps.store.transact([putOwn(PREFIX + group.name, { ...group, members: [...group.members] })])
    this.#groups.set(group.name, group)
    this.#tell(group.name)
  }

  #tell(group: GroupName): void {
    for (const listener of this.#listeners) listener(group)
  }
}

const without = (members: ReadonlyMap<string, Rights>, user: string): ReadonlyMap<string, Rights> =>
  new Map([...members].filter(([name]) => name !== user))

const tooMany = (what: string): NodeDaemonError =>
  new NodeDaemonError('REFUSED_BY_POLICY', `there are ${what} already, the most there may be`)
