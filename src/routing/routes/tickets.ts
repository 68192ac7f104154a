import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import { BoundedMap } from '../../core/bounded-map.ts'
import type { Clock, Instant } from '../../core/clock.ts'
import type { Random } from '../../core/random.ts'
import type { RawHeaders } from '../../wire/http.ts'
import { headerOf } from '../headers.ts'

/** A key that the front door shares with one instance. */
export interface TicketKey {
  /** 16 hexadecimal digits. */
  readonly id: string
  /** 32 bytes. */
  readonly secret: Uint8Array
  /** The times of tickets count from here, so that no clock must be right. */
  readonly madeAt: Instant
}

/** `direct`: a request of the front door itself, again and again. `redirect`: one request of a user who is sent along with it. */
export type TicketPurpose = 'direct' | 'redirect'

/** What the front door says about a request that does not come through the tunnel. */
export interface Ticket {
  readonly purpose: TicketPurpose
  /** The age of the key at which it ends, in milliseconds. */
  readonly endsAt: number
  /** Names one ticket among all of its key; empty for `direct`. */
  readonly id: string
  /** Scheme and host under which the user came to the front door; empty for `direct`. */
  readonly from: string
  /** The header lines that an instance may believe: names in lower case, each followed by its value. */
  readonly lines: readonly string[]
}

export const TICKET_HEADER = 'x-node-daemon-ticket'

export const TICKET_LIMITS = {
  directMs: 60_000,
  redirectMs: 30_000,
  /** A ticket is no longer than this. */
  characters: 4_096,
  /** Direct tickets that are remembered of one instance, on both sides. */
  remembered: 10_000,
  /** Redirect tickets that were used, until they end; one more is refused. */
  used: 100_000
} as const

/** A key may have taken so much longer to arrive than later news: its tickets look younger than they are. */
const NEWS_MS = 1_000
/** A direct ticket is made anew so long before it ends. */
const RENEW_MS = 20_000

/** A key that is ready to sign: one that is made ready for each ticket costs four times as much. */
interface ReadyKey extends TicketKey {
  readonly hmac: KeyObject
}

const ready = (key: TicketKey): ReadyKey => ({ ...key, hmac: createSecretKey(key.secret) })

