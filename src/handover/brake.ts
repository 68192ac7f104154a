import type { Clock, Instant, TimerHandle } from '../core/clock.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { StopIntent } from '../wire/control.ts'
import {
  type Attendance,
  CLEAR,
  confirmed,
  judge,
  type Loss,
  look,
  type MassLoss,
  type MassLossPolicy,
  stillMissing
} from './mass-loss.ts'
import type { PromotionHold } from './promotion-hold.ts'

const LOOK_EVERY_MS = 500

/** How the brake came off. */
export type BrakeRelease = 'returned' | 'confirmed'

export interface BrakeDeps {
  readonly hold: PromotionHold
  /** The instances whose control stream is open. */
  readonly sessions: () => readonly {
    readonly peer: PeerIdText
    readonly heardAt: Instant
    readonly intent: StopIntent | null
  }[]
  /** Is it a member that serves: not drained, not revoked? */
  readonly counts: (peer: PeerIdText) => boolean
  readonly onEngaged: (loss: Loss) => void
  readonly onReleased: (release: BrakeRelease) => void
  readonly clock: Clock
}

export interface BrakeOptions extends MassLossPolicy {
  /** An instance that was not heard for so long may be lost like those whose connection has ended already. */
  readonly quietMs: number
}

/** Holds promotions where too many instances vanish at once. Asked before a death is acted upon. */
export class Brake {
  readonly #deps: BrakeDeps
  readonly #options: BrakeOptions
  readonly #vanished = new Map<PeerIdText, Instant>()
  #state: MassLoss = CLEAR
  #timer: TimerHandle | null = null

  constructor(deps: BrakeDeps, options: BrakeOptions) {
    this.#deps = deps
    this.#options = options
    deps.hold.onChange(() => this.#confirmed())
  }

  get engaged(): boolean {
    return this.#state.state !== 'clear'
  }

  /** Its connection is lost, and it had said nothing. At the coordinator's start: it served, and is awaited until `at`. */
  vanished(peer: PeerIdText, at: Instant = this.#deps.clock.now()): void {
    this.#vanished.set(peer, at)
  }

  returned(peer: PeerIdText): void {
    this.#vanished.delete(peer)
  }

  /** An instance is about to be taken for dead. Holds promotions from now on where that is one of too many. */
  judge(): void {
    const { clock, onEngaged } = this.#deps
    if (this.engaged) return
    this.#forgetOld()
    const attendance = this.#attendance()
    const next = judge(this.#state, attendance, clock.now(), this.#options)
    if (next.state === 'clear') return
    // Those that are only quiet so far must count until they are heard again.
    for (const [peer, at] of attendance.vanished) this.#vanished.set(peer, at)
    this.#state = next
    const loss = stillMissing(next, attendance)
    this.#hold(loss)
    onEngaged(loss)
    this.#lookLater()
  }

  close(): void {
    this.#timer?.cancel()
  }

  #attendance(): Attendance {
    const { sessions, counts, clock } = this.#deps
    const oldest = clock.now() - this.#options.quietMs
    const here = sessions().filter(({ peer, intent }) => intent === null && counts(peer))
    const serving = new Set(here.filter(({ heardAt }) => heardAt > oldest).map(({ peer }) => peer))
    const quiet = here.filter(({ heardAt }) => heardAt <= oldest)
    const away = [...this.#vanished].filter(([peer]) => counts(peer) && !serving.has(peer))
    return {
      serving,
      vanished: new Map([...quiet.map(({ peer, heardAt }): [PeerIdText, Instant] => [peer, heardAt]), ...away])
    }
  }

  #forgetOld(): void {
    const oldest = this.#deps.clock.now() - this.#options.windowMs
    for (const [peer, at] of this.#vanished) if (at < oldest) this.#vanished.delete(peer)
  }

  #lookLater(): void {
    this.#timer = this.#deps.clock.after(LOOK_EVERY_MS, () => this.#look())
  }

  #look(): void {
    if (this.#state.state === 'clear') return
    const attendance = this.#attendance()
    this.#state = look(this.#state, attendance, this.#deps.clock.now(), this.#options)
    if (this.#state.state === 'clear') return this.#release('returned')
    this.#hold(stillMissing(this.#state, attendance))
    this.#lookLater()
  }

  #hold({ missing, known }: Loss): void {
    this.#deps.hold.hold(
      'mass-loss',
      `${missing} of ${known} instances vanished at once, which may be the fault of this coordinator's own network`
    )
  }

  #confirmed(): void {
    if (this.#state.state === 'clear' || this.#deps.hold.holds('mass-loss')) return
    this.#state = confirmed(this.#state)
    this.#vanished.clear()
    this.#release('confirmed')
  }

  #release(release: BrakeRelease): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#deps.onReleased(release)
    this.#deps.hold.release('mass-loss')
  }
}
