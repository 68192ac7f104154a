import { readdirSync, readFileSync } from 'node:fs'

/** One process as the kernel tells of it; see proc(5). */
export interface ProcessFacts {
  readonly parent: number
  readonly group: number
  /** In ticks since the machine started: with the number, it names one process for ever. */
  readonly startedAt: string
}

/** Null where there is none with this number, or only what its parent has not yet taken note of. */
export function factsOf(pid: number): ProcessFacts | null {
  const text = read(`/proc/${pid}/stat`)
  if (text === null) return null
  // The name of the program, in brackets, may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state = '', parent = '', group = ''] = fields
  return state === 'Z' || state === 'X'
    ? null
    : { parent: Number(parent), group: Number(group), startedAt: fields[19] ?? '' }
}

/** All processes of this machine, as one look at them tells. */
export class ProcessTable {
  readonly #children = new Map<number, number[]>()

  constructor() {
    for (const pid of allPids()) {
      const facts = factsOf(pid)
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

/** All processes of a group. */
export const groupOf = (group: number): number[] => allPids().filter((pid) => factsOf(pid)?.group === group)

/** What a process was given as its environment when its program began, each as `NAME=value`. */
export const environOf = (pid: number): string[] => (read(`/proc/${pid}/environ`) ?? '').split('\0')

const allPids = (): number[] => readdirSync('/proc').map(Number).filter(Number.isInteger)

/** What processes take of this machine, in bytes: what is their own, and not shared with others as the text of programs is. */
export interface Taken {
  readonly privateBytes: number
  /** Of memory in files, and memory without a file that processes share: as far as it is mapped, once for each of them. */
  readonly mappedBytes: number
  readonly threads: number
}

export function takenBy(pids: readonly number[]): Taken {
  const taken = { privateBytes: 0, mappedBytes: 0, threads: 0 }
  for (const pid of pids) {
    const status = read(`/proc/${pid}/status`) ?? ''
    const numberOf = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0)
    taken.privateBytes += numberOf('RssAnon') * 1024
    taken.mappedBytes += numberOf('RssShmem') * 1024
    taken.threads += numberOf('Threads')
  }
  return taken
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
