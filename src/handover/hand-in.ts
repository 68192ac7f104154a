import { seal } from '../core/envelope.ts'
import type { WorkspaceId } from '../core/ids.ts'
import { headRecord } from '../core/records.ts'
import { BlockSender } from '../sync/block-sender.ts'
import type { Worktree } from '../worktree/worktree.ts'
import type { ResidentDeps } from './resident-deps.ts'
import type { ResidentRecord } from './resident-record.ts'

interface Deps extends Pick<ResidentDeps, 'remote' | 'identity' | 'clock' | 'log'> {
  readonly workspace: WorkspaceId
  readonly worktree: Worktree
}

/**
 * Hands in what a home has on disk and had not published, as a diverged head: durable in the repository on return.
 *
 * @param place `beside` the last head where that one's epoch is not sealed: what came after it could be published
 */
export async function handInDiverged(
  { workspace, worktree, remote, identity, clock, log }: Deps,
  { head: last, ownership, suspect }: ResidentRecord,
  place: 'after' | 'beside',
  signal: AbortSignal
): Promise<void> {
  const sender = new BlockSender({ remote, workspace, isWaitedFor: () => false, clock, log, signal })
  try {
    // After a power loss a file may look as it did and hold something else.
    const options = { signal, forget: suspect }
    const snapshot = await worktree.snapshot('all', (block) => sender.offer(block), options)
    if (last === null ? snapshot.files === 0 : last.value.root.equals(snapshot.root)) return
    const inline = await sender.finish()
    const head = await seal(
      headRecord,
      {
        workspace,
        epoch: ownership.value.epoch,
        sequence: (last?.value.sequence ?? 0) + (place === 'after' ? 1 : 0),
        root: snapshot.root,
        previous: (place === 'after' ? last?.cid : last?.value.previous) ?? null,
        createdAtMs: clock.wall(),
        files: snapshot.files,
        bytes: snapshot.bytes,
        unsettled: snapshot.unsettled
      },
      identity
    )
    await (await remote(signal)).publishDiverged(head, inline)
    await snapshot.commit()
    log.warn(
      { workspace, head: head.cid.toString() },
      'what was not published before another home took over is kept as a diverged head'
    )
  } finally {
    await sender.close()
  }
}

/** Reads all files: after a power loss one may look as it did and hold something else. */
export async function readAgain(worktree: Worktree, signal: AbortSignal): Promise<void> {
  const snapshot = await worktree.snapshot('all', () => undefined, { signal, forget: true })
  await snapshot.commit()
}
