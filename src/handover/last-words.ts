import { messageOf } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { Mutex } from '../core/mutex.ts'
import type { ControlStore } from '../store/control-store.ts'

/** `serving`: it said nothing of stopping. `restart`: it stopped, to be back soon. */
export const LAST_WORDS = ['serving', 'restart'] as const
export type LastWord = (typeof LAST_WORDS)[number]

const PREFIX = 'last-word/'

/**
 * What each instance that is awaited said last, over a restart of the coordinator: who served, and who was about to come
 * back. Who left, was drained or was taken for dead is not awaited any more.
 */
export class LastWords {
  readonly #store: ControlStore
  readonly #log: Logger
  readonly #writes = new Mutex()
  readonly #words: Map<PeerIdText, LastWord>

  private constructor(store: ControlStore, log: Logger, words: Map<PeerIdText, LastWord>) {
    this.#store = store
    this.#log = log
    this.#words = words
  }

  static async open({ store, log }: { readonly store: ControlStore; readonly log: Logger }): Promise<LastWords> {
    const words = new Map<PeerIdText, LastWord>()
    for await (const { key, value } of store.list(PREFIX)) {
      const word = LAST_WORDS.find((one) => one === Buffer.from(value).toString())
      if (word !== undefined) words.set(key.slice(PREFIX.length) as PeerIdText, word)
    }
    return new LastWords(store, log, words)
  }

  /** Is nobody awaited? */
  get isEmpty(): boolean {
    return this.#words.size === 0
  }

  of(peer: PeerIdText): LastWord | null {
    return this.#words.get(peer) ?? null
  }

  /**
   * Null: it is not awaited any more. Counts at once, and is durable a little later, in the order of the calls: a
   * coordinator that ends in between only judges the next loss by what it knew before.
   */
  note(peer: PeerIdText, word: LastWord | null): void {
    if (this.of(peer) === word) return
    if (word === null) this.#words.delete(peer)
    else this.#words.set(peer, word)
    const key = PREFIX + peer
    const write = async (): Promise<void> => {
      if (word === null) await this.#store.remove(key, { ifRevision: 'any' })
      else await this.#store.put(key, Buffer.from(word), { ifRevision: 'any' })
    }
    this.#writes.run(write).catch((error: unknown) => {
      this.#log.error({ peer, error: messageOf(error) }, 'the last word of an instance was not kept')
    })
  }

  /** Resolves once everything noted so far is durable. */
  settled(): Promise<void> {
    return this.#writes.run(async () => undefined)
  }
}
