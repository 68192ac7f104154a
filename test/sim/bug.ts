/** A place in the production's code, and what stands there instead. */
export interface Edit {
  /** Below `src/`. */
  readonly file: string
  /** Stands there exactly once. */
  readonly find: string
  readonly put: string
}

/** A mistake in the production's code that the simulation must find. */
export interface Bug {
  readonly name: string
  /** More than one where several guards stand before the same thing: the mistake is to have none. */
  readonly edits: readonly Edit[]
  /** A seed under which it is found, with the kind of its run (see `planOf`). */
  readonly caughtBy: string
}
