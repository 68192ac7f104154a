/** What an instance holds, and what of it is not proven durable elsewhere. */
export interface InstanceFigures {
  readonly home: number
  readonly standby: number
  readonly users: number
  readonly usedBytes: number
  readonly unsyncedBytes: number
  readonly unsyncedAgeMs: number
}

export const NO_FIGURES: InstanceFigures = {
  home: 0,
  standby: 0,
  users: 0,
  usedBytes: 0,
  unsyncedBytes: 0,
  unsyncedAgeMs: 0
}

/** Why the machine should not be switched off now; null where nothing speaks against it. */
export function whyUnsafe({ home, unsyncedAgeMs }: InstanceFigures, connected: boolean): string | null {
  if (unsyncedAgeMs > 0) return 'changes of users may not be durable elsewhere yet'
  if (home === 0) return null
  const many = home === 1 ? '1 workspace' : `${home} workspaces`
  const mend = connected ? '"node-daemon drain" hands over without a pause' : '"node-daemon stop" saves what it can'
  return `it is the home of ${many}: ${mend} (nothing acknowledged would be lost)`
}
