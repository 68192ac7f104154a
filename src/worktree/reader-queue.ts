import { type Question, SMALL_BYTES } from './reader-messages.ts'

const BUNCH_QUESTIONS = 64
const BUNCH_BYTES = 1024 * 1024

/** A question that somebody waits for. */
export interface Waiting {
  readonly question: Question
  /** Nobody waits any more. */
  readonly settled: boolean
}

/** Whether the answer brings the bytes of a small file, of a large one, or none. */
export type Weight = 'none' | 'small' | 'large'

export function weightOf(question: Question): Weight {
  if (question.kind !== 'read') return 'none'
  return question.sizeHint > SMALL_BYTES ? 'large' : 'small'
}

/** Questions in their order, each weight by itself: where there is no room for one, the others pass it. */
export class ReaderQueue<T extends Waiting> {
  readonly #queues: Record<Weight, T[]> = { none: [], small: [], large: [] }

  add(one: T): void {
    this.#queues[weightOf(one.question)].push(one)
  }

  /** The next large file; null where there is none. */
  large(): T | null {
    const { large } = this.#queues
    for (let next = large.shift(); next !== undefined; next = large.shift()) if (!next.settled) return next
    return null
  }

  /** Questions that travel together, up to a number and a size of files; none where none wait. */
  bunch(options: { readonly files: boolean }): T[] {
    const asked = this.#taken('none', BUNCH_QUESTIONS)
    return options.files ? [...asked, ...this.#taken('small', BUNCH_QUESTIONS - asked.length)] : asked
  }

  /** Empties the queue. */
  clear(): T[] {
    return Object.values(this.#queues).flatMap((queue) => queue.splice(0))
  }

  #taken(weight: Weight, most: number): T[] {
    const queue = this.#queues[weight]
    const taken: T[] = []
    let bytes = 0
    let count = 0
    for (const one of queue) {
      const size = one.settled || one.question.kind !== 'read' ? 0 : one.question.sizeHint
      if (taken.length === most || (taken.length > 0 && bytes + size > BUNCH_BYTES)) break
      bytes += size
      count++
      if (!one.settled) taken.push(one)
    }
    queue.splice(0, count)
    return taken
  }
}
