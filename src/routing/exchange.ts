import type { Duplex } from 'node:stream'
import type { Instant } from '../core/clock.ts'
import { hasCode, messageOf } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import { isRead } from '../wire/http.ts'
import { type Body, firstBytes, readWhole, stateOf } from './body.ts'
import type { Asked, ExchangeDeps, ExchangeOptions } from './exchange-deps.ts'
import type { Release } from './hold.ts'
import type { Home, Place } from './neighbours.ts'
import { answer, type Page } from './pages.ts'
import type { PooledStream } from './pool.ts'
import { forward } from './proxy.ts'
import { BODY_TOO_SLOW, errorPage, lostHome, movedMeanwhile, unavailable } from './refusals.ts'
import { afterLoss, maySendElsewhere, pauseMs } from './replay.ts'
import { linesOn, sendOn, targetLines } from './routes/send-on.ts'
import { type Turns, TurnsTaken } from './turns.ts'

/** Where an attempt goes. A newcomer's has no workspace. */
type Target = Home & {
  readonly workspace: WorkspaceId | null
  readonly epoch: number
  readonly limitBytes?: number
}

const TITLES: Readonly<Record<Extract<Place, { state: 'waiting' }>['reason'], string>> = {
  moving: 'These files are moving to another server',
  restoring: 'These files are being brought back',
  starting: 'The service is starting',
  orphaned: 'No server keeps these files at the moment'
}

/**
 * One request on its way: find its place, wait while there is none, send it, and send it again where that is safe.
 *
 *   routing ─▶ waiting ─▶ routing        the workspace moves, restores, starts
 *   routing ─▶ sending ─▶ answering      the usual way
 *   routing ─▶ answering                 sent on to the entrance of its home
 *              sending ─▶ waiting        moved or lost, and safe to send again
 */
export class Exchange {
  readonly #deps: ExchangeDeps
  readonly #options: ExchangeOptions
  readonly #asked: Asked
  readonly #method: string
  /** Whose share of what is bounded it takes. */
  readonly #who: string
  readonly #turns = new TurnsTaken()
  #body: Body
  #gone = false
  /** When waiting ends; set when it first begins. */
  #deadline: Instant | null = null
  /** How often an instance may have executed it. */
  #sent = 0
  #pauses = 0
  #giveUp: () => void = () => undefined

  constructor(deps: ExchangeDeps, options: ExchangeOptions, asked: Asked) {
    this.#deps = deps
    this.#options = options
    this.#asked = asked
    this.#method = asked.request.method ?? 'GET'
    this.#who = asked.visitor.user ?? asked.client ?? 'newcomers'
    this.#body = asked.body
  }

  start(): void {
    const { response } = this.#asked
    response.once('close', () => {
      if (!response.writableFinished) this.#clientGone()
      if (this.#body.kind === 'kept') this.#deps.budget.giveBack(this.#who, this.#body.bytes.length)
      this.#turns.leave()
    })
    this.#route()
  }

  #clientGone(): void {
    this.#gone = true
    this.#giveUp()
  }

  #route(): void {
    if (this.#gone) return
    const place = this.#placeNow()
    if (place === null) this.#withoutWorkspace()
    else this.#goTo(place)
  }

