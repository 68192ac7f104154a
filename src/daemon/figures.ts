/** What an instance has to tell of its workspaces. */
export interface InstanceFigures {
  readonly home: number
  readonly standby: number
  readonly users: number
  readonly usedBytes: number
  readonly unsyncedBytes: number
  readonly unsyncedAgeMs: number
  /** Why a snapshot is postponed. */
  readonly postponed: string | null
}

export const NO_FIGURES: InstanceFigures = {
  home: 0,
  standby: 0,
  users: 0,
  usedBytes: 0,
  unsyncedBytes: 0,
  unsyncedAgeMs: 0,
  postponed: null
}

/** Why the machine should not be switched off now; null where it may be. */
export function unsafeReason(figures: InstanceFigures, connected: boolean): string | null {
  if (figures.postponed !== null) return `a snapshot is postponed: ${figures.postponed}`
  if (figures.unsyncedAgeMs > 0) return 'changes of users may not be durable elsewhere yet'
  if (figures.home === 0) return null
  const many = figures.home === 1 ? '1 workspace' : `${figures.home} workspaces`
  const way = connected ? '"node-daemon drain" hands over without a pause' : '"node-daemon stop" saves what it can'
  return `it is the home of ${many}: ${way} (nothing acknowledged would be lost)`
}
