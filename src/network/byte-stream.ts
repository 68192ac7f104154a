import { Duplex } from 'node:stream'
import type { Stream } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'
import { NodeDaemonError } from '../core/errors.ts'

/** Received bytes that may wait for a slow reader before the stream is paused. */
const READ_AHEAD_BYTES = 512 * 1024
/** Bytes that may wait to be sent before the writer is held back. */
const WRITE_AHEAD_BYTES = 256 * 1024

const broken = (cause?: unknown): NodeDaemonError =>
  new NodeDaemonError('CLOSED', 'the connection broke', cause === undefined ? {} : { cause })

/**
 * Resolves once the stream's buffer has room. A `drain` event is the only sign that more was sent, and comes for every
 * bit of window that the other side grants: it takes several of them until the buffer is small.
 */
async function roomIn(stream: Stream): Promise<void> {
  while (isFull(stream)) await drained(stream)
}

const isFull = (stream: Stream): boolean => stream.writeBufferLength > WRITE_AHEAD_BYTES

function drained(stream: Stream): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (event: Event): void => {
      stream.removeEventListener('drain', settle)
      stream.removeEventListener('close', settle)
      if (event.type === 'drain') resolve()
      else reject(broken('error' in event ? event.error : undefined))
    }
    stream.addEventListener('drain', settle)
    stream.addEventListener('close', settle)
    if (stream.status !== 'open' && stream.status !== 'closing') settle(new Event('close'))
  })
}

/** Sends bytes and waits for room where there is none. */
export async function write(stream: Stream, bytes: Uint8Array | Uint8ArrayList): Promise<void> {
  send(stream, bytes)
  await roomIn(stream)
}

function send(stream: Stream, bytes: Uint8Array | Uint8ArrayList): void {
  try {
    stream.send(bytes)
  } catch (error) {
    throw broken(error)
  }
}

/** What arrives, in order, with backpressure: from now on the stream is paused while the reader is behind. */
export function read(stream: Stream): AsyncGenerator<Uint8ArrayList> {
  const inbox: Inbox = { queue: [], queued: 0, over: stream.readableEnded, error: undefined, wake: () => undefined }
  stream.addEventListener('message', (event) => {
    inbox.queue.push(event.data instanceof Uint8ArrayList ? event.data : new Uint8ArrayList(event.data))
    inbox.queued += event.data.byteLength
    pauseWhile(stream, () => inbox.queued > READ_AHEAD_BYTES)
    inbox.wake()
  })
  const onEnd = (event: Event): void => {
    inbox.over = true
    if ('error' in event) inbox.error ??= event.error ?? undefined
    inbox.wake()
  }
  stream.addEventListener('end', onEnd)
  stream.addEventListener('close', onEnd)
  return drain(stream, inbox)
}

/**
 * Pauses a stream whose reader is behind, once the event that is being handled is over: a stream that is paused while
 * it resumes goes on granting window to the other side, until its buffer is over the limit and it breaks.
 */
function pauseWhile(stream: Stream, isBehind: () => boolean): void {
  if (!isBehind()) return
  queueMicrotask(() => {
    if (isBehind() && stream.readStatus === 'readable') stream.pause()
  })
}

interface Inbox {
  readonly queue: Uint8ArrayList[]
  queued: number
  over: boolean
  error: unknown
  wake: () => void
}

async function* drain(stream: Stream, inbox: Inbox): AsyncGenerator<Uint8ArrayList> {
  for (;;) {
    const next = inbox.queue.shift()
    if (next !== undefined) {
      inbox.queued -= next.byteLength
      yield next
    } else if (stream.readStatus === 'paused') {
      stream.resume()
    } else if (inbox.over) {
      break
    } else {
      await new Promise<void>((resolve) => {
        inbox.wake = resolve
      })
    }
  }
  if (inbox.error !== undefined || stream.status === 'reset' || stream.status === 'aborted') throw broken(inbox.error)
}

/** The stream as a Node duplex, for `node:http`. */
export function toDuplex(stream: Stream, rest: Uint8Array = new Uint8Array(0)): Duplex {
  const duplex = new Duplex({
    allowHalfOpen: true,
    read() {
      if (stream.readStatus === 'paused') stream.resume()
    },
    write(chunk: Buffer, _encoding, callback) {
      pass(chunk, callback)
    },
    writev(chunks, callback) {
      pass(new Uint8ArrayList(...chunks.map(({ chunk }) => chunk as Buffer)), callback)
    },
    final(callback) {
      stream.close().then(() => callback(), callback)
    },
    destroy(error, callback) {
      if (stream.status === 'open' || stream.status === 'closing') stream.abort(error ?? broken())
      callback(error)
    }
  })
  const pass = (bytes: Uint8Array | Uint8ArrayList, callback: (error?: Error) => void): void => {
    try {
      send(stream, bytes)
    } catch (error) {
      callback(error instanceof Error ? error : broken(error))
      return
    }
    if (isFull(stream)) roomIn(stream).then(() => callback(), callback)
    else callback()
  }
  const end = (): void => {
    if (!duplex.readableEnded) duplex.push(null)
  }
  let ended = false
  if (rest.byteLength > 0) duplex.push(rest)
  stream.addEventListener('message', (event) => {
    for (const part of event.data instanceof Uint8ArrayList ? event.data : [event.data]) duplex.push(part)
    pauseWhile(stream, () => duplex.readableLength >= duplex.readableHighWaterMark)
  })
  stream.addEventListener('end', () => {
    if (ended) return
    ended = true
    end()
  })
  stream.addEventListener('close', (event) => {
    if (event.error !== undefined && event.error !== null) duplex.destroy(broken(event.error))
    else if (!ended) {
      ended = true
      end()
    }
  })
  return duplex
}
