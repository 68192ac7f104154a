import { readdirSync, readFileSync } from 'node:fs'

/** One process as the kernel tells of it; see proc(5). */
export interface ProcessFacts {
  readonly parent: number
  /** In ticks since the machine started: with the number, it names one process for ever. */
  readonly startedAt: string
}

/** Null where there is none with this number, or only what its parent has not yet taken note of. */
export function factsOf(pid: number): ProcessFacts | null {
  const text = read(`/proc/${pid}/stat`)
  if (text === null) return null
  // The name of the program, in brackets, may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state = '', parent = ''] = fields
  return state === 'Z' || state === 'X' ? null : { parent: Number(parent), startedAt: fields[19] ?? '' }
}

/** All processes of this machine, as one look at them tells. */
export class ProcessTable {
  readonly #children = new Map<number, number[]>()

  constructor() {
    for (const name of readdirSync('/proc')) {
      const pid = Number(name)
      const facts = Number.isInteger(pid) ? factsOf(pid) : null
      if (facts === null) continue
      const siblings = this.#children.get(facts.parent)
      if (siblings === undefined) this.#children.set(facts.parent, [pid])
      else siblings.push(pid)
    }
  }

  childrenOf(pid: number): readonly number[] {
    return this.#children.get(pid) ?? []
  }

  /** The process and all that descend from it. */
  tree(root: number): number[] {
    const found = [root]
    for (const pid of found) found.push(...this.childrenOf(pid))
    return found
  }
}

/** What processes take of this machine. */
export interface Taken {
  /** In bytes, and their own: not what they share with others, such as the text of programs. */
  readonly memoryBytes: number
  readonly threads: number
}

export function takenBy(pids: readonly number[]): Taken {
  let [memoryBytes, threads] = [0, 0]
  for (const pid of pids) {
    const status = read(`/proc/${pid}/status`) ?? ''
    for (const [, kib] of status.matchAll(/^Rss(?:Anon|Shmem):\s+(\d+) kB$/gm)) memoryBytes += Number(kib) * 1024
    threads += Number(/^Threads:\s+(\d+)$/m.exec(status)?.[1] ?? 0)
  }
  return { memoryBytes, threads }
}

/** What the processes have had written to disks since they began, in bytes. */
export function writtenBy(pids: readonly number[]): number {
  return pids.reduce(
    (sum, pid) => sum + Number(/^write_bytes: (\d+)$/m.exec(read(`/proc/${pid}/io`) ?? '')?.[1] ?? 0),
    0
  )
}

/** Another one after each start of the machine. */
export const bootId = (): string => (read('/proc/sys/kernel/random/boot_id') ?? '').trim()

/** Null where the process is gone, or may not be looked at. */
function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
