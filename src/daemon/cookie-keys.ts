import { z } from 'zod'
import type { Clock, Instant, TimerHandle } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import { Mutex } from '../core/mutex.ts'
import type { Random } from '../core/random.ts'
import type { CookieKeys } from '../routing/neighbours.ts'
import type { DataFolder } from '../store/state-folder.ts'

const FILE = 'cookie-keys'
/** What held the one key there was before keys changed. */
const OLD_FILE = 'cookie.key'
const KEY_BYTES = 32
const DAY_MS = 86_400_000
const EVERY_MS = 30 * DAY_MS
const KEEP_MS = 60 * DAY_MS
/** For how long cookies of a key are renewed that somebody has who is no front door any more. */
const EXPOSED_MS = DAY_MS
const LOOK_MS = 3_600_000
/** No look counts for more: a machine may have been suspended. */
const COUNTED_MS = 12 * LOOK_MS
/** What a message to a front door holds. There are more only where so many front doors were revoked in a day. */
const KEYS_MAX = 16

const schema = z.object({
  keys: z
    .array(z.object({ key: z.base64(), ms: z.number().min(0).default(0), exposed: z.boolean().default(false) }))
    .min(1)
    .max(KEYS_MAX)
})

interface KeptKey {
  readonly key: Uint8Array
  /** Running time since it was made; of one that is not the current one, since it was replaced. */
  readonly ms: number
  readonly exposed: boolean
}

export interface CookieKeyRingDeps {
  readonly folder: Pick<DataFolder, 'read' | 'writeAtomic' | 'remove'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/**
 * The keys that sign users' cookies, in `cookie-keys` (mode 0600): a new one every 30 days, those before it for 60 days
 * more; but for a day only where a front door that had it was revoked. That time is counted while this coordinator runs:
 * no time of day that is wrong takes a key away. A cookie lives for 30 days from its last use, so that nobody who comes
 * back in that time is shut out. The newest comes first.
 */
export class CookieKeyRing implements CookieKeys {
  readonly #deps: CookieKeyRingDeps
  readonly #listeners = new Set<() => void>()
  readonly #writes = new Mutex()
  #keys: readonly KeptKey[]
  #current: Uint8Array
  #lookedAt: Instant
  #timer: TimerHandle | null = null
  #closed = false

  private constructor(deps: CookieKeyRingDeps, keys: readonly KeptKey[]) {
    this.#deps = deps
    this.#keys = keys
    this.#current = currentOf(keys)
    this.#lookedAt = deps.clock.now()
  }

  /** Reads the keys, or makes the first. @throws NodeDaemonError `INTEGRITY` */
  static async open(deps: CookieKeyRingDeps): Promise<CookieKeyRing> {
    const keys = (await read(deps)) ?? (await adopted(deps)) ?? [fresh(deps)]
    await write(deps, keys)
    await deps.folder.remove(OLD_FILE)
    const ring = new CookieKeyRing(deps, keys)
    ring.#lookLater()
    return ring
  }

  get current(): Uint8Array {
    return this.#current
  }

  get previous(): readonly Uint8Array[] {
    return this.#keys.slice(1).map(({ key }) => key)
  }

  /** Calls back after each change of keys. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener)
  }

  /** Somebody who is trusted no more has all keys there are: a new one signs from now on. Durable on return. */
  replace(): Promise<void> {
    return this.#writes.run(async () => {
      const keys = this.#keys.map((one) => ({ ...one, exposed: true }))
      await this.#use(rotated(keys, this.#deps))
    })
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  #lookLater(): void {
    if (this.#closed) return
    this.#timer = this.#deps.clock.after(LOOK_MS, () => {
      this.#writes
        .run(() => this.#look())
        .catch((error: unknown) => this.#deps.log.error({ error: messageOf(error) }, 'the cookie keys were not kept'))
        .finally(() => this.#lookLater())
    })
  }

  async #look(): Promise<void> {
    const now = this.#deps.clock.now()
    const passedMs = Math.min(now - this.#lookedAt, COUNTED_MS)
    this.#lookedAt = now
    this.#keys = this.#keys.map((one) => ({ ...one, ms: one.ms + passedMs }))
    const kept = this.#keys.filter((one, index) => index === 0 || !isOver(one))
    await this.#use((kept[0]?.ms ?? 0) >= EVERY_MS ? rotated(kept, this.#deps) : kept)
  }

  async #use(keys: readonly KeptKey[]): Promise<void> {
    await write(this.#deps, keys)
    const isOther = keys.length !== this.#keys.length || currentOf(keys) !== currentOf(this.#keys)
    this.#keys = keys
    if (!isOther) return
    // Another object: what was verified by a key of before is looked at again.
    this.#current = new Uint8Array(currentOf(keys))
    for (const listener of this.#listeners) listener()
  }
}

const isOver = ({ ms, exposed }: KeptKey): boolean => ms > (exposed ? EXPOSED_MS : KEEP_MS)

function rotated([current, ...before]: readonly KeptKey[], deps: CookieKeyRingDeps): readonly KeptKey[] {
  const replaced = current === undefined ? [] : [{ ...current, ms: 0 }]
  // Where there are too many, those signed least that were in use for moments only.
  return [fresh(deps), ...[...replaced, ...before].slice(1 - KEYS_MAX)]
}

const fresh = ({ random }: CookieKeyRingDeps): KeptKey => ({ key: random.bytes(KEY_BYTES), ms: 0, exposed: false })

function currentOf([current]: readonly KeptKey[]): Uint8Array {
  if (current === undefined) throw new NodeDaemonError('UNEXPECTED', 'no cookie key')
  return current.key
}

async function adopted({ folder }: CookieKeyRingDeps): Promise<readonly KeptKey[] | null> {
  const key = await folder.read(OLD_FILE)
  return key === null || key.length < KEY_BYTES ? null : [{ key, ms: 0, exposed: false }]
}

async function read({ folder }: CookieKeyRingDeps): Promise<readonly KeptKey[] | null> {
  const bytes = await folder.read(FILE)
  if (bytes === null) return null
  try {
    const { keys } = schema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
    return keys.map(({ key, ...rest }) => ({ ...rest, key: new Uint8Array(Buffer.from(key, 'base64')) }))
  } catch (error) {
    throw new NodeDaemonError('INTEGRITY', `${FILE} in the data folder cannot be read: ${messageOf(error)}`, {
      advice: 'put it back from a backup; without it, guests lose their way to what they saved',
      cause: error
    })
  }
}

async function write({ folder }: CookieKeyRingDeps, keys: readonly KeptKey[]): Promise<void> {
  const kept = keys.map(({ key, ...rest }) => ({ ...rest, key: Buffer.from(key).toString('base64') }))
  await folder.writeAtomic(FILE, `${JSON.stringify({ keys: kept }, null, 2)}\n`, { mode: 0o600 })
}
