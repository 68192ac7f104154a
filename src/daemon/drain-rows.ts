import { z } from 'zod'
import type { PeerIdText } from '../core/ids.ts'
import { KeyedMutex } from '../core/mutex.ts'
import { parse } from '../core/parse.ts'
import type { DrainWish } from '../handover/drain-driver.ts'
import type { ControlStore } from '../store/control-store.ts'

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

  ended(peer: PeerIdText): Promise<void> {
    return this.#writes.run(peer, () => this.#store.remove(RUNNING + peer, { ifRevision: 'any' }))
  }

  keepDrained({ peer, stays }: DrainedInstance): Promise<void> {
    return this.#writes.run(peer, async () => {
      await this.#store.transact([
        { kind: 'put', key: DRAINED + peer, value: Buffer.from(JSON.stringify({ stays })), ifRevision: 'any' },
        { kind: 'remove', key: RUNNING + peer, ifRevision: 'any' }
      ])
    })
  }

  /** The instance takes workspaces again. */
  serves(peer: PeerIdText): Promise<void> {
    return this.#writes.run(peer, () => this.#store.remove(DRAINED + peer, { ifRevision: 'any' }))
  }
}