  #goTo(place: Place): void {
    if (place.state !== 'serving') return this.#holdFor(place)
    if (!sendOn(this.#deps, this.#asked, place)) this.#prepare(place)
  }

  /** Reads go to any instance; the first change brings the workspace into being. */
  #withoutWorkspace(): void {
    const { service, owner, upgrade } = this.#asked
    if (isRead(this.#method) && upgrade === null) {
      const any = this.#deps.workspaces.anyInstance(service.name, owner)
      if (any === null) return this.#answer(unavailable('No server is there for this service at the moment'))
      return this.#prepare({ ...any, workspace: null, epoch: 0 })
    }
    if (owner === null) return this.#answer(errorPage(new Error('a change without a user')))
    const refusal = this.#asked.mayBegin()
    if (refusal !== null) return this.#answer(refusal)
    this.#deps.workspaces.create(service.name, owner).then(
      (created) => {
        if (!this.#gone) this.#goTo(this.#deps.workspaces.find(service.name, owner) ?? created)
      },
      (error: unknown) => this.#failed(error, 'a workspace could not be placed')
    )
  }

  #holdFor(place: Extract<Place, { state: 'waiting' }>): void {
    const page = unavailable(TITLES[place.reason])
    this.#giveUp = this.#deps.hold.wait(place.workspace, {
      until: this.#endOfWaiting(),
      client: this.#asked.client,
      first: this.#sent > 0,
      ready: () => this.#placeNow()?.state !== 'waiting',
      done: (release) => {
        if (release === 'go-on') this.#route()
        else this.#answer(release === 'late' ? page : refusedWait(release))
      }
    })
  }

  #endOfWaiting(): Instant {
    this.#deadline ??= this.#deps.clock.now() + this.#options.holdMs
    return this.#deadline
  }

  #placeNow(): Place | null {
    const { service, owner } = this.#asked
    return owner === null ? null : this.#deps.workspaces.find(service.name, owner)
  }

  /** Reads what must be read before anything is sent; the place may be another one afterwards. */
  #prepare(target: Target): void {
    const { request, expects, response } = this.#asked
    if (this.#body.kind === 'small') {
      const { length } = this.#body
      if (!this.#deps.budget.take(this.#who, length)) {
        this.#body = { kind: 'stream', length, passedOn: false }
        return this.#acquire(target)
      }
      if (expects) response.writeContinue()
      const late = this.#deps.clock.after(this.#options.keptBodyMs, () => this.#answer(BODY_TOO_SLOW))
      readWhole(request)
        .finally(() => late.cancel())
        .then(
          (bytes) => this.#keep(bytes),
          () => {
            this.#deps.budget.giveBack(this.#who, length)
            this.#clientGone()
          }
        )
    } else if (this.#body.kind === 'stream' && this.#body.length === null && !expects && !this.#begun()) {
      // A chunk that is malformed from the start is found out before an instance hears of it.
      void firstBytes(request).then(() => this.#route())
    } else this.#acquire(target)
  }

  #begun(): boolean {
    const { request } = this.#asked
    return request.readableLength > 0 || request.complete || request.destroyed
  }

  #keep(bytes: Buffer): void {
    if (this.#gone || this.#asked.response.headersSent) return this.#deps.budget.giveBack(this.#who, bytes.length)
    this.#body = { kind: 'kept', bytes }
    this.#route()
  }

  #acquire(target: Target): void {
    const mayGo = this.#turns.next(this.#bounds(target), () => {
      this.#giveUp()
      this.#route()
    })
    if (mayGo === null) return this.#answer(unavailable(TOO_MANY))
    if (mayGo) return this.#open(target)
    const timer = this.#deps.clock.after(this.#endOfWaiting() - this.#deps.clock.now(), () =>
      this.#answer(unavailable(TOO_MANY))
    )
    this.#giveUp = () => timer.cancel()
  }

  #bounds({ workspace }: Target): (readonly [turns: Turns, name: string])[] {
    const { ofUser, ofWorkspace, ofGuests, ofGuestsAt } = this.#deps.turns
    const { service, visitor, client } = this.#asked
    const bounds: (readonly [Turns, string])[] = [[ofUser, this.#who]]
    if (workspace === null) return bounds
    if (service.scope !== 'user' && visitor.user?.startsWith('user:') !== true) {
      if (client !== null) bounds.push([ofGuestsAt, `${workspace} ${client}`])
      bounds.push([ofGuests, workspace])
    }
    bounds.push([ofWorkspace, workspace])
    return bounds
  }

  #open(target: Target): void {
    const stream = this.#deps.pools.acquire(target.home)
    if (!(stream instanceof Promise)) return this.#send(target, stream)
    stream.then(
      (opened) => this.#opened(target, opened),
      (error: unknown) => {
        if (this.#gone) return
        if (hasCode(error, 'BUSY', 'CLOSED')) return this.#answer(errorPage(error))
        this.#lost(target, { sent: false, reused: false, error })
      }
    )
  }

  /** Opening took a while: everything that was looked at before is looked at again. */
  #opened(target: Target, opened: PooledStream): void {
    if (this.#gone) return this.#deps.pools.release(target.home, opened.stream)
    if (opened.stream.destroyed) {
      return this.#lost(target, { sent: false, reused: opened.reused, error: new Error('the stream was closed') })
    }
    if (!this.#isStill(target)) {
      this.#deps.pools.release(target.home, opened.stream)
      return this.#route()
    }
    this.#send(target, opened)
  }

  #isStill(target: Target): boolean {
    const place = this.#placeNow()
    if (place === null) return target.workspace === null
    return place.state === 'serving' && place.home === target.home && place.epoch === target.epoch
  }

  #send(target: Target, { stream, reused }: PooledStream): void {
    const { workspaces, pools, clock, uploads } = this.#deps
    const { workspace } = target
    const leave = workspace === null ? () => undefined : workspaces.enter(workspace, () => stream.destroy())
    this.#giveUp = forward(
      clock,
      {
        request: this.#asked.request,
        response: this.#asked.response,
        upgrade: this.#asked.upgrade,
        expects: this.#asked.expects,
        headers: linesOn(this.#deps.routes, stream, targetLines(this.#asked.headers, target)),
        body: this.#body,
        tap: workspace === null || this.#sent > 0 ? null : () => uploads.tap(workspace),
        stream,
        servedBy: target.homeName,
        setCookie: this.#asked.visitor.setCookie
      },
      this.#options,
      {
        onMoved: () => this.#moved(target),
        onLost: (error) => this.#lost(target, { sent: true, reused, error }),
        onUpgrade: (client, instance) => this.#joined(target, client, instance),
        onFree: () => pools.release(target.home, stream),
        onEnd: leave
      }
    )
  }

  #joined(target: Target, client: Duplex, instance: Duplex): void {
    this.#asked.onUpgrade()
    client.once('close', () => this.#turns.leave())
    this.#deps.sockets.join({
      client,
      instance,
      workspace: target.workspace,
      webSocket: this.#asked.request.headers.upgrade?.toLowerCase() === 'websocket',
      stays: () => this.#isStill(target) && this.#asked.mayStay()
    })
  }

  #moved(target: Target): void {
    if (this.#gone) return
    if (maySendElsewhere(stateOf(this.#body))) this.#pause(target, unavailable(TITLES.moving))
    else this.#answer(movedMeanwhile)
  }

  #lost(target: Target, loss: { readonly sent: boolean; readonly reused: boolean; readonly error: unknown }): void {
    const { workspaces, log } = this.#deps
    log.debug({ home: target.home, sent: loss.sent, error: messageOf(loss.error) }, 'a request lost its home')
    if (!isBreach(loss.error)) workspaces.suspect(target.home)
    if (this.#gone) return
    if (loss.sent) this.#sent += 1
    const state = stateOf(this.#body)
    if (isBreach(loss.error)) return this.#answer(lostHome('unsafe'))
    const page = lostHome(this.#sent > 0 ? 'unsafe' : 'safe')
    const raw = this.#asked.request.rawHeaders
    const next = afterLoss({ method: this.#method, raw, body: state, timesSent: this.#sent }, loss)
    if (next === 'answer' || this.#asked.response.headersSent) this.#answer(page)
    else if (next === 'again') this.#route()
    else this.#pause(target, page)
  }

  /** Waits for another place than this one, or a little while, whichever comes first; then tries again. */
  #pause(tried: Target, page: Page): void {
    const now = this.#deps.clock.now()
    const end = this.#endOfWaiting()
    if (now >= end) return this.#answer(page)
    if (!this.#isStill(tried)) return this.#route()
    const until = Math.min(end, now + pauseMs(this.#pauses))
    this.#pauses += 1
    if (tried.workspace === null) {
      const timer = this.#deps.clock.after(until - now, () => this.#route())
      this.#giveUp = () => timer.cancel()
      return
    }
    this.#giveUp = this.#deps.hold.wait(tried.workspace, {
      until,
      client: this.#asked.client,
      first: true,
      ready: () => !this.#isStill(tried),
      done: (release) => {
        if (release === 'go-on' || release === 'late') this.#route()
        else this.#answer(refusedWait(release))
      }
    })
  }

  #failed(error: unknown, what: string): void {
    const page = errorPage(error)
    if (page.status === 500) this.#deps.log.error({ error, service: this.#asked.service.name }, what)
    if (!this.#gone) this.#answer(page)
  }

  #answer(page: Page): void {
    const { response, request, expects } = this.#asked
    if (expects && !request.complete) response.shouldKeepAlive = false
    answer(response, page)
  }
}

const TOO_MANY = 'Too many requests are under way already'

/** Is the instance there, but does not speak HTTP? */
const isBreach = (error: unknown): boolean =>
  hasCode(error, 'PROTOCOL_VIOLATION') ||
  (error instanceof Error && 'code' in error && String(error.code).startsWith('HPE_'))

const refusedWait = (release: Exclude<Release, 'go-on' | 'late'>): Page =>
  unavailable(release === 'full' ? 'Too many requests wait already' : 'This entrance is closing')
