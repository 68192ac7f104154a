import type { IncomingMessage } from 'node:http'
import { hasCode, messageOf, NodeDaemonError } from '../core/errors.ts'
import { parse } from '../core/parse.ts'
import { exchange, type HttpTarget, openExchange, readBody } from './exchange.ts'
import { ROLES, type Role, socketOf } from './folders.ts'

/** The API of a running daemon. Paths begin after `/api/v1`. */
export interface Api {
  /** Rejects with the daemon's own error, `NOT_RUNNING` or `OUT_OF_REACH` where nobody answers, `TIMED_OUT` after 30 s of silence. */
  get<T>(path: string): Promise<T>
  /** As `get`; `patient` waits up to ten minutes. */
  send<T>(method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: object, options?: { patient?: boolean }): Promise<T>
  /** One object a line, until the daemon ends the answer or the signal is aborted. A last line with an error is thrown. */
  stream<T>(path: string, body: object, signal?: AbortSignal): AsyncGenerator<T>
  /**
   * The bytes of an answer as they come. Rejects with the daemon's own error where they break off, `OUT_OF_REACH` where
   * they are cut short, or after ten minutes of silence.
   */
  download(path: string, signal?: AbortSignal): AsyncGenerator<Uint8Array>
}

const SILENCE_MS = 30_000
const PATIENCE_MS = 600_000
const DOCUMENT_BYTES_MAX = 512 * 1024 * 1024
const LINE_BYTES_MAX = 64 * 1024 * 1024

/** In which a daemon tells why bytes broke off: JSON in percent-encoding. */
const ERROR_TRAILER = 'nd-error'

export interface ApiPlace {
  readonly target: HttpTarget
  readonly token: string | null
  /** Whose data folder it is; null for an address. */
  readonly role: Role | null
  /** What to throw where nobody listens there. */
  readonly absent: (cause: unknown) => NodeDaemonError
}

const STARTED_BY: Readonly<Record<Role, string>> = {
  coordinator: 'node-daemon coordinator',
  instance: 'node-daemon join COORDINATOR',
  'front-door': 'node-daemon front-door --coordinator COORDINATOR'
}

/** The daemon whose data folder this is. */
export function folderPlace(folder: string, role: Role): ApiPlace {
  const absent = (cause: unknown): NodeDaemonError =>
    new NodeDaemonError('NOT_RUNNING', `no ${role.replace('-', ' ')} runs on ${folder}`, {
      advice: `start it with: ${STARTED_BY[role]}   (or say where it is with --data DIR)`,
      cause
    })
  return { target: { socketPath: socketOf(folder) }, token: null, role, absent }
}

/** A coordinator's admin listener, here or elsewhere. */
export function remotePlace(url: string, token: string): ApiPlace {
  const absent = (cause: unknown): NodeDaemonError =>
    new NodeDaemonError('OUT_OF_REACH', `${url} does not answer: ${messageOf(cause)}`, {
      advice: 'check the address given by --api, and that the coordinator runs',
      cause
    })
  return { target: { url }, token, role: null, absent }
}

const systemCode = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''

function translated(place: ApiPlace, error: unknown): NodeDaemonError {
  if (place.role === null && hasCode(error, 'UNAUTHENTICATED')) {
    return new NodeDaemonError('UNAUTHENTICATED', messageOf(error), {
      advice: 'check --token or NODE_DAEMON_TOKEN; an admin makes another one with: node-daemon admins add NAME',
      cause: error
    })
  }
  if (error instanceof NodeDaemonError) return error
  const code = systemCode(error)
  if (code === 'EACCES' || code === 'EPERM') {
    return new NodeDaemonError('FORBIDDEN', 'the daemon belongs to another user of this machine', {
      advice: 'run the command as the user who runs the daemon',
      cause: error
    })
  }
  if (['ENOENT', 'ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTSOCK', 'EINVAL'].includes(code)) {
    return place.absent(error)
  }
  return new NodeDaemonError('OUT_OF_REACH', `the daemon did not finish its answer: ${messageOf(error)}`, {
    advice: 'see how it is with: node-daemon status',
    cause: error
  })
}

const unclear = (status: number): NodeDaemonError =>
  new NodeDaemonError('OUT_OF_REACH', `the answer ${status} is not one of node-daemon`, {
    advice: 'check that --api is the address of the admin listener'
  })

/** The error that a daemon tells; null where this is none. */
function errorIn(answer: object): NodeDaemonError | null {
  const { error } = answer as { error?: Record<string, unknown> }
  if (typeof error?.code !== 'string' || typeof error.message !== 'string') return null
  const advice = typeof error.advice === 'string' ? { advice: parse.line(error.advice, 1000) } : {}
  return new NodeDaemonError(parse.errorCode(error.code), parse.line(error.message, 1000), advice)
}

function refusal(status: number, body: Uint8Array): NodeDaemonError {
  try {
    return errorIn(JSON.parse(Buffer.from(body).toString()) as object) ?? unclear(status)
  } catch {
    return unclear(status)
  }
}

