import type { GroupName, UserId } from '../../core/ids.ts'
import type { Rights } from '../../membership/groups.ts'
import type { DoorGroup } from '../../wire/front-door.ts'
import type { Groups } from '../neighbours.ts'

const NAMED = 'user:'

/** Who is in which group, as the coordinator tells a front door that is a process of its own. */
export class RemoteGroups implements Groups {
  #groups = new Map<GroupName, Map<string, Rights>>()

  /** In parts: `first` begins anew, and a group that is told again has further members. */
  tell(groups: readonly DoorGroup[], first: boolean): void {
    if (first) this.#groups = new Map()
    for (const { name, members } of groups) {
      const known = this.#groups.get(name) ?? new Map<string, Rights>()
      for (const { user, write } of members) known.set(user, write ? 'write' : 'read')
      this.#groups.set(name, known)
    }
  }

  rightsOf(group: GroupName, user: UserId): Rights | null {
    if (!user.startsWith(NAMED)) return null
    return this.#groups.get(group)?.get(user.slice(NAMED.length)) ?? null
  }

  of(user: UserId): readonly GroupName[] {
    const name = user.startsWith(NAMED) ? user.slice(NAMED.length) : null
    if (name === null) return []
    return [...this.#groups].flatMap(([group, members]) => (members.has(name) ? [group] : [])).sort()
  }
}

/** Groups in as many parts as messages can hold. Never none: that says that there are no groups. */
export function groupParts(
  groups: Iterable<{ readonly name: GroupName; readonly members: ReadonlyMap<string, Rights> }>,
  limits: { readonly groupsMax: number; readonly groupMembersMax: number }
): DoorGroup[][] {
  const parts: DoorGroup[][] = [[]]
  let room = limits.groupMembersMax
  for (const { name, members } of groups) {
    const all = [...members].map(([user, rights]) => ({ user, write: rights === 'write' }))
    for (let at = 0; at === 0 || at < all.length; ) {
      if (room === 0 || (parts.at(-1)?.length ?? 0) === limits.groupsMax) {
        parts.push([])
        room = limits.groupMembersMax
      }
      const some = all.slice(at, at + room)
      parts.at(-1)?.push({ name, members: some })
      room -= some.length
      at += Math.max(1, some.length)
    }
  }
  return parts
}
