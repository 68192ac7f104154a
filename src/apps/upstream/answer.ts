import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../core/clock.ts'
import { answerLines, trailerPairs } from './lines.ts'

/** So much of an answer is kept while it waits; no more is read then. */
const KEPT_BYTES_MAX = 64 * 1024
/** An answer that has not ended by then is passed on as it comes. */
const WHOLE_MS = 100

/** Passes the answer to a read on as it comes, no faster than the user takes it. */
export async function passAnswer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  writeHead(incoming, response)
  // Its first bytes go along with the head, where they are there.
  if (incoming.readableLength === 0 && !incoming.complete) response.flushHeaders()
  for await (const chunk of incoming as AsyncIterable<Buffer>) await write(response, chunk)
  end(incoming, response)
}

/**
 * Passes the answer to a change on. Neither its head nor its end passes before what the app had written by then is
 * acknowledged: an answer that is soon complete and small waits once, any other one waits twice.
 *
 * @throws what `settled` throws: nothing was passed on, unless the head of the response is sent
 */
export async function passOnceSettled(
  incoming: IncomingMessage,
  response: ServerResponse,
  deps: { readonly settled: () => Promise<void>; readonly clock: Clock }
): Promise<void> {
  const { settled, clock } = deps
  const pieces = (incoming as AsyncIterable<Buffer>)[Symbol.asyncIterator]()
  const begun = await begin(pieces, clock)
  await settled()
  writeHead(incoming, response)
  if (begun.next !== null) response.flushHeaders()
  let left = lengthOf(incoming)
  for (const chunk of begun.chunks) {
    left -= chunk.length
    await write(response, chunk)
  }
  if (begun.next !== null) {
    for (let piece = await begun.next; piece.done !== true; piece = await pieces.next()) {
      left -= piece.value.length
      if (left <= 0) await settled()
      await write(response, piece.value)
    }
    if (left > 0) await settled()
  }
  end(incoming, response)
}

interface Begun {
  readonly chunks: readonly Buffer[]
  /** Null: the answer is complete. */
  readonly next: Promise<IteratorResult<Buffer, unknown>> | null
}

async function begin(pieces: AsyncIterator<Buffer, unknown>, clock: Clock): Promise<Begun> {
  const { promise: late, resolve } = Promise.withResolvers<'late'>()
  const timer = clock.after(WHOLE_MS, () => resolve('late'))
  const chunks: Buffer[] = []
  try {
    for (let kept = 0; ; ) {
      const next = pieces.next()
      // It may fail while the answer waits; who reads on is told.
      next.catch(() => undefined)
      const piece = kept < KEPT_BYTES_MAX ? await Promise.race([next, late]) : 'late'
      if (piece === 'late') return { chunks, next }
      if (piece.done === true) return { chunks, next: null }
      chunks.push(piece.value)
      kept += piece.value.length
    }
  } finally {
    timer.cancel()
  }
}

/** Infinite where it is not said. */
function lengthOf({ headers }: IncomingMessage): number {
  return headers['content-length'] === undefined ? Number.POSITIVE_INFINITY : Number(headers['content-length'])
}

function writeHead(incoming: IncomingMessage, response: ServerResponse): void {
  response.writeHead(incoming.statusCode ?? 502, incoming.statusMessage ?? '', answerLines(incoming))
}

async function write(response: ServerResponse, chunk: Buffer): Promise<void> {
  if (response.write(chunk) || response.destroyed) return
  await new Promise<void>((resolve) => {
    const go = (): void => {
      response.removeListener('drain', go)
      response.removeListener('close', go)
      resolve()
    }
    response.once('drain', go)
    response.once('close', go)
  })
}

function end(incoming: IncomingMessage, response: ServerResponse): void {
  const trailers = trailerPairs(incoming.rawTrailers)
  if (trailers.length > 0) response.addTrailers(trailers)
  response.end()
}
