import type { ClientRequest, InformationEvent, ServerResponse } from 'node:http'
import { NodeDaemonError } from '../core/errors.ts'

/** What is said before an answer: `103 Early Hints`, `102 Processing`. */
export type Interim = Pick<InformationEvent, 'statusCode' | 'rawHeaders'>

/** Nobody says more than this before an answer. */
const INTERIMS_MAX = 64

/** Hears what is said before the answer. Whoever says too much is broken off with `PROTOCOL_VIOLATION`. */
export function onInterim(outgoing: ClientRequest, hear: (interim: Interim) => void): void {
  let count = 0
  outgoing.on('information', (interim) => {
    count += 1
    if (count > INTERIMS_MAX) {
      outgoing.destroy(new NodeDaemonError('PROTOCOL_VIOLATION', 'too much was said before the answer'))
    } else hear(interim)
  })
}

/** Passes it on, without what could be taken for more than a hint. `100 Continue` is between two hops alone. */
export function passInterim({ statusCode, rawHeaders }: Interim, response: ServerResponse): void {
  if (response.headersSent || response.req.httpVersion === '1.0') return
  if (statusCode === 102) response.writeProcessing()
  if (statusCode !== 103) return
  const links = rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === 'link')
  const plain = links.flatMap((link) => link.split(/, *(?=<)/)).filter((link) => LINK.test(link))
  if (plain.length > 0) response.writeEarlyHints({ link: plain })
}

/** One link, as node takes it. */
const LINK = /^<[^<>"\s]*>(?:; ?[\w-]+(?:=(?:[\w/.-]+|"[^";\s]*"))?)*$/
