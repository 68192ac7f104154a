import { z } from 'zod'
import type { Clock, TimerHandle } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
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
const LOOK_MS = 6 * 3_600_000
/** A clock that is set back and forth makes more keys than time does. */
const KEYS_MAX = 8

const schema = z.object({
  keys: z
    .array(z.object({ key: z.base64(), createdAt: z.number(), retiredAt: z.number().nullable() }))
    .min(1)
    .max(KEYS_MAX)
})

interface KeptKey {
  readonly key: Uint8Array
  /** Unix milliseconds; null while it is the current one. */
  readonly createdAt: number
  readonly retiredAt: number | null
}

export interface CookieKeyRingDeps {
  readonly folder: Pick<DataFolder, 'read' | 'writeAtomic' | 'remove'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/**
 * The keys that sign users' cookies, in `cookie-keys` (mode 0600): a new one every 30 days, those before it for 60 days
 * more. A cookie lives for 30 days from its last use, so that nobody who comes back in that time is shut out. The newest
 * comes first.
 */
export class CookieKeyRing implements CookieKeys {
  readonly #deps: CookieKeyRingDeps
  readonly #listeners = new Set<() => void>()
  #keys: readonly KeptKey[]
  #current: Uint8Array
  #timer: TimerHandle | null = null
  #closed = false

  private constructor(deps: CookieKeyRingDeps, keys: readonly KeptKey[], current: Uint8Array) {
    this.#deps = deps
    this.#keys = keys
    this.#current = current
  }

  /** Reads the keys, or makes the first; makes a new one where that is due. @throws NodeDaemonError `INTEGRITY` */
  static async open(deps: CookieKeyRingDeps): Promise<CookieKeyRing> {
    const kept = (await read(deps)) ?? (await adopted(deps)) ?? [fresh(deps)]
    const keys = isDue(kept, deps.clock.wall()) ? rotated(kept, deps) : kept
    await write(deps, keys)
    await deps.folder.remove(OLD_FILE)
    const ring = new CookieKeyRing(deps, keys, currentOf(keys))
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

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  #lookLater(): void {
    if (this.#closed) return
    this.#timer = this.#deps.clock.after(LOOK_MS, () => {
      this.#look()
        .catch((error: unknown) => this.#deps.log.error({ error: messageOf(error) }, 'no new cookie key could be kept'))
        .finally(() => this.#lookLater())
    })
  }

  async #look(): Promise<void> {
    if (!isDue(this.#keys, this.#deps.clock.wall())) return
    const keys = rotated(this.#keys, this.#deps)
    await write(this.#deps, keys)
    this.#keys = keys
    this.#current = currentOf(keys)
    for (const listener of this.#listeners) listener()
  }
}

const isDue = ([current]: readonly KeptKey[], now: number): boolean =>
  current === undefined || Math.abs(now - current.createdAt) >= EVERY_MS

function rotated(keys: readonly KeptKey[], deps: CookieKeyRingDeps): readonly KeptKey[] {
  const now = deps.clock.wall()
  const before = keys.map((one) => ({ ...one, retiredAt: one.retiredAt ?? now }))
  return [fresh(deps), ...before.filter(({ retiredAt }) => now - retiredAt <= KEEP_MS)].slice(0, KEYS_MAX)
}

const fresh = ({ clock, random }: CookieKeyRingDeps): KeptKey => ({
  key: random.bytes(KEY_BYTES),
  createdAt: clock.wall(),
  retiredAt: null
})

function currentOf([current]: readonly KeptKey[]): Uint8Array {
  if (current === undefined) throw new NodeDaemonError('UNEXPECTED', 'no cookie key')
  return current.key
}

async function adopted({ folder, clock }: CookieKeyRingDeps): Promise<readonly KeptKey[] | null> {
  const key = await folder.read(OLD_FILE)
  return key === null || key.length < KEY_BYTES ? null : [{ key, createdAt: clock.wall(), retiredAt: null }]
}

async function read({ folder }: CookieKeyRingDeps): Promise<readonly KeptKey[] | null> {
  const bytes = await folder.read(FILE)
  if (bytes === null) return null
  try {
    const { keys } = schema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
    return keys.map(({ key, ...times }) => ({ ...times, key: new Uint8Array(Buffer.from(key, 'base64')) }))
  } catch (error) {
    throw new NodeDaemonError('INTEGRITY', `${FILE} in the data folder cannot be read: ${messageOf(error)}`, {
      advice: 'put it back from a backup; without it, guests lose their way to what they saved',
      cause: error
    })
  }
}

async function write({ folder }: CookieKeyRingDeps, keys: readonly KeptKey[]): Promise<void> {
  const kept = keys.map(({ key, ...times }) => ({ ...times, key: Buffer.from(key).toString('base64') }))
  await folder.writeAtomic(FILE, `${JSON.stringify({ keys: kept }, null, 2)}\n`, { mode: 0o600 })
}
