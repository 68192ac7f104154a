import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Clock } from '../../core/clock.ts'
import { messageOf, NodeDaemonError } from '../../core/errors.ts'
import type { PeerIdText } from '../../core/ids.ts'
import type { Random } from '../../core/random.ts'
import { agentOf } from '../proxy.ts'
import { checkProof, PROOF_LIMITS, proofUrl } from './proof.ts'

const DIAL_MS = 4_000
const NONCE_BYTES = 32

export interface Dialled {
  /** Ready for a request. */
  readonly stream: Socket
  /** The id of the newest ticket key that the instance knows; empty where it knows none. */
  readonly key: string
}

/**
 * Connects to the ingress of an instance. Whoever answers on this very connection has proven to have the key of the instance.
 *
 * @throws NodeDaemonError `OUT_OF_REACH` nobody answers, or not as an ingress; `BAD_SIGNATURE` somebody else answers
 */
export async function dialIngress(
  deps: { readonly clock: Clock; readonly random: Random },
  peer: PeerIdText,
  url: string
): Promise<Dialled> {
  const stream = connectTo(new URL(url))
  // Whoever uses the stream later listens for `close`.
  stream.on('error', () => undefined)
  const timer = deps.clock.after(DIAL_MS, () => {
    stream.destroy(new Error(`no answer within ${DIAL_MS} ms`))
  })
  try {
    const nonce = deps.random.bytes(NONCE_BYTES)
    const proof = await ask(stream, new URL(url).host, proofUrl(nonce))
    const key = await checkProof(proof, { peer, url, nonce })
    if (stream.destroyed) throw new Error('the connection was closed')
    return { stream, key }
  } catch (error) {
    stream.destroy()
    if (error instanceof NodeDaemonError) throw error
    throw new NodeDaemonError('OUT_OF_REACH', `${url}: ${messageOf(error)}`)
  } finally {
    timer.cancel()
  }
}

function connectTo({ protocol, hostname, port }: URL): Socket {
  const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
  if (protocol === 'http:') return connectTcp({ host, port: Number(port || 80), noDelay: true })
  const named = /^[\d.]+$|:/.test(host) ? {} : { servername: host }
  return connectTls({ host, port: Number(port || 443), ALPNProtocols: ['http/1.1'], ...named })
}

/** Resolves with the body of the answer, once the stream is free for another request. */
function ask(stream: Socket, host: string, path: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const { promise: free, resolve: onFree } = Promise.withResolvers<void>()
    stream.once('free', onFree)
    stream.once('close', () => reject(stream.errored ?? new Error('the connection was closed')))
    const upstream = httpRequest({ agent: agentOf(stream), path, headers: ['host', host], setHost: false })
    upstream.on('error', reject)
    upstream.once('response', (incoming) => {
      if (incoming.statusCode !== 200) return reject(new Error(`the answer is ${incoming.statusCode}, of no ingress`))
      Promise.all([bodyOf(incoming), free]).then(([body]) => resolve(body), reject)
    })
    upstream.end()
  })
}

async function bodyOf(incoming: IncomingMessage): Promise<Uint8Array> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of incoming as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > PROOF_LIMITS.answerBytes) throw new Error('the answer is that of no ingress')
    parts.push(part)
  }
  return Buffer.concat(parts)
}
