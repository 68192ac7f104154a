import { join } from 'node:path'
import type { Clock } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import { statementOf, verifyCertificate } from '../handover/certificate.ts'
import type { DataFolder } from '../store/state-folder.ts'
import type { DrainReport } from '../wire/control.ts'

/** In the data folder: what the last drain has not proven, where it ended early. */
const UNPROVEN = 'unproven.json'

/** What an instance knows itself, for its certificate to be compared with. */
export interface Leaving {
  readonly instance: PeerIdText
  readonly federation: PeerIdText
  /** What it is home of, with the sequence of the newest published head; 0 before the first. */
  readonly homes: readonly { readonly workspace: WorkspaceId; readonly sequence: number }[]
}

/**
 * Checks an exit certificate, from its signatures and against what the instance knows, and keeps it in
 * `certificates/`, durably.
 * `path` is null, and `problems` says why, where it does not prove that this instance may go.
 */
export async function keepCertificate(
  folder: DataFolder,
  clock: Clock,
  bytes: Uint8Array,
  leaving: Leaving
): Promise<{ readonly path: string | null; readonly problems: readonly string[] }> {
  try {
    const report = await verifyCertificate(bytes)
    const problems = [...report.problems, ...(await unproven(bytes, leaving))]
    if (problems.length > 0) return { path: null, problems }
    const name = `certificates/${new Date(clock.wall()).toISOString().replaceAll(':', '-')}.json`
    await folder.writeAtomic(name, bytes, { mode: 0o644 })
    await folder.remove(UNPROVEN)
    return { path: join(folder.path, name), problems }
  } catch (error) {
    return { path: null, problems: [messageOf(error)] }
  }
}

/** Keeps the list of what a drain that ended early has not proven to be elsewhere, durably. Resolves with its path. */
export async function keepUnproven(
  { folder, clock }: { readonly folder: DataFolder; readonly clock: Clock },
  { reason, unproven: workspaces }: Pick<DrainReport, 'reason' | 'unproven'>
): Promise<string> {
  const list = { endedAt: new Date(clock.wall()).toISOString(), reason, workspaces }
  await folder.writeAtomic(UNPROVEN, `${JSON.stringify(list, null, 2)}\n`)
  return join(folder.path, UNPROVEN)
}

async function unproven(bytes: Uint8Array, { instance, federation, homes }: Leaving): Promise<string[]> {
  const statement = await statementOf(bytes, federation)
  if (statement.instance !== instance) return ['it is for another instance']
  const stated = new Map(statement.heads.map(({ workspace, sequence }) => [workspace, sequence]))
  return homes
    .filter(({ workspace, sequence }) => (stated.get(workspace) ?? 0) < sequence)
    .map(({ workspace }) => `it does not prove the newest state of workspace ${workspace}`)
}
