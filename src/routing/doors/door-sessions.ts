import type { Clock, Instant } from '../../core/clock.ts'
import { type ErrorCode, NodeDaemonError } from '../../core/errors.ts'
import type { PeerIdText, UserId, WorkspaceId } from '../../core/ids.ts'
import type { Group } from '../../membership/groups.ts'
import type { Channel, Host, Link } from '../../network/host.ts'
import {
  DOOR_LIMITS,
  type DoorInstance,
  type DoorRules,
  type DoorService,
  FRONT_DOOR_PROTOCOL,
  fromDoor,
  type ToDoor
} from '../../wire/front-door.ts'
import { REVISION } from '../../wire/revision.ts'
import { DOOR_TIMES, DoorSession, type DoorSessionDeps } from './door-session.ts'
import { groupParts } from './remote-groups.ts'

/** The longest that a front door may take from opening the stream to its first message. */
const HELLO_MS = 10_000
const INSTANCES_EVERY_MS = 500

export interface DoorSessionsDeps extends DoorSessionDeps {
  /** Is this peer a member with the role of a front door? Nobody else gets what is told here. */
  readonly isDoor: (peer: PeerIdText) => boolean
  readonly welcome: (
    peer: PeerIdText
  ) => Pick<Extract<ToDoor, { kind: 'welcome' }>, 'name' | 'certificate' | 'memberList'>
  readonly rules: () => DoorRules
  readonly services: () => readonly DoorService[]
  /** Those that take newcomers. */
  readonly instances: () => readonly DoorInstance[]
  readonly blocked: () => readonly UserId[]
  readonly groups: () => readonly Group[]
  /** `addresses`: where instances reach it. Null: it went away. */
  readonly onChange: (peer: PeerIdText, addresses: readonly string[] | null) => void
}

/** The coordinator's side of all front doors that are processes of their own; one session for each, the newest wins. */
export class DoorSessions {
  readonly #deps: DoorSessionsDeps
  readonly #open = new Map<PeerIdText, DoorSession>()
  /** Sessions that ended, until the lease that they left has. */
  readonly #lost = new Set<DoorSession>()
  readonly #clock: Clock
  #told = ''
  #looking = false
  #closed = false

  constructor(deps: DoorSessionsDeps) {
    this.#deps = deps
    this.#clock = deps.clock
  }

