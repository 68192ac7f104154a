import type { Duplex } from 'node:stream'
import { NodeDaemonError } from '../../core/errors.ts'
import { isPeerIdText, type PeerIdText } from '../../core/ids.ts'
import type { Link } from '../../network/host.ts'
import { RELAY_PROTOCOL } from '../../wire/front-door.ts'

const READY = 1
/** A PeerId and the end of its line. */
const LINE_BYTES_MAX = 100

/**
 * A byte stream that the coordinator at the other end of the link passes on to `target`: to an instance's ingress, or to
 * its own front door.
 *
 * @throws NodeDaemonError `OUT_OF_REACH` it cannot; nothing was sent
 */
export async function openRelay(link: Link, target: PeerIdText): Promise<Duplex> {
  const stream = await link.openBytes(RELAY_PROTOCOL)
  // Whoever uses it sees that it closes.
  stream.on('error', () => undefined)
  stream.write(`${target}\n`)
  const first = await readBytes(stream, 1)
  if (first?.[0] === READY) return stream
  stream.destroy()
  throw new NodeDaemonError('OUT_OF_REACH', `the coordinator does not reach ${target}`)
}

export interface RelayDeps {
  readonly self: PeerIdText
  /** Takes what is meant for this process itself. */
  readonly accept: (stream: Duplex) => void
  /** @throws NodeDaemonError `OUT_OF_REACH` */
  readonly connect: (target: PeerIdText) => Promise<Duplex>
}

/** Takes a stream that is to be passed on, and passes it on to whom it names. Never rejects. */
export async function serveRelay(stream: Duplex, { self, accept, connect }: RelayDeps): Promise<void> {
  stream.on('error', () => undefined)
  try {
    const target = await readTarget(stream)
    if (target === null) {
      stream.destroy()
    } else if (target === self) {
      stream.write(Uint8Array.of(READY))
      accept(stream)
    } else {
      const other = await connect(target)
      other.on('error', () => undefined)
      stream.write(Uint8Array.of(READY))
      join(stream, other)
      if (stream.destroyed) other.destroy()
    }
  } catch {
    // Whoever asked sees that the stream ends before it was taken.
    stream.destroy()
  }
}

/** Passes bytes both ways. Where one side breaks, so does the other. */
function join(one: Duplex, other: Duplex): void {
  one.pipe(other)
  other.pipe(one)
  one.once('close', () => other.destroy())
  other.once('close', () => one.destroy())
}

async function readTarget(stream: Duplex): Promise<PeerIdText | null> {
  let line = ''
  while (line.length < LINE_BYTES_MAX) {
    const byte = await readBytes(stream, 1)
    if (byte === null) return null
    const character = byte.toString('latin1')
    if (character === '\n') return isPeerIdText(line) ? line : null
    line += character
  }
  return null
}

/** So many bytes; null where the stream ends before. */
async function readBytes(stream: Duplex, count: number): Promise<Buffer | null> {
  for (;;) {
    const bytes = stream.read(count) as Buffer | null
    if (bytes !== null) return bytes.length === count ? bytes : null
    if (stream.readableEnded || stream.destroyed) return null
    await new Promise<void>((resolve) => {
      const settle = (): void => {
        for (const event of EVENTS) stream.removeListener(event, settle)
        resolve()
      }
      for (const event of EVENTS) stream.once(event, settle)
    })
  }
}

const EVENTS = ['readable', 'end', 'close'] as const
