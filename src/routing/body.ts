import type { IncomingMessage } from 'node:http'
import type { Writable } from 'node:stream'
import { NodeDaemonError } from '../core/errors.ts'
import type { UploadTap } from '../sync/provisional.ts'
import { trailers } from './headers.ts'
import type { BodyState } from './replay.ts'

/** The body of a request, as far as the front door has got with it. */
export type Body =
  | { readonly kind: 'none' }
  /** Small and of known length: to be kept whole, so that the request can be sent again. */
  | { readonly kind: 'small'; readonly length: number }
  | { readonly kind: 'kept'; readonly bytes: Buffer }
  /** Passed on as it comes. `length` is null where it is not known beforehand. */
  | { readonly kind: 'stream'; readonly length: number | null; passedOn: boolean }

const MAX_KEPT_BYTES = 1024 * 1024

/** The memory that kept bodies may take, together and for each user. Beyond it bodies are passed on as they come. */
export class BodyBudget {
  readonly #perUser: number
  readonly #taken = new Map<string, number>()
  #left: number

  constructor(limits: { readonly bytes: number; readonly perUser: number }) {
    this.#left = limits.bytes
    this.#perUser = limits.perUser
  }

  take(user: string, bytes: number): boolean {
    const taken = (this.#taken.get(user) ?? 0) + bytes
    if (bytes > this.#left || taken > this.#perUser) return false
    this.#left -= bytes
    this.#taken.set(user, taken)
    return true
  }

  giveBack(user: string, bytes: number): void {
    this.#left += bytes
    const taken = (this.#taken.get(user) ?? 0) - bytes
    if (taken > 0) this.#taken.set(user, taken)
    else this.#taken.delete(user)
  }
}

/** What kind of body the header section announces. Null where its framing is not plain. */
export function announcedBody(request: IncomingMessage): Body | null {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers
  if (encoding !== undefined) {
    if (length !== undefined || encoding.toLowerCase() !== 'chunked' || request.httpVersion === '1.0') return null
    return { kind: 'stream', length: null, passedOn: false }
  }
  if (length === undefined) return { kind: 'none' }
  if (!/^\d{1,15}$/.test(length)) return null
  const bytes = Number(length)
  if (bytes === 0) return { kind: 'none' }
  return bytes <= MAX_KEPT_BYTES ? { kind: 'small', length: bytes } : { kind: 'stream', length: bytes, passedOn: false }
}

export function stateOf(body: Body): BodyState {
  if (body.kind === 'stream') return body.passedOn ? 'passed-on' : 'unread'
  return body.kind === 'small' ? 'unread' : body.kind
}

/** The framing header lines towards an instance. */
export function framing(method: string, body: Body): readonly string[] {
  if (body.kind === 'kept') return ['content-length', String(body.bytes.length)]
  if (body.kind === 'none') return BODILESS.has(method) ? [] : ['content-length', '0']
  if (body.length === null) return ['transfer-encoding', 'chunked']
  return ['content-length', String(body.length)]
}

const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'DELETE'])

/** @throws NodeDaemonError `ABORTED` the client went away before its end */
export function readWhole(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.once('end', () => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)))
    request.once('close', () => {
      if (!request.complete) reject(new NodeDaemonError('ABORTED', 'the client went away'))
    })
  })
}

/** Resolves when the first bytes, the end, or the failure of a body are known. Nothing is taken out. */
export function firstBytes(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      request.removeListener('readable', settle)
      request.removeListener('close', settle)
      resolve()
    }
    request.once('readable', settle)
    request.once('close', settle)
  })
}

/**
 * Passes a body on as it comes, with its trailers, no faster than `to` takes it; `tap` hears it too. `to` is not ended where the body is
 * cut off. The returned function stops.
 */
export function passOn(
  request: IncomingMessage,
  to: Writable & { addTrailers(lines: [string, string][]): void },
  tap: UploadTap | null,
  limits: { readonly maxBytes: number; readonly onTooLarge: () => void }
): () => void {
  let total = 0
  const onData = (chunk: Buffer): void => {
    total += chunk.length
    if (total > limits.maxBytes) {
      stop()
      limits.onTooLarge()
    } else {
      tap?.write(chunk)
      if (!to.write(chunk)) request.pause()
    }
  }
  const onDrain = (): void => {
    request.resume()
  }
  const onEnd = (): void => {
    const lines = trailers(request.rawTrailers)
    if (lines.length > 0) to.addTrailers(lines)
    to.end()
    tap?.end(true)
  }
  const stop = (): void => {
    tap?.end(false)
    request.removeListener('data', onData)
    request.removeListener('end', onEnd)
    to.removeListener('drain', onDrain)
  }
  request.on('data', onData)
  request.once('end', onEnd)
  to.on('drain', onDrain)
  return stop
}
