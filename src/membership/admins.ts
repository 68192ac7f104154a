import { z } from 'zod'
import { NodeDaemonError } from '../core/errors.ts'
import { type AccountDeps, TokenBook, type TokenHolder } from './token-book.ts'

/** Each may do all that those before it may. `metrics` reads figures only. */
export const ADMIN_ROLES = ['metrics', 'viewer', 'operator', 'admin'] as const
export type AdminRole = (typeof ADMIN_ROLES)[number]

export interface Admin {
  readonly name: string
  readonly role: AdminRole
  /** Unix milliseconds. */
  readonly createdAt: number
}

interface KeptAdmin extends TokenHolder {
  readonly role: AdminRole
}

const ADMIN = {
  prefix: 'admin/',
  tokenPrefix: 'nda_',
  word: 'admin',
  countMax: 1000,
  schema: z.object({ name: z.string(), hash: z.string(), createdAt: z.number(), role: z.enum(ADMIN_ROLES) })
} as const

/** In the audit log these are not people: no admin may have such a name. */
const RESERVED: readonly string[] = ['local', 'coordinator', 'sign-on']
const FIRST_ADMIN = 'admin'

const viewOf = ({ name, role, createdAt }: KeptAdmin): Admin => ({ name, role, createdAt })

/** Who runs a federation. Every change is durable on return. `by` is who makes it, for the audit log. */
export class Admins {
  readonly #book: TokenBook<KeptAdmin>

  private constructor(book: TokenBook<KeptAdmin>) {
    this.#book = book
  }

  static async open(deps: AccountDeps): Promise<Admins> {
    return new Admins(await TokenBook.open(deps, ADMIN))
  }

  /** Makes the first admin where there is none at all; null where there is. */
  async ensureFirst(): Promise<{ name: string; token: string } | null> {
    if (this.#book.count > 0) return null
    return this.#add(FIRST_ADMIN, 'admin', 'coordinator')
  }

  /**
   * The token is told this once.
   *
   * @throws NodeDaemonError `BAD_USAGE` for a bad name; `NAME_TAKEN`; `REFUSED_BY_POLICY` with 1,000 admins
   */
  async add(name: string, role: AdminRole, by: string): Promise<{ name: string; role: AdminRole; token: string }> {
    if (RESERVED.includes(name)) {
      throw new NodeDaemonError('NAME_TAKEN', `"${name}" stands for something else in the audit log`)
    }
    return { ...(await this.#add(name, role, by)), role }
  }

  /** @throws NodeDaemonError `NOT_FOUND`; `REFUSED_BY_POLICY` for the last one with the role `admin` */
  remove(name: string, by: string): Promise<void> {
    return this.#book.remove(name, by, ({ role }) => {
      if (role !== 'admin' || this.#book.list().filter((other) => other.role === 'admin').length > 1) return
      throw new NodeDaemonError('REFUSED_BY_POLICY', `${name} is the last admin`, {
        advice: 'add another one with the role admin first'
      })
    })
  }

  list(): readonly Admin[] {
    return this.#book.list().map(viewOf)
  }

  get(name: string): Admin | null {
    const admin = this.#book.get(name)
    return admin === null ? null : viewOf(admin)
  }

  /** The admin that has been here the longest: whom the command line of the same machine acts for. */
  first(): Admin | null {
    const [oldest] = this.list()
      .filter(({ role }) => role === 'admin')
      .sort((a, b) => a.createdAt - b.createdAt || (a.name < b.name ? -1 : 1))
    return oldest ?? null
  }

  byToken(token: string): Admin | null {
    const admin = this.#book.byToken(token)
    return admin === null ? null : viewOf(admin)
  }

  /** Tells one admin from a later one of the same name. Null where there is none. */
  mark(name: string): string | null {
    return this.#book.get(name)?.hash ?? null
  }

  #add(name: string, role: AdminRole, by: string): Promise<{ name: string; token: string }> {
    return this.#book.add(name, by, (holder) => ({ ...holder, role }), { role })
  }
}
