import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bootId, environOf, factsOf, groupOf } from './proc.ts'
import type { SendSignal } from './running.ts'

/** How a process is known again after the daemon was killed: numbers alone are given anew. */
interface Mark {
  readonly pid: number
  readonly startedAt: string
  readonly boot: string
  /** Is it the first of its group? */
  readonly group: boolean
  /** The folder of its workspace: what it starts finds it in its environment. Null where that was not noted. */
  readonly dir: string | null
}

const nameOf = (pid: number): string => `process-${pid}.json`
const MARK = /^process-\d+\.json$/

/** Notes in the folder of an app which process it is. Does nothing for one that has ended. */
export async function markRunning(folder: string, pid: number | null, group: boolean, dir: string): Promise<void> {
  const facts = pid === null ? null : factsOf(pid)
  if (pid === null || facts === null) return
  const mark: Mark = { pid, startedAt: facts.startedAt, boot: bootId(), group, dir }
  await writeFile(join(folder, nameOf(pid)), JSON.stringify(mark), { mode: 0o600 })
}

export async function unmark(folder: string, pid: number): Promise<void> {
  await rm(join(folder, nameOf(pid)), { force: true })
}

/** Ends what an earlier run of the daemon has left running below its folder of apps. Resolves with how many there were. */
export async function endLeftovers(apps: string, send: SendSignal): Promise<number> {
  let ended = 0
  for (const entry of await readdir(apps, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue
    const folder = join(apps, entry.name)
    for (const name of (await readdir(folder)).filter((one) => MARK.test(one))) {
      const mark = await readMark(join(folder, name))
      const left = mark === null ? [] : leftOf(mark)
      for (const one of left) send(one, 'SIGKILL')
      if (left.length > 0) ended++
      await rm(join(folder, name), { force: true })
    }
  }
  return ended
}

/**
 * What to send a signal to: nothing where all has ended. The first process of a group may have ended with the daemon, and others of it
 * not: they are known by the folder for which they were started.
 */
function leftOf({ pid, startedAt, boot, group, dir }: Mark): number[] {
  if (boot !== bootId()) return []
  if (factsOf(pid)?.startedAt === startedAt) return group ? [-pid, pid] : [pid]
  if (!group || dir === null) return []
  return groupOf(pid).filter((one) => environOf(one).includes(`NODE_DAEMON_DIR=${dir}`))
}

/** Null where it was cut off while it was written. */
async function readMark(path: string): Promise<Mark | null> {
  try {
    const { pid, startedAt, boot, group, dir } = JSON.parse(await readFile(path, 'utf8')) as Partial<Mark>
    if (!Number.isInteger(pid) || typeof startedAt !== 'string' || typeof boot !== 'string') return null
    return { pid: Number(pid), startedAt, boot, group: group === true, dir: dir ?? null }
  } catch {
    return null
  }
}
