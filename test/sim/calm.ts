import type { Checks } from './checks.ts'
import type { Federation } from './federation.ts'
import type { Plan } from './plan.ts'
import type { SimulatedUser } from './users.ts'

/** A handover may hold a request so long. */
const PAUSE_MS = 250
/** From the moment in which another home may take over until it serves. */
const TAKEOVER_MS = 1500

/** I8, I9, I11: what users may notice where one thing alone happens. */
export function hardlyNoticed(
  { coordinator }: Federation,
  plan: Plan,
  users: readonly SimulatedUser[],
  checks: Checks
): void {
  const { weather, settings } = plan
  const travelMs = 20 * (weather.latencyMs + weather.jitterMs) + 200_000 / weather.bytesPerMs
  const deadMs = settings.acknowledge === 'local' ? 1.04 * settings.leaseMs : settings.failoverAfterMs
  for (const user of users) {
    const atMost = (most: number): void => {
      if (user.slowestMs > most)
        checks.add('I9', `a request of ${user.id} took ${user.slowestMs} ms, more than ${most}`)
    }
    const failed = (count: number, of: string): void => {
      if (count > 0) checks.add('I8', `${count} ${of} of ${user.id} failed`)
    }
    switch (plan.kind) {
      case 'calm':
        failed(user.failed, 'requests')
        atMost(PAUSE_MS + travelMs)
        break
      case 'death':
        failed(user.failed - user.unsafe, 'requests')
        atMost(deadMs + TAKEOVER_MS + travelMs)
        break
      case 'restart':
        failed(user.failed - user.unsafe, 'requests')
        break
      case 'full':
        failed(user.failedReads, 'reads')
    }
  }
  const moved = [...(coordinator.core?.table.all() ?? [])].filter(({ signed }) => signed.value.epoch > 1)
  if (plan.kind === 'restart' && moved.length > 0) {
    checks.add('I8', `${moved.length} workspaces moved, though their homes said that they come back`)
  }
}
