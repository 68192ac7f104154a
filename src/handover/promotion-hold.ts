/** Why no instance may be promoted now. `mass-loss`: too many vanished at once. `old-backup`: the coordinator's state is older than what its members saw. */
export type HoldCause = 'mass-loss' | 'old-backup'

/**
 * Whether the death of an instance may change the home of a workspace now. Several parts may hold it, each for a cause
 * of its own; all of them must let go. Whoever holds keeps what it knows durably itself: this is memory only.
 */
export class PromotionHold {
  readonly #reasons = new Map<HoldCause, string>()
  readonly #listeners = new Set<() => void>()

  /** One line for people, all causes in it; null while nothing is held. */
  get reason(): string | null {
    return this.#reasons.size === 0 ? null : [...this.#reasons.values()].join('; ')
  }

  holds(cause: HoldCause): boolean {
    return this.#reasons.has(cause)
  }

  /** Nothing is promoted from now on. Held for this cause already: the new reason takes the place of the one before. */
  hold(cause: HoldCause, reason: string): void {
    if (this.#reasons.get(cause) === reason) return
    this.#reasons.set(cause, reason)
    this.#tell()
  }

  /** False where nothing was held for this cause. */
  release(cause: HoldCause): boolean {
    const held = this.#reasons.delete(cause)
    if (held) this.#tell()
    return held
  }

  /** An admin takes it upon himself: every cause is released. Those that there were. */
  confirm(): readonly HoldCause[] {
    const causes = [...this.#reasons.keys()]
    this.#reasons.clear()
    if (causes.length > 0) this.#tell()
    return causes
  }

  /** Called after each change of the reasons. The listener must not throw. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener)
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}
