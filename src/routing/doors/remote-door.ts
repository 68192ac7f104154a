import { type Clock, sleep } from '../../core/clock.ts'
import { messageOf } from '../../core/errors.ts'
import type { OwnerId, ServiceName, UserId, WorkspaceId } from '../../core/ids.ts'
import type { Logger } from '../../core/log.ts'
import { type Activity, DOOR_LIMITS, type DoorPlace, type DoorQuestion, type DoorRules } from '../../wire/front-door.ts'
import { Flights } from '../flights.ts'
import type { FrontDoor } from '../front-door.ts'
import type { DoorClient, News } from './door-client.ts'
import { RemoteGroups } from './remote-groups.ts'
import { RemoteRoutes } from './remote-routes.ts'
import { RemoteUsers } from './remote-users.ts'

const LOOK_EVERY_MS = 5

export interface RemoteDoorDeps {
  readonly client: () => Pick<DoorClient, 'ask' | 'quiet'>
  /** The newest signed list of members. */
  readonly onMembers: (memberList: Uint8Array) => void
  /** All that is needed to let users in is there, or the rules are others now. */
  readonly onRules: (rules: DoorRules) => void
  readonly clock: Clock
  readonly log: Logger
}

/** What a front door that is a process of its own knows, and what it does when the coordinator says so. */
export class RemoteDoor {
  readonly routes: RemoteRoutes
  readonly users: RemoteUsers
  readonly groups = new RemoteGroups()
  readonly #deps: RemoteDoorDeps
  readonly #flights: Flights
  /** Workspaces of which there is something to tell at the next beat. */
  readonly #touched = new Set<WorkspaceId>()
  #door: Pick<FrontDoor, 'hasSockets' | 'dropHome'> | null = null
  #rules: DoorRules | null = null
  #isWhole = false

  constructor(deps: RemoteDoorDeps) {
    const { clock, log } = deps
    this.#deps = deps
    this.#flights = new Flights(clock, (workspace) => void this.#touched.add(workspace))
    this.routes = new RemoteRoutes({
      flights: this.#flights,
      create: (service, owner) => this.#create(service, owner),
      clock,
      log
    })
    this.users = new RemoteUsers((question) => this.#userOf(question), clock)
  }

  /** Where users' requests come in from now on. */
  opened(door: Pick<FrontDoor, 'hasSockets' | 'dropHome'>): void {
    this.#door = door
  }

  told(news: News): void {
    switch (news.kind) {
      case 'places':
        this.routes.tellPlaces(news)
        if (news.whole) this.#complete()
        return
      case 'hold':
        this.routes.tellPlace(news.place)
        void this.#tellWhenQuiet(news.id, news.place.workspace)
        return
      case 'break-off':
        return this.#flights.breakOff(news.workspace, news.which)
      case 'drop-home':
        return this.#door?.dropHome(news.peer)
      case 'instances':
        return this.routes.tellInstances(news.instances)
      case 'services':
        return this.routes.tellServices(news.services)
      case 'blocked':
        return this.users.tellBlocked(news.users, news.first)
      case 'groups':
        return this.groups.tell(news.groups, news.first)
      case 'members':
        return this.#deps.onMembers(news.memberList)
      case 'rules':
        this.#rules = news.rules
        if (this.#isWhole) this.#deps.onRules(news.rules)
    }
  }

  /** What has changed about workspaces since the last call, for as many as one beat can tell of. */
  activity(): Activity[] {
    const told: Activity[] = []
    for (const workspace of this.#touched) {
      if (told.length === DOOR_LIMITS.activityMax) break
      this.#touched.delete(workspace)
      told.push({
        workspace,
        inFlight: this.#flights.isBusy(workspace),
        long: this.#flights.hasLong(workspace),
        sockets: this.#door?.hasSockets(workspace) === true,
        quietMs: Math.round(this.#flights.quietMs(workspace))
      })
    }
    // What lasts is looked at again at the next beat.
    for (const { workspace, inFlight, sockets } of told) if (inFlight || sockets) this.#touched.add(workspace)
    return told
  }

  #complete(): void {
    this.#isWhole = true
    if (this.#rules !== null) this.#deps.onRules(this.#rules)
  }

  /** Requests of the workspace are held by now: says so once none is in flight. A hold that is over is none to wait for. */
  async #tellWhenQuiet(hold: number, workspace: WorkspaceId): Promise<void> {
    try {
      while (this.#flights.isBusy(workspace)) {
        if (this.routes.passes(workspace)) return
        await sleep(this.#deps.clock, LOOK_EVERY_MS)
      }
      this.#deps.client().quiet(hold)
    } catch (error) {
      this.#deps.log.error({ error: messageOf(error) }, 'the end of requests in flight was not told')
    }
  }

  async #create(service: ServiceName, owner: OwnerId): Promise<DoorPlace> {
    const answer = await this.#deps.client().ask({ kind: 'create', service, owner })
    if (answer.kind === 'place') return answer.place
    throw new Error('the coordinator answers with something else than a place')
  }

  async #userOf(question: DoorQuestion): Promise<UserId | 'blocked' | null> {
    const answer = await this.#deps.client().ask(question)
    if (answer.kind === 'user') return answer.user
    throw new Error('the coordinator answers with something else than a user')
  }
}
