import { z } from 'zod'
import type { PeerIdText } from '../core/ids.ts'
import { KeyedMutex } from '../core/mutex.ts'
import { parse } from '../core/parse.ts'
import type { DrainWish } from '../handover/drain-driver.ts'
import type { ControlChange, ControlStore } from '../store/control-store.ts'

const RUNNING = 'drain/'
const DRAINED = 'drained/'

/** A drain under way: what is wished, with the time that was left when it was kept, and by whom. */
export interface RunningDrain {
  readonly peer: PeerIdText
  readonly wish: DrainWish
  readonly actor: string
}

export interface DrainedInstance {
  readonly peer: PeerIdText
  /** It takes nothing until it is resumed, also when its process starts anew. */
  readonly stays: boolean
}

const running = z.object({
  actor: z.string(),
  wish: z.object({
    deadlineMs: z.number(),
    to: z.string().nullable(),
    toRepository: z.boolean(),
    exits: z.boolean()
  })
})
/** A number alone, a time of day, was written by versions in which only an instance's own drain ended like this. */
const drained = z.union([z.number().transform(() => ({ stays: false })), z.object({ stays: z.boolean() })])

const textOf = (value: Uint8Array): unknown => JSON.parse(Buffer.from(value).toString('utf8'))

/** Which instances drain and which are drained, as it stays over a restart of the coordinator. Each change is durable on return. */
export class DrainRows {
  readonly #store: ControlStore
  readonly #writes = new KeyedMutex<PeerIdText>()

  constructor(store: ControlStore) {
    this.#store = store
  }

  async running(): Promise<RunningDrain[]> {
    const found: RunningDrain[] = []
    for await (const { key, value } of this.#store.list(RUNNING)) {
      const { actor, wish } = running.parse(textOf(value))
      const to = wish.to === null ? null : parse.peer(wish.to)
      found.push({ peer: parse.peer(key.slice(RUNNING.length)), actor, wish: { ...wish, to } })
    }
    return found
  }

  async drained(): Promise<DrainedInstance[]> {
    const found: DrainedInstance[] = []
    for await (const { key, value } of this.#store.list(DRAINED)) {
      found.push({ peer: parse.peer(key.slice(DRAINED.length)), stays: drained.parse(textOf(value)).stays })
    }
    return found
  }

  /** Keeps it, unless it has ended by the time at which this is written. */
  keepRunning({ peer, wish, actor }: RunningDrain, isUnderWay: () => boolean): Promise<void> {
    return this.#writes.run(peer, async () => {
      if (!isUnderWay()) return
      await this.#store.put(RUNNING + peer, Buffer.from(JSON.stringify({ actor, wish })), { ifRevision: 'any' })
    })
  }

  /** The drain has ended. Its row stays where that is another one's by the time at which it would be removed. */
  ended(peer: PeerIdText, isLast: () => boolean): Promise<void> {
    return this.#writes.run(peer, async () => {
      if (isLast()) await this.#store.remove(RUNNING + peer, { ifRevision: 'any' })
    })
  }

  /** Its drain has ended well, and does not go on after a restart, unless another one is under way by then. */
  keepDrained({ peer, stays }: DrainedInstance, isUnderWay: () => boolean): Promise<void> {
    const value = Buffer.from(JSON.stringify({ stays }))
    return this.#writes.run(peer, async () => {
      const ended: ControlChange[] = isUnderWay() ? [] : [{ kind: 'remove', key: RUNNING + peer, ifRevision: 'any' }]
      await this.#store.transact([{ kind: 'put', key: DRAINED + peer, value, ifRevision: 'any' }, ...ended])
    })
  }

  /** The instance takes workspaces again: no drain of it goes on after a restart, but for one that is under way by then. */
  serves(peer: PeerIdText, isUnderWay: () => boolean): Promise<void> {
    return this.#writes.run(peer, async () => {
      const keys = isUnderWay() ? [DRAINED + peer] : [DRAINED + peer, RUNNING + peer]
      await this.#store.transact(keys.map((key) => ({ kind: 'remove', key, ifRevision: 'any' })))
    })
  }
}
