import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../core/clock.ts'
import { hasCode, messageOf, NodeDaemonError } from '../../core/errors.ts'
import type { Logger } from '../../core/log.ts'
import { headText, isRead, type Upgrading } from '../../wire/http.ts'
import { passInterim } from '../../wire/interim.ts'
import { takeForChange } from '../allowance.ts'
import type { App, AppRequestContext } from '../app.ts'
import { passAnswer, passOnceSettled } from './answer.ts'
import { UpstreamClient } from './ask.ts'
import { answerLines } from './lines.ts'
import { targetText, type UpstreamTarget } from './target.ts'

/**
 * An app that runs by itself on this machine and speaks HTTP. It finds the user's files in the folder that
 * `X-Workspace-Dir` names; a newcomer's reads come without one.
 *
 * The answer to a change is held until everything that the app has written in that folder is acknowledged at the
 * service's level. What it writes after its answer, elsewhere, or for a WebSocket is not waited for.
 */
export function upstreamApp(deps: { clock: Clock; log: Logger }, target: UpstreamTarget): App {
  return new UpstreamApp(deps, target)
}

class UpstreamApp implements App {
  readonly #clock: Clock
  readonly #log: Logger
  readonly #client: UpstreamClient
  readonly #running = new Set<Promise<void>>()
  readonly #closing = new AbortController()
  readonly #joined = new Set<Duplex>()

  constructor({ clock, log }: { clock: Clock; log: Logger }, target: UpstreamTarget) {
    this.#clock = clock
    this.#log = log.child({ part: 'upstream', app: targetText(target) })
    this.#client = new UpstreamClient(target)
  }

  handle(request: IncomingMessage, response: ServerResponse, context: AppRequestContext): Promise<void> {
    return this.#work(() => this.#answer(request, response, context))
  }

  upgrade(request: IncomingMessage, upgrading: Upgrading, context: AppRequestContext): Promise<void> {
    return this.#work(() => this.#join(request, upgrading, context))
  }

  async close(): Promise<void> {
    this.#closing.abort()
    for (const socket of this.#joined) socket.destroy()
    await Promise.all(this.#running)
    this.#client.close()
  }

  async #work(run: () => Promise<void>): Promise<void> {
    const work = run()
    const ended = work.catch(() => undefined)
    this.#running.add(ended)
    await work.finally(() => this.#running.delete(ended))
  }

  async #answer(request: IncomingMessage, response: ServerResponse, context: AppRequestContext): Promise<void> {
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    const signal = AbortSignal.any([gone.signal, this.#closing.signal])
    const reads = isRead(request.method ?? 'GET')
    try {
      takeForChange(request, context)
      const { incoming, breakOff } = await this.#client.ask(request, context, {
        shared: reads,
        signal,
        interim: (interim) => passInterim(interim, response)
      })
      try {
        if (reads) await passAnswer(incoming, response)
        else await passOnceSettled(incoming, response, { settled: () => acknowledged(context), clock: this.#clock })
      } catch (error) {
        breakOff()
        throw error
      }
      // The app has answered before the end of the body, and does not want the rest.
      if (!request.complete) breakOff()
    } catch (error) {
      this.#failed(response, error, reads)
    }
  }

  #failed(response: ServerResponse, error: unknown, reads: boolean): void {
    if (response.headersSent || response.destroyed) {
      this.#log.debug({ error: messageOf(error) }, 'an answer was cut off')
      response.destroy()
      return
    }
    if (hasCode(error, 'NO_SPACE')) return refuse(response, 507, `${error.message}\n${error.advice ?? ''}`)
    this.#log.warn({ error: messageOf(error) }, 'a request was not answered by the app')
    if (error instanceof NodeDaemonError) return refuse(response, 503, error.message)
    const perhaps = reads ? '' : '\nthe change may have been made'
    refuse(response, 502, `the app of this service does not answer on this server${perhaps}`)
  }

  /** Has the app speak another protocol with the user, or passes on why it does not. */
  #join(request: IncomingMessage, { socket, head, decline }: Upgrading, context: AppRequestContext): Promise<void> {
    return new Promise((resolve, reject) => {
      const outgoing = this.#client.upgrade(request, context)
      const stop = (): void => {
        outgoing.destroy()
      }
      const away = (): void => {
        reject(new NodeDaemonError('OUT_OF_REACH', 'the app of this service does not answer on this server'))
      }
      this.#closing.signal.addEventListener('abort', stop, { once: true })
      socket.once('close', stop)
      outgoing.on('error', away)
      outgoing.once('close', () => {
        this.#closing.signal.removeEventListener('abort', stop)
        away()
      })
      outgoing.once('response', (incoming) => {
        const response = decline()
        passAnswer(incoming, response)
          .catch(() => response.destroy())
          .finally(resolve)
      })
      outgoing.once('upgrade', (incoming, app, first) => {
        socket.removeListener('close', stop)
        const lines = [...answerLines(incoming), 'connection', 'Upgrade', 'upgrade', incoming.headers.upgrade ?? '']
        socket.write(headText('HTTP/1.1 101 Switching Protocols', lines), 'latin1')
        if (first.length > 0) app.unshift(first)
        if (head.length > 0) socket.unshift(head)
        this.#passBothWays(socket, app)
        resolve()
      })
    })
  }

  #passBothWays(user: Duplex, app: Duplex): void {
    for (const [from, to] of [
      [user, app],
      [app, user]
    ] as const) {
      this.#joined.add(from)
      from.on('error', () => undefined)
      from.once('close', () => {
        this.#joined.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  }
}

/** @throws NodeDaemonError with what a user should know */
async function acknowledged(context: AppRequestContext): Promise<void> {
  try {
    await context.settled()
  } catch (error) {
    const reason = error instanceof NodeDaemonError ? messageOf(error) : 'it could not be saved elsewhere'
    const text = `not saved safely yet: ${reason}\nthe change may have been made on this server; then it is saved as soon as possible`
    throw new NodeDaemonError('BUSY', text, { cause: error })
  }
}

function refuse(response: ServerResponse, status: number, text: string): void {
  const body = Buffer.from(`${text}\n`)
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'content-length': body.length })
  response.end(body)
}
