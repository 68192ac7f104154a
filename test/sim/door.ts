import type { Clock } from '../../src/core/clock.ts'
import { ERRORS, hasCode, NodeDaemonError } from '../../src/core/errors.ts'
import type { PeerIdText, ServiceName, UserId } from '../../src/core/ids.ts'
import type { Logger } from '../../src/core/log.ts'
import type { CoordinatorCore } from '../../src/daemon/coordinator-parts.ts'
import { dataLink } from '../../src/daemon/coordinator-reach.ts'
import type { Channel } from '../../src/network/host.ts'
import { Hold } from '../../src/routing/hold.ts'
import { FRONT_DOOR_LIMITS } from '../../src/routing/limits.ts'
import type { Place } from '../../src/routing/neighbours.ts'
import { afterLoss, pauseMs } from '../../src/routing/replay.ts'
import { isRead } from '../../src/wire/http.ts'
import { type Answered, type Ask, decode, encode, type Told, VALUES_PROTOCOL } from './exchange-values.ts'

export const FILES = 'files' as ServiceName

type Serving = Extract<Place, { state: 'serving' }>

/**
 * The front door for requests as values: the production's route table, hold and rules for what may be sent again; only the
 * HTTP around them is left out.
 */
export class ValueDoor {
  readonly #core: CoordinatorCore
  readonly #clock: Clock
  readonly #hold: Hold
  readonly #holdMs: number
  readonly #underWay = new Map<PeerIdText, Set<Channel>>()

  constructor(core: CoordinatorCore, deps: { readonly clock: Clock; readonly log: Logger }, holdMs: number) {
    this.#core = core
    this.#clock = deps.clock
    this.#holdMs = holdMs
    const changed = core.routes.changed.bind(core.routes)
    const { held, heldPerWorkspace, heldPerClient } = FRONT_DOOR_LIMITS
    this.#hold = new Hold(
      { ...deps, changed },
      { total: held, perWorkspace: heldPerWorkspace, perClient: heldPerClient }
    )
  }

  /** See `FrontDoor.dropHome`. */
  dropHome(home: PeerIdText): void {
    for (const channel of this.#underWay.get(home) ?? []) channel.abort(new NodeDaemonError('CLOSED', 'given up'))
  }

  async ask(user: UserId, ask: Ask): Promise<Told> {
    const deadline = this.#clock.now() + this.#holdMs
    let timesSent = 0
    let pauses = 0
    for (;;) {
      const place = await this.#place(user, ask)
      if ('status' in place) return place
      if (place.state === 'waiting') {
        const release = await this.#wait(place, deadline, timesSent > 0, () => this.#find(user)?.state !== 'waiting')
        if (release === 'go-on') continue
        return { status: 503, body: `not served within the time to wait (${release})` }
      }
      const outcome = await this.#send(user, place, ask)
      if (outcome.kind === 'answer') return outcome.answer
      if (outcome.kind === 'elsewhere') continue
      if (outcome.kind === 'lost' && outcome.sent) timesSent++
      const body = ask.method === 'PUT' || ask.method === 'POST' ? 'kept' : 'none'
      const lost = { method: ask.method, raw: [], body, timesSent } as const
      const next = outcome.kind === 'lost' ? afterLoss(lost, { sent: outcome.sent, reused: false }) : 'wait'
      if (next === 'answer' || this.#clock.now() >= deadline) {
        return { status: 502, body: 'the home was lost', retry: timesSent > 0 ? 'unsafe' : 'safe' }
      }
      if (next === 'wait' && this.#isStill(user, place)) {
        const until = Math.min(deadline, this.#clock.now() + pauseMs(pauses++))
        const release = await this.#wait(place, until, true, () => !this.#isStill(user, place))
        if (release === 'full' || release === 'closed') return { status: 503, body: release }
      }
    }
  }

  #find(user: UserId): Place | null {
    return this.#core.routes.find(FILES, user)
  }

  async #place(user: UserId, { method }: Ask): Promise<Place | Told> {
    const place = this.#find(user)
    if (place !== null) return place
    if (isRead(method)) return { status: this.#core.routes.anyInstance(FILES, user) === null ? 503 : 404, body: '' }
    try {
      await this.#core.accounts.users.bySignOn(user.slice('user:'.length))
      return await this.#core.routes.create(FILES, user)
    } catch (error) {
      if (error instanceof NodeDaemonError) return { status: ERRORS[error.code].http, body: error.message }
      throw error
    }
  }

  #wait(
    { workspace }: Place,
    until: number,
    first: boolean,
    ready: () => boolean
  ): Promise<'go-on' | 'late' | 'full' | 'closed'> {
    return new Promise((resolve) => this.#hold.wait(workspace, { until, client: null, first, ready, done: resolve }))
  }

  #isStill(user: UserId, target: Serving): boolean {
    const place = this.#find(user)
    return place?.state === 'serving' && place.home === target.home && place.epoch === target.epoch
  }

  async #send(
    user: UserId,
    place: Serving,
    ask: Ask
  ): Promise<
    | { readonly kind: 'answer'; readonly answer: Told }
    | { readonly kind: 'moved' }
    | { readonly kind: 'elsewhere' }
    | { readonly kind: 'lost'; readonly sent: boolean }
  > {
    const { host, control, routes } = this.#core
    let channel: Channel
    try {
      channel = await dataLink(host, control, place.home).open(VALUES_PROTOCOL)
    } catch (error) {
      if (hasCode(error, 'OUT_OF_REACH', 'CLOSED')) return { kind: 'lost', sent: false }
      throw error
    }
    if (!this.#isStill(user, place)) {
      channel.abort(new Error('not needed'))
      return { kind: 'elsewhere' }
    }
    const leave = routes.enter(place.workspace, () =>
      channel.abort(new NodeDaemonError('CLOSED', 'the request was broken off'))
    )
    const underWay = this.#underWay.get(place.home) ?? new Set()
    this.#underWay.set(place.home, underWay.add(channel))
    try {
      await channel.send(encode({ ...ask, workspace: place.workspace, epoch: place.epoch }))
      const frame = await channel.receive()
      if (frame === null) return { kind: 'lost', sent: true }
      const { moved, ...answer } = decode<Answered>(frame)
      return moved ? { kind: 'moved' } : { kind: 'answer', answer }
    } catch (error) {
      if (hasCode(error, 'OUT_OF_REACH', 'CLOSED')) return { kind: 'lost', sent: true }
      throw error
    } finally {
      leave()
      underWay.delete(channel)
      await channel.close()
    }
  }
}
