import { join } from 'node:path'
import type { Clock } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import { verifyCertificate } from '../handover/certificate.ts'
import type { DataFolder } from '../store/state-folder.ts'

/**
 * Checks an exit certificate from its signatures alone and keeps it in `certificates/`, durably.
 * `path` is null, and `problems` says why, where it does not prove that this instance may go.
 */
export async function keepCertificate(
  folder: DataFolder,
  clock: Clock,
  bytes: Uint8Array,
  instance: string
): Promise<{ readonly path: string | null; readonly problems: readonly string[] }> {
  try {
    const report = await verifyCertificate(bytes)
    const problems = [...report.problems, ...(report.instance === instance ? [] : ['it is for another instance'])]
    if (problems.length > 0) return { path: null, problems }
    const name = `certificates/${new Date(clock.wall()).toISOString().replaceAll(':', '-')}.json`
    await folder.writeAtomic(name, bytes, { mode: 0o644 })
    return { path: join(folder.path, name), problems }
  } catch (error) {
    return { path: null, problems: [messageOf(error)] }
  }
}