  async register(host: Host): Promise<void> {
    await host.handle(FRONT_DOOR_PROTOCOL, (channel, link) => this.#serve(channel, link))
  }

  isOpen(peer: PeerIdText): boolean {
    return this.#open.has(peer)
  }

  /** The connection of a front door; null while it is away. */
  linkOf(peer: PeerIdText): Link | null {
    return this.#open.get(peer)?.link ?? null
  }

  /** Those that may route, now or for a moment longer. */
  doors(): readonly DoorSession[] {
    const now: Instant = this.#clock.now()
    for (const session of this.#lost) if (session.leaseUntil <= now) this.#lost.delete(session)
    return [...this.#open.values(), ...this.#lost]
  }

  touched(workspace: WorkspaceId): void {
    for (const session of this.#open.values()) session.touched(workspace)
  }

  rulesChanged(): void {
    this.#tellAll(() => ({ kind: 'rules', rules: this.#deps.rules() }))
  }

  servicesChanged(): void {
    this.#tellAll(() => ({ kind: 'services', services: this.#deps.services() }))
  }

  /** A user was blocked, removed, signed out or given another token: what was told of users counts no more. */
  usersChanged(what: 'users' | 'sessions'): void {
    // Nobody more to tell of: what was looked up is forgotten all the same.
    if (what === 'sessions') return this.#tellAll(() => ({ kind: 'blocked', users: [], first: false }))
    for (const session of this.#open.values()) this.#tellBlocked(session)
  }

  groupsChanged(): void {
    for (const session of this.#open.values()) this.#tellGroups(session)
  }

  membersChanged(memberList: Uint8Array): void {
    this.#tellAll(() => ({ kind: 'members', memberList }))
  }

  /** Ends the session of one that is no member any more. */
  end(peer: PeerIdText, code: ErrorCode, message: string): void {
    this.#open.get(peer)?.end(code, message)
  }

  close(): void {
    this.#closed = true
    for (const session of this.#open.values()) session.end('CLOSED', 'the coordinator stops')
  }

  #tellAll(message: () => ToDoor): void {
    for (const session of this.#open.values()) session.tell(message)
  }

  async #serve(channel: Channel, link: Link): Promise<void> {
    const { isDoor, welcome, rules, services, onChange } = this.#deps
    if (!isDoor(link.peer) || this.#closed) {
      throw new NodeDaemonError('FORBIDDEN', `${link.peer} is not a front door of this federation`)
    }
    const limit = this.#clock.after(HELLO_MS, () => channel.abort(new Error('no hello')))
    const first = await channel.receive().finally(() => limit.cancel())
    const hello = first === null ? null : fromDoor.decode(first)
    if (hello?.kind !== 'hello') throw new NodeDaemonError('PROTOCOL_VIOLATION', 'a stream begins with a hello')
    // It may have been decided about meanwhile.
    if (!isDoor(link.peer)) throw new NodeDaemonError('FORBIDDEN', `${link.peer} is no member any more`)
    const session = new DoorSession(this.#deps, channel, link)
    const before = this.#open.get(link.peer)
    this.#open.set(link.peer, session)
    before?.end('CONFLICT', 'another process runs with the key of this front door: a data folder was copied')
    session.tell(() => ({
      kind: 'welcome',
      ...welcome(link.peer),
      beatMs: DOOR_TIMES.beatMs,
      revision: REVISION
    }))
    session.tell(() => ({ kind: 'rules', rules: rules() }))
    session.tell(() => ({ kind: 'services', services: services() }))
    session.tell(() => ({ kind: 'instances', instances: this.#instances() }))
    this.#tellGroups(session)
    this.#tellBlocked(session)
    onChange(link.peer, hello.addresses)
    this.#lookLater()
    const sending = session.send()
    try {
      for (;;) {
        const frame = await channel.receive()
        if (frame === null) break
        session.heard(fromDoor.decode(frame))
      }
    } finally {
      session.closed()
      this.#lost.add(session)
      if (this.#open.get(link.peer) === session) {
        this.#open.delete(link.peer)
        onChange(link.peer, null)
      }
      await sending
    }
  }

  #tellGroups(session: DoorSession): void {
    for (const [index, groups] of groupParts(this.#deps.groups(), DOOR_LIMITS).entries()) {
      session.tell(() => ({ kind: 'groups', groups, first: index === 0 }))
    }
  }

  #tellBlocked(session: DoorSession): void {
    const users = this.#deps.blocked()
    for (let at = 0; at === 0 || at < users.length; at += DOOR_LIMITS.blockedMax) {
      const part = users.slice(at, at + DOOR_LIMITS.blockedMax)
      session.tell(() => ({ kind: 'blocked', users: part, first: at === 0 }))
    }
  }

  /** Without what else is known of them, which changes all the time. */
  #instances(): DoorInstance[] {
    return this.#deps.instances().map(({ peer, name, services }) => ({ peer, name, services }))
  }

  /** Who takes newcomers changes with every drain, disk and label: it is looked at again and again while somebody listens. */
  #lookAtInstances(): void {
    this.#looking = false
    if (this.#closed || this.#open.size === 0) return
    const instances = this.#instances()
    const text = JSON.stringify(instances)
    if (text !== this.#told) this.#tellAll(() => ({ kind: 'instances', instances }))
    this.#told = text
    this.#lookLater()
  }

  #lookLater(): void {
    if (this.#looking) return
    this.#looking = true
    this.#clock.after(INSTANCES_EVERY_MS, () => this.#lookAtInstances())
  }
}
