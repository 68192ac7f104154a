import { readdirSync, readFileSync, readlinkSync, statfsSync, statSync } from 'node:fs'
import { HOME_INSIDE } from './sandbox.ts'

/** Where an app in a sandbox finds folders that lie in memory. */
const SCRATCH = ['/tmp', '/dev/shm', HOME_INSIDE] as const
const BLOCK_BYTES = 512
/** Of one app, at one look: the daemon does nothing else meanwhile. */
const DESCRIPTORS_MAX = 20_000

/** Memory in files, of the whole machine, in bytes: no app holds more of it. */
export function sharedMemoryOfAll(): number {
  return Number(/^Shmem:\s+(\d+) kB$/m.exec(tried(() => readFileSync('/proc/meminfo', 'utf8')) ?? '')?.[1] ?? 0) * 1024
}

/**
 * The memory in files that processes hold, mapped or not, in bytes: files that have only a descriptor, and the folders in
 * memory of the sandbox whose first process is `root`; null where there is none. Of processes with too many descriptors to
 * look at, any could hold what the machine does: that is told then.
 */
export function memoryInFiles(pids: readonly number[], root: number | null): number {
  const files = new Map<string, number>()
  let left = DESCRIPTORS_MAX
  for (const pid of pids) {
    const descriptors = tried(() => readdirSync(`/proc/${pid}/fd`)) ?? []
    left -= descriptors.length
    if (left < 0) return sharedMemoryOfAll()
    for (const descriptor of descriptors) {
      const path = `/proc/${pid}/fd/${descriptor}`
      if (tried(() => readlinkSync(path))?.startsWith('/memfd:') !== true) continue
      const facts = tried(() => statSync(path))
      if (facts !== null) files.set(`${facts.dev}:${facts.ino}`, facts.blocks * BLOCK_BYTES)
    }
  }
  const inFolders = root === null ? 0 : SCRATCH.reduce((sum, folder) => sum + usedOf(`/proc/${root}/root${folder}`), 0)
  return [...files.values()].reduce((sum, bytes) => sum + bytes, inFolders)
}

function usedOf(folder: string): number {
  const facts = tried(() => statfsSync(folder))
  return facts === null ? 0 : (facts.blocks - facts.bfree) * facts.bsize
}

/** Null where the process is gone, or may not be looked at. */
function tried<T>(look: () => T): T | null {
  try {
    return look()
  } catch {
    return null
  }
}