function jsonOf<T>(text: string): T {
  try {
    return JSON.parse(text) as T
  } catch (error) {
    throw new NodeDaemonError('PROTOCOL_VIOLATION', 'the daemon answered with something else than JSON', {
      cause: error
    })
  }
}

async function* linesOf(message: IncomingMessage): AsyncGenerator<string> {
  let rest = ''
  message.setEncoding('utf8')
  for await (const part of message) {
    const lines = `${rest}${part}`.split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > LINE_BYTES_MAX) throw new NodeDaemonError('TOO_LARGE', 'a line of the answer is too long')
    yield* lines.filter((line) => line.trim() !== '')
  }
  if (rest.trim() !== '') yield rest
}

/** How bytes that broke off without a word are told; an error that the daemon told stays as it is. */
const brokenOff = (failure: NodeDaemonError, error: unknown): NodeDaemonError =>
  systemCode(error) === 'ECONNRESET'
    ? new NodeDaemonError('OUT_OF_REACH', 'the daemon did not send all of it', {
        advice: 'try it again; where it breaks off again, a block may be damaged: node-daemon repo verify',
        cause: error
      })
    : failure

/** What to say where the daemon of this folder is none that the command is for; else the error itself. */
async function explained(place: ApiPlace, error: unknown): Promise<NodeDaemonError> {
  const failure = translated(place, error)
  if (place.role === null || !hasCode(error, 'NOT_FOUND')) return failure
  const here = await roleAt(place.target)
  if (here === null || here === place.role) return failure
  const named = { coordinator: 'a coordinator', instance: 'an instance', 'front-door': 'a front door' }
  return new NodeDaemonError('BAD_USAGE', `${named[here]} runs here; this command is for ${named[place.role]}`, {
    advice: `say the data folder of ${named[place.role]} with --data DIR`,
    cause: error
  })
}

/** Which daemon answers there; null where none says so. */
async function roleAt(target: HttpTarget): Promise<Role | null> {
  try {
    const asked = { target, method: 'GET', path: '/api/v1/status', silenceMs: SILENCE_MS }
    const { body } = await exchange(asked, DOCUMENT_BYTES_MAX)
    const { role } = JSON.parse(Buffer.from(body).toString()) as { role?: unknown }
    return ROLES.find((one) => one === role) ?? null
  } catch {
    // The first error says more.
    return null
  }
}

export function connectApi(place: ApiPlace): Api {
  async function open(
    method: string,
    path: string,
    body: object | undefined,
    silenceMs: number,
    signal?: AbortSignal
  ): Promise<IncomingMessage> {
    const headers = {
      accept: 'application/json, application/x-ndjson',
      // Something between here and an address might lose them unnoticed.
      ...(place.role === null ? {} : { te: 'trailers' }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(place.token === null ? {} : { authorization: `Bearer ${place.token}` })
    }
    const message = await openExchange({
      target: place.target,
      method,
      path: `/api/v1${path}`,
      headers,
      silenceMs,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal })
    })
    const status = message.statusCode ?? 0
    if (status < 200 || status > 299) throw refusal(status, await readBody(message, DOCUMENT_BYTES_MAX))
    return message
  }

  async function document<T>(method: string, path: string, body: object | undefined, silenceMs: number): Promise<T> {
    try {
      const message = await open(method, path, body, silenceMs)
      const text = Buffer.from(await readBody(message, DOCUMENT_BYTES_MAX)).toString()
      return jsonOf<T>(text === '' ? '{}' : text)
    } catch (error) {
      throw await explained(place, error)
    }
  }

  return {
    get: (path) => document('GET', path, undefined, SILENCE_MS),
    send: (method, path, body, options) =>
      document(
        method,
        path,
        body ?? (method === 'DELETE' ? undefined : {}),
        options?.patient ? PATIENCE_MS : SILENCE_MS
      ),
    async *stream<T>(path: string, body: object, signal?: AbortSignal) {
      try {
        const message = await open('POST', path, body, 0, signal)
        for await (const line of linesOf(message)) {
          const value = jsonOf<T>(line)
          if (typeof value === 'object' && value !== null && 'error' in value) throw errorIn(value) ?? unclear(200)
          yield value
        }
        if (!message.complete) throw new NodeDaemonError('OUT_OF_REACH', 'the daemon did not finish its answer')
      } catch (error) {
        throw await explained(place, error)
      }
    },
    async *download(path: string, signal?: AbortSignal) {
      try {
        const message = await open('GET', path, undefined, PATIENCE_MS, signal)
        for await (const part of message) yield part as Buffer
        if (!message.complete) throw new NodeDaemonError('OUT_OF_REACH', 'the daemon did not finish its answer')
        const told = message.trailers[ERROR_TRAILER]
        if (told !== undefined) throw errorIn(jsonOf<object>(decodeURIComponent(told))) ?? unclear(200)
      } catch (error) {
        throw brokenOff(await explained(place, error), error)
      }
    }
  }
}
