import { seal } from '../core/envelope.ts'
import type { WorkspaceId } from '../core/ids.ts'
import { headRecord, type SignedHead } from '../core/records.ts'
import type { Snapshot } from '../worktree/worktree.ts'
import type { HomeSyncDeps } from './home-deps.ts'

/** A home, and the newest head that it knows. */
export interface HomeTip {
  readonly workspace: WorkspaceId
  readonly epoch: number
  readonly tip: SignedHead | null
}

/** The head of a snapshot that follows the tip. */
export function sealNextHead(
  { identity, clock }: Pick<HomeSyncDeps, 'identity' | 'clock'>,
  { workspace, epoch, tip }: HomeTip,
  { root, files, bytes, unsettled }: Snapshot
): Promise<SignedHead> {
  const sequence = (tip?.value.sequence ?? 0) + 1
  const previous = tip?.cid ?? null
  const createdAtMs = clock.wall()
  return seal(
    headRecord,
    { workspace, epoch, sequence, root, previous, createdAtMs, files, bytes, unsettled },
    identity
  )
}

/** The newest head that the repository has, where this home made it in its epoch and does not know it. */
export async function ownNewerTip(
  { remote, identity }: Pick<HomeSyncDeps, 'remote' | 'identity'>,
  { workspace, epoch, tip: known }: HomeTip,
  signal: AbortSignal
): Promise<SignedHead | null> {
  const tip = await (await remote(signal)).tip(workspace)
  if (tip === null || tip.value.sequence <= (known?.value.sequence ?? 0)) return null
  return tip.signer === identity.peerId && tip.value.epoch === epoch ? tip : null
}
