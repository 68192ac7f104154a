import { NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { SignedOwnership } from '../core/records.ts'
import type { DirectorDeps } from './director-deps.ts'

const LET_GO_MS = 15_000

/** @throws NodeDaemonError `BUSY` nothing is promoted now */
export function checkNotHeld({ hold }: Pick<DirectorDeps, 'hold'>): void {
  if (hold.reason !== null) throw new NodeDaemonError('BUSY', `nothing is promoted now: ${hold.reason}`)
}

/** Why nobody takes the place of a home; null where somebody does. One that is there but cannot serve is always replaced. */
export function whyNobody(
  { hold, instances }: Pick<DirectorDeps, 'hold' | 'instances'>,
  gone: PeerIdText | null,
  successor: () => PeerIdText | null
): string | null {
  if (gone !== null && instances.isConnected(gone)) return null
  if (hold.reason !== null) return hold.reason
  return gone !== null && successor() === null ? 'its home is away, and nobody else can take it now' : null
}

/**
 * The seal does not stop a home that acknowledges by itself, or that users reach past the front door: it has to end that before another takes its place.
 *
 * @throws NodeDaemonError it does not say that it has
 */
export async function letGo(
  { outlivesSeal, instances }: Pick<DirectorDeps, 'outlivesSeal' | 'instances'>,
  home: PeerIdText,
  { value, bytes }: SignedOwnership
): Promise<void> {
  if (!outlivesSeal(value.workspace)) return
  await instances.order(home, { kind: 'release', ownership: bytes }, LET_GO_MS)
}
