import { type IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Options } from 'nephele'
import { type Clock, withTimeout } from '../../core/clock.ts'
import { messageOf, NodeDaemonError } from '../../core/errors.ts'
import type { Logger } from '../../core/log.ts'
import { type Members, WorkspaceAdapter } from './dav-adapter.ts'
import { ENTRIES_AT_ONCE, listAll, lockedBelow, streamParts } from './dav-members.ts'
import { readBody, replyOf, requestFor, withOwner } from './dav-messages.ts'
import { acknowledge, commit, type Exchange, requireConditions } from './exchange.ts'
import type { FilesLimits } from './limits.ts'
import { Refusal, refusalOf, systemCode } from './refusal.ts'
import { type Reply, refusalReply } from './reply.ts'
import { type Entry, lookup, lookupEntry } from './tree.ts'

/** What we need of the Express application that nephele makes. */
interface ExpressApplication {
  (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void): void
  disable(setting: string): void
}

/**
 * The methods of WebDAV that speak XML: PROPFIND, PROPPATCH and LOCK. nephele works on a request whose body has
 * arrived already and fills an answer in memory, so that neither a slow client nor a proxy concerns it.
 */
export class DavMethods {
  readonly #clock: Clock
  readonly #log: Logger
  readonly #limits: FilesLimits
  readonly #server: ExpressApplication
  readonly #adapters = new WeakMap<object, WorkspaceAdapter>()

  constructor(deps: { clock: Clock; log: Logger; limits: FilesLimits }) {
    this.#clock = deps.clock
    this.#log = deps.log
    this.#limits = deps.limits
    this.#server = this.#createServer()
  }

  /**
   * PROPFIND. Only of a folder and what it holds: a whole tree at once has no bound (RFC 4918, section 9.1).
   * Null: the answer was sent already.
   */
  async find(exchange: Exchange): Promise<Reply | null> {
    const body = await readBody(exchange)
    const depth = String(exchange.request.headers.depth ?? 'infinity').toLowerCase()
    if (depth === 'infinity') return FINITE_DEPTH
    const entry = await lookupEntry(exchange.context, exchange.target.path)
    if (exchange.target.slash && entry.kind !== 'folder') throw new Refusal(404, 'there is no such folder')
    const entries = depth === '1' && entry.kind === 'folder' ? await listAll(exchange, entry.path) : []
    const find = async (part: readonly Entry[]): Promise<Reply> => {
      const { reply } = await this.#run(exchange, body, async (path) => (path === entry.path ? part : []))
      return reply
    }
    const first = await find(entries.slice(0, ENTRIES_AT_ONCE))
    if (entries.length <= ENTRIES_AT_ONCE || first.status !== 207) return first
    await streamParts(exchange, first, entries.slice(ENTRIES_AT_ONCE), find)
    return null
  }

  /** PROPPATCH and LOCK. */
  async change(exchange: Exchange): Promise<Reply> {
    const body = await readBody(exchange)
    const { reply, adapter } = await commit(exchange, async () => {
      await requireConditions(exchange, await lookup(exchange.context, exchange.target.path))
      try {
        const told = exchange.request.method === 'LOCK' ? withOwner(body, exchange) : body
        return await this.#run(exchange, told, (path) => lockedBelow(exchange, path))
      } finally {
        exchange.remembered.locks.dropProvisional(exchange.target.path)
      }
    })
    if (adapter.changed.length > 0) await acknowledge(exchange, adapter.changed)
    return reply
  }

  async #run(exchange: Exchange, body: Buffer, members: Members): Promise<{ reply: Reply; adapter: WorkspaceAdapter }> {
    const adapter = new WorkspaceAdapter(exchange, members)
    const request = requestFor(exchange, body)
    this.#adapters.set(request, adapter)
    const reply = await withTimeout(this.#clock, this.#limits.davMsMax, 'this WebDAV request', () =>
      this.#answer(request)
    )
    return { reply, adapter }
  }

  #answer(request: IncomingMessage): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const response = new ServerResponse(request)
      const end = (body?: unknown): ServerResponse => {
        resolve(replyOf(response, body))
        response.emit('close')
        return response
      }
      // An own property, since Express replaces the prototype of what it is given.
      Object.defineProperty(response, 'end', { value: end })
      this.#server(request, response, (error) => reject(error ?? new Refusal(405, 'there is no such method here')))
    })
  }

  #createServer(): ExpressApplication {
    const options: Partial<Options> = {
      compression: false,
      maxLockTimeout: this.#limits.lockMsMax,
      errorHandler: async (code, message, request, response, error) => {
        const reply = refusalReply(this.#refusalOf(request.method, code, message, error))
        response.statusCode = reply.status
        for (const [name, value] of Object.entries(reply.headers ?? {})) response.setHeader(name, value)
        response.end(reply.body)
      }
    }
    const adapter = async (request: object): Promise<WorkspaceAdapter> => {
      const found = this.#adapters.get(request)
      if (found === undefined) throw new NodeDaemonError('UNEXPECTED', 'a WebDAV request without a workspace')
      return found
    }
    const authenticator = {
      authenticate: async (request: object) => ({ username: (await adapter(request)).user }),
      cleanAuthentication: async () => undefined
    }
    const server: ExpressApplication = createServer({ adapter, authenticator }, options)
    server.disable('x-powered-by')
    return server
  }

  /** What neither we nor nephele nor the disk reported comes from a body that is not what it should be. */
  #refusalOf(method: string, code: number, message: string, error: unknown): Refusal {
    if (error instanceof NodeDaemonError || systemCode(error) !== null) return refusalOf(error)
    if (code !== 500) return refusalOf(new Refusal(statusOf(code), message, error))
    this.#log.info({ method, error: messageOf(error) }, 'a WebDAV body was not understood')
    return new Refusal(400, 'the body of this request is not understood', error)
  }
}

const FINITE_DEPTH: Reply = {
  status: 403,
  headers: { 'Content-Type': 'application/xml; charset=utf-8' },
  body: '<?xml version="1.0" encoding="UTF-8"?><error xmlns="DAV:"><propfind-finite-depth/></error>'
}

const STATUSES = [400, 403, 404, 405, 409, 412, 413, 414, 415, 416, 423, 502, 503, 507] as const
const statusOf = (code: number): (typeof STATUSES)[number] => STATUSES.find((status) => status === code) ?? 400
