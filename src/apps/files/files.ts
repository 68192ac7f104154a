import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../core/clock.ts'
import { messageOf } from '../../core/errors.ts'
import type { Logger } from '../../core/log.ts'
import { KeyedMutex } from '../../core/mutex.ts'
import type { Random } from '../../core/random.ts'
import type { App, AppRequestContext } from '../app.ts'
import { copy, makeFolder, move, remove } from './changes.ts'
import { DavMethods } from './dav.ts'
import type { Exchange, Services } from './exchange.ts'
import { FILES_LIMITS, type FilesLimits } from './limits.ts'
import { Memory } from './memory.ts'
import { parseTarget } from './path.ts'
import { put } from './put.ts'
import { read } from './read.ts'
import { Refusal, refusalOf } from './refusal.ts'
import { ALLOWED_METHODS, type Reply, refusalReply, send } from './reply.ts'
import { Staging, Stamps } from './staging.ts'
import { unlock } from './unlock.ts'

interface Method {
  readonly changes: boolean
  /** Null: the answer was sent already. */
  readonly run: (exchange: Exchange) => Promise<Reply | null>
}

/**
 * The built-in app: the user's files by WebDAV (classes 1 and 2) and as a page for browsers.
 *
 * - Everything lies under the context's folder as plain files; nothing else is written there.
 * - A file or folder appears, changes or vanishes by one rename, once all that it needs has arrived.
 * - Links are listed, moved and removed, and never followed: what is behind one is answered with 403.
 * - Locks and dead properties live in memory, within bounds, as long as the workspace stays here.
 */
export function filesApp(deps: { clock: Clock; random: Random; log: Logger; limits?: Partial<FilesLimits> }): App {
  return new FilesApp(deps)
}

class FilesApp implements App {
  readonly #services: Services
  readonly #memory: Memory
  readonly #methods: ReadonlyMap<string, Method>
  readonly #running = new Set<Promise<void>>()
  #closed = false

  constructor(deps: { clock: Clock; random: Random; log: Logger; limits?: Partial<FilesLimits> }) {
    const limits = { ...FILES_LIMITS, ...deps.limits }
    const { clock, log } = deps
    const staging = new Staging(deps)
    this.#services = { clock, log, limits, staging, stamps: new Stamps(clock), commits: new KeyedMutex() }
    this.#memory = new Memory(clock, limits)
    this.#methods = methodTable(new DavMethods({ clock, log, limits }), this.#memory)
  }

  async handle(request: IncomingMessage, response: ServerResponse, context: AppRequestContext): Promise<void> {
    const work = this.#answer(request, response, context)
    this.#running.add(work)
    await work
    this.#running.delete(work)
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#running)
    await this.#services.staging.settle()
  }

  async #answer(request: IncomingMessage, response: ServerResponse, context: AppRequestContext): Promise<void> {
    try {
      const reply = await this.#replyTo(request, response, context)
      if (reply !== null) send(response, reply)
    } catch (error) {
      this.#refuse(request, response, refusalOf(error))
    }
  }

  async #replyTo(
    request: IncomingMessage,
    response: ServerResponse,
    context: AppRequestContext
  ): Promise<Reply | null> {
    if (this.#closed) throw new Refusal(503, 'this server is stopping; try again in a moment')
    if (request.method === 'OPTIONS') return OPTIONS_REPLY
    const method = this.#methods.get(request.method ?? '')
    if (method === undefined) throw new Refusal(405, `${request.method} means nothing for files`)
    const target = parseTarget(request.url ?? '', context.base)
    if (method.changes && context.workspace === null) throw new Refusal(503, 'this workspace is not there yet')
    return this.#memory.use(context.workspace, (remembered) =>
      method.run({ ...this.#services, request, response, context, target, remembered })
    )
  }

  #refuse(request: IncomingMessage, response: ServerResponse, refusal: Refusal): void {
    const fields = { method: request.method, status: refusal.status, error: messageOf(refusal.cause ?? refusal) }
    if (refusal.status === 500) this.#services.log.error(fields, 'a request for files failed')
    else this.#services.log.debug(fields, 'a request for files was refused')
    if (response.headersSent) response.destroy()
    else send(response, refusalReply(refusal))
  }
}

const OPTIONS_REPLY: Reply = {
  status: 200,
  headers: { DAV: '1, 2', Allow: ALLOWED_METHODS, 'MS-Author-Via': 'DAV', 'Accept-Ranges': 'bytes' }
}

function methodTable(dav: DavMethods, memory: Memory): ReadonlyMap<string, Method> {
  const reading = (run: Method['run']): Method => ({ changes: false, run })
  const changing = (run: Method['run']): Method => ({ changes: true, run })
  const lock = (exchange: Exchange): Promise<Reply> => {
    memory.sweep()
    return dav.change(exchange)
  }
  return new Map([
    ['GET', reading(read)],
    ['HEAD', reading(read)],
    ['PROPFIND', reading((exchange) => dav.find(exchange))],
    ['PUT', changing(put)],
    ['DELETE', changing(remove)],
    ['MKCOL', changing(makeFolder)],
    ['COPY', changing(copy)],
    ['MOVE', changing(move)],
    ['PROPPATCH', changing((exchange) => dav.change(exchange))],
    ['LOCK', changing(lock)],
    ['UNLOCK', changing(unlock)]
  ])
}
