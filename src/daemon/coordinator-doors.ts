import type { Duplex } from 'node:stream'
import { NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Standstill } from '../core/standstill.ts'
import type { Director } from '../handover/director.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { PromotionHold } from '../handover/promotion-hold.ts'
import type { Accounts } from '../membership/accounts.ts'
import type { Groups } from '../membership/groups.ts'
import type { MemberRegistry } from '../membership/registry.ts'
import { DoorSessions } from '../routing/doors/door-sessions.ts'
import { Doors, localDoor } from '../routing/doors/doors.ts'
import { type RelayDeps, serveRelay } from '../routing/doors/relay.ts'
import type { ServiceRoute } from '../routing/neighbours.ts'
import type { Services } from '../routing/services.ts'
import {
  type DoorAnswer,
  type DoorPlace,
  type DoorQuestion,
  type DoorService,
  RELAY_PROTOCOL
} from '../wire/front-door.ts'
import type { Changes } from './changes.ts'
import type { CoordinatorCore, CoreParts } from './coordinator-parts.ts'
import { connectTunnel } from './coordinator-reach.ts'
import type { Fleet } from './fleet.ts'
import { reachedByGroup, sharedWorkspaces } from './group-use.ts'
import type { Neighbourhood } from './neighbourhood.ts'
import type { RouteTable } from './route-table.ts'

export interface CoordinatorDoorsDeps {
  readonly registry: MemberRegistry
  readonly table: OwnershipTable
  readonly fleet: Fleet
  readonly routes: RouteTable
  readonly accounts: Accounts
  readonly hold: PromotionHold
  readonly groups: Groups
  readonly services: Pick<Services, 'onChange'>
  readonly director: Pick<Director, 'touch'>
  readonly neighbourhood: () => Neighbourhood
  readonly changes: Changes
  readonly standstill: Standstill
}

/** The front doors of this federation: the one of this process, and the sessions of those that are processes of their own. */
export function openDoors(
  deps: CoordinatorDoorsDeps,
  parts: Pick<CoreParts, 'doorRules' | 'dropHome' | 'hasSockets' | 'clock' | 'log'>
): { readonly doors: Doors; readonly sessions: DoorSessions } {
  const { clock, log } = parts
  const local = localDoor(deps.routes.flights, parts)
  const { registry, table, fleet, routes, changes, hold, groups } = deps
  const sessions: DoorSessions = new DoorSessions({
    ...deps,
    clock,
    log,
    rules: parts.doorRules,
    isDoor: (peer) => registry.standing(peer) === 'member' && registry.get(peer)?.role === 'front-door',
    welcome: (peer) => ({
      name: registry.get(peer)?.name ?? '',
      certificate: registry.standingOf(peer).certificate,
      memberList: registry.memberList()
    }),
    services: () => routes.services().map(doorService),
    // A user may have a workspace of which this coordinator has not been told yet.
    instances: () => (hold.holds('old-backup') ? [] : fleet.candidates()),
    groups: () => groups.list(),
    onUse: (workspace) => routes.used(workspace),
    blocked: () => deps.accounts.users.blocked(),
    workspaces: () => workspacesOf(table),
    knows: (workspace) => table.get(workspace) !== null,
    place: (workspace) => placeOf(deps, workspace),
    answer: (question) => answer(deps, question),
    onChange: (peer, addresses) => {
      fleet.noteSeen(peer)
      deps.neighbourhood().door(peer, addresses)
      changes.tell('peers')
    }
  })
  // Connections that are open already are looked at again: a right may have been taken.
  const lookAgain = (workspaces: readonly WorkspaceId[]): void => {
    for (const workspace of workspaces) deps.director.touch(workspace)
  }
  groups.onChange((group) => {
    sessions.groupsChanged()
    lookAgain(reachedByGroup(group, table, routes.services()))
  })
  deps.services.onChange(() => {
    sessions.servicesChanged()
    lookAgain(sharedWorkspaces(table))
  })
  return { sessions, doors: new Doors(() => [local, ...sessions.doors()]) }
}

function* workspacesOf(table: OwnershipTable): Generator<WorkspaceId> {
  for (const { signed } of table.all()) yield signed.value.workspace
}

function placeOf({ table, routes }: CoordinatorDoorsDeps, workspace: WorkspaceId): DoorPlace | null {
  const value = table.get(workspace)?.signed.value
  if (value === undefined) return null
  const { service, owner } = value
  const place = routes.place(workspace)
  const nowhere = { workspace, service, owner, epoch: 0, home: null, homeName: '', limitBytes: null }
  if (place.state === 'waiting') return { ...nowhere, state: place.reason }
  const { epoch, home, homeName, limitBytes = null } = place
  return { ...nowhere, state: 'serving', epoch, home, homeName, limitBytes }
}

function doorService({ name, route, scope, writers }: ServiceRoute): DoorService {
  const rest = { name, scope, writers: writers ?? '' }
  if (route.kind === 'host') return { ...rest, host: route.host, prefix: '' }
  return { ...rest, host: '', prefix: route.prefix }
}

async function answer(deps: CoordinatorDoorsDeps, question: DoorQuestion): Promise<DoorAnswer> {
  const { users, sessions } = deps.accounts
  switch (question.kind) {
    case 'token': {
      const found = users.byToken(question.token)
      return { kind: 'user', user: found === null || found === 'blocked' ? found : found.user }
    }
    case 'session':
      return { kind: 'user', user: sessions.find(question.session) }
    case 'sign-on':
      return { kind: 'user', user: await users.bySignOn(question.name) }
    case 'create': {
      const { workspace } = await deps.routes.create(question.service, question.owner)
      const place = placeOf(deps, workspace)
      if (place === null) throw new NodeDaemonError('BUSY', 'the workspace is gone already')
      return { kind: 'place', place }
    }
  }
}

/** Is this a peer with the role of an instance? Nobody else is home of anything. */
export const isInstance = (registry: MemberRegistry, peer: PeerIdText): boolean =>
  registry.get(peer)?.role !== 'front-door'

/**
 * Has what front doors cannot send themselves pass through this process: to instances, and to its own front door. One
 * front door has no more streams open than one connection may, however many connections it has.
 */
export async function serveRelays(
  { host, control, doorSessions }: Pick<CoordinatorCore, 'host' | 'control' | 'doorSessions'>,
  own: Pick<RelayDeps, 'self' | 'accept'>
): Promise<void> {
  const connect = (home: PeerIdText): Promise<Duplex> => connectTunnel(host, control, home)
  const open = new Map<PeerIdText, number>()
  await host.handleBytes(RELAY_PROTOCOL, (stream, { peer }) => {
    const count = open.get(peer) ?? 0
    if (count >= RELAY_PROTOCOL.maxStreams || !doorSessions.isOpen(peer)) return void stream.destroy()
    open.set(peer, count + 1)
    stream.once('close', () => {
      const left = (open.get(peer) ?? 1) - 1
      if (left > 0) open.set(peer, left)
      else open.delete(peer)
    })
    void serveRelay(stream, { ...own, connect })
  })
}
