import type { FrontDoorService, FrontDoorStatusView } from '../console/front-door-routes.ts'
import type { Clock, TimerHandle } from '../core/clock.ts'
import type { FrontDoorReady } from './front-door-options.ts'
import type { InstanceEvent } from './options.ts'
import { time } from './views.ts'

/** The answer to who asks it to stop goes out first. */
const ANSWER_MS = 100

/** How a front door that is a process of its own is doing, by what it reports. */
export class FrontDoorStatus implements FrontDoorService {
  readonly #clock: Clock
  readonly #stop: () => void
  #view: FrontDoorStatusView
  #stopping: TimerHandle | null = null

  constructor(
    deps: { readonly clock: Clock; readonly stop: () => void },
    self: Pick<FrontDoorStatusView, 'name' | 'peerId' | 'dataFolder' | 'pid' | 'version'>
  ) {
    this.#clock = deps.clock
    this.#stop = deps.stop
    this.#view = {
      role: 'front-door',
      state: 'joining',
      code: null,
      http: null,
      addresses: [],
      safeToSwitchOff: true,
      reason: 'A front door keeps nothing of what users saved.',
      startedAt: time(deps.clock.wall()),
      ...self
    }
  }

  note(event: InstanceEvent | FrontDoorReady): void {
    switch (event.event) {
      case 'pending':
        this.#view = { ...this.#view, state: 'pending', name: event.name, code: event.code }
        return
      case 'approved':
        this.#view = { ...this.#view, state: 'approved', name: event.name, code: null }
        return
      case 'ready':
        this.#view = { ...this.#view, state: 'serving', http: event.http, addresses: [...event.addresses] }
        return
      case 'unreachable':
        this.#view = { ...this.#view, state: 'unreachable' }
    }
  }

  /** The coordinator is there, or there again. */
  connected(): void {
    this.#view = { ...this.#view, state: this.#view.http === null ? 'approved' : 'serving' }
  }

  status(): FrontDoorStatusView {
    return this.#view
  }

  stop(): { state: 'stopped' } {
    this.#stopping ??= this.#clock.after(ANSWER_MS, this.#stop)
    return { state: 'stopped' }
  }
}