/** Issues the tickets of one key. */
export class TicketOffice {
  readonly #key: ReadyKey
  readonly #clock: Clock
  readonly #direct = new BoundedMap<string, { readonly text: string; readonly until: Instant }>(
    TICKET_LIMITS.remembered
  )
  /** Tells the tickets of this office from those of other front doors with the same key. */
  readonly #series: string
  #issued = 0

  constructor(key: TicketKey, deps: { readonly clock: Clock; readonly random: Random }) {
    this.#key = ready(key)
    this.#clock = deps.clock
    this.#series = Buffer.from(deps.random.bytes(6)).toString('base64url')
  }

  /** For requests of the front door itself with these lines; the same one for a while. */
  direct(lines: RawHeaders): string {
    const now = this.#clock.now()
    const about = lines.join('\n')
    const known = this.#direct.get(about)
    if (known !== undefined && now < known.until) return known.text
    const endsAt = Math.floor(now - this.#key.madeAt) + TICKET_LIMITS.directMs
    const text = sign(this.#key, { purpose: 'direct', endsAt, id: '', from: '', lines })
    this.#direct.set(about, { text, until: now + TICKET_LIMITS.directMs - RENEW_MS })
    return text
  }

  /** For one request of a user. */
  redirect(from: string, lines: RawHeaders): string {
    this.#issued += 1
    const endsAt = Math.floor(this.#clock.now() - this.#key.madeAt) + TICKET_LIMITS.redirectMs
    const id = `${this.#series}${this.#issued.toString(36)}`
    return sign(this.#key, { purpose: 'redirect', endsAt, id, from, lines })
  }
}

/** Why a ticket does not count. With what it says where this instance's key signed it. */
export interface Refused {
  readonly why: 'forged' | 'expired' | 'used'
  readonly ticket: Ticket | null
}

/** Checks tickets at an instance. */
export class TicketCheck {
  readonly #clock: Clock
  /** The newest first. */
  #keys: readonly ReadyKey[] = []
  readonly #direct = new BoundedMap<string, { readonly ticket: Ticket; readonly key: ReadyKey }>(
    TICKET_LIMITS.remembered
  )
  /** Used tickets, and when their time is over. */
  readonly #used = new Map<string, Instant>()
  /** When users were sent out last. */
  readonly #endedOf = new BoundedMap<string, Instant>(TICKET_LIMITS.remembered)

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The id of the newest key; empty before the first. */
  get newest(): string {
    return this.#keys[0]?.id ?? ''
  }

  /** Takes a key. The one before counts still, unless this one counts `alone`. */
  learn(key: TicketKey, alone: boolean): void {
    const before = this.#keys.find(({ id }) => id !== key.id)
    this.#keys = alone || before === undefined ? [ready(key)] : [ready(key), before]
    this.#direct.clear()
  }

  /** Takes no more tickets, until there is a key again. */
  forget(): void {
    this.#keys = []
    this.#direct.clear()
  }

  /** No ticket that a user was given until now counts any more. */
  endOf(user: string): void {
    this.#endedOf.set(user, this.#clock.now())
  }

  /** The lines of a ticket for requests of the front door itself; null where it does not count. */
  direct(text: string): Ticket | null {
    const known = this.#direct.get(text)
    if (known !== undefined) return this.#isOver(known.ticket, known.key) ? null : known.ticket
    const read = this.#read(text, 'direct')
    if (read === null || this.#isOver(read.ticket, read.key)) return null
    this.#direct.set(text, read)
    return read.ticket
  }

  /** Takes a ticket in, once. */
  redeem(text: string): Ticket | Refused {
    const read = this.#read(text, 'redirect')
    if (read === null) return { why: 'forged', ticket: null }
    const { ticket, key } = read
    if (this.#isOver(ticket, key) || this.#isEnded(ticket, key)) return { why: 'expired', ticket }
    const name = `${key.id}.${ticket.id}`
    this.#sweepUsed()
    if (this.#used.has(name) || this.#used.size >= TICKET_LIMITS.used) return { why: 'used', ticket }
    this.#used.set(name, key.madeAt + ticket.endsAt)
    return ticket
  }

  #read(text: string, purpose: TicketPurpose): { readonly ticket: Ticket; readonly key: ReadyKey } | null {
    if (text.length > TICKET_LIMITS.characters) return null
    const [id, payload = '', mac = '', ...more] = text.split('.')
    const key = this.#keys.find((one) => one.id === id)
    if (key === undefined || more.length > 0 || mac.length !== MAC_CHARACTERS) return null
    const claimed = Buffer.from(mac, 'base64url')
    const real = macOf(key, payload)
    // One signature has one form.
    if (claimed.length !== real.length || !timingSafeEqual(real, claimed) || claimed.toString('base64url') !== mac) {
      return null
    }
    const ticket = ticketOf(payload)
    return ticket?.purpose === purpose ? { ticket, key } : null
  }

  #isOver({ endsAt }: Ticket, key: ReadyKey): boolean {
    return this.#clock.now() >= key.madeAt + endsAt || !this.#keys.includes(key)
  }

  #isEnded({ endsAt, lines }: Ticket, key: ReadyKey): boolean {
    const endedAt = this.#endedOf.get(headerOf(lines, 'x-remote-user') ?? '')
    return endedAt !== undefined && key.madeAt + endsAt - TICKET_LIMITS.redirectMs <= endedAt + NEWS_MS
  }

  /** They are in about the order in which they end. */
  #sweepUsed(): void {
    const now = this.#clock.now()
    for (const [name, until] of this.#used) {
      if (until > now) return
      this.#used.delete(name)
    }
  }
}

/** SHA-256 in base64url. */
const MAC_CHARACTERS = 43

const macOf = (key: ReadyKey, payload: string): Buffer =>
  createHmac('sha256', key.hmac).update(`node-daemon-ticket/1\n${key.id}\n${payload}`).digest()

function sign(key: ReadyKey, { purpose, endsAt, id, from, lines }: Ticket): string {
  const payload = Buffer.from(JSON.stringify([purpose, endsAt, id, from, lines])).toString('base64url')
  return `${key.id}.${payload}.${macOf(key, payload).toString('base64url')}`
}

/** What was signed; null where it is of a form that this version does not know. */
function ticketOf(payload: string): Ticket | null {
  const said: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString())
  if (!Array.isArray(said)) return null
  const [purpose, endsAt, id, from, lines] = said as readonly unknown[]
  if (purpose !== 'direct' && purpose !== 'redirect') return null
  if (typeof endsAt !== 'number' || typeof id !== 'string' || typeof from !== 'string') return null
  if (!Array.isArray(lines) || !lines.every((line) => typeof line === 'string') || lines.length % 2 !== 0) return null
  return { purpose, endsAt, id, from, lines }
}
