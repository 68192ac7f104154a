import { type Clock, withTimeout } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Channel, Host, Link } from '../network/host.ts'
import {
  type Description,
  type FromMembership,
  JOIN_LIMITS,
  type JoinRequest,
  MEMBERSHIP_PROTOCOL,
  membershipReply,
  membershipRequest,
  type ToMembership
} from '../wire/membership.ts'
import { REVISION } from '../wire/revision.ts'
import type { MemberRegistry } from './registry.ts'

/** From opening a stream to the end of the answer. */
export const MEMBERSHIP_STREAM_MS = 10_000

export interface MembershipServerDeps {
  readonly registry: MemberRegistry
  /** What the federation says of itself now. */
  readonly describe: () => Omit<Description, 'clockMs' | 'revision'>
  /** A peer shows what this coordinator signed for it once. Where that counts, it is a member on return. */
  readonly present: (peer: PeerIdText, certificate: Uint8Array) => Promise<void>
  readonly clock: Clock
  readonly log: Logger
}

/** Answers members and strangers alike: one request on each stream, one answer, within ten seconds. */
export async function serveMembership(host: Host, deps: MembershipServerDeps): Promise<void> {
  await host.handle(MEMBERSHIP_PROTOCOL, (channel, link) =>
    withTimeout(deps.clock, MEMBERSHIP_STREAM_MS, 'a membership request', (signal) =>
      serveOne(deps, channel, link, signal)
    )
  )
}

async function serveOne(deps: MembershipServerDeps, channel: Channel, link: Link, signal: AbortSignal): Promise<void> {
  const frame = await channel.receive(signal)
  if (frame === null) return
  const request = membershipRequest.decode(frame)
  const reply = await answer(deps, request, link, signal).catch((error: unknown) => failure(deps, link.peer, error))
  await channel.send(membershipReply.encode(reply))
}

async function answer(
  { registry, describe, present, clock }: MembershipServerDeps,
  request: ToMembership,
  { peer, remoteAddress }: Link,
  signal: AbortSignal
): Promise<FromMembership> {
  switch (request.kind) {
    case 'describe':
      return { kind: 'description', description: { ...describe(), clockMs: clock.wall(), revision: REVISION } }
    case 'join':
      if (registry.standing(peer) !== 'member') checkTerms(describe().terms, request.join)
      return { kind: 'standing', standing: await registry.join(peer, request.join, remoteAddress) }
    case 'standing':
      await registry.wait(peer, Math.min(request.waitMs, JOIN_LIMITS.waitMsMax), signal)
      return { kind: 'standing', standing: registry.standingOf(peer) }
    case 'present':
      await present(peer, request.certificate)
      return { kind: 'standing', standing: registry.standingOf(peer) }
    case 'resign':
      await registry.resign(peer)
      return { kind: 'standing', standing: registry.standingOf(peer) }
  }
}

function checkTerms(terms: string, { acceptedTerms }: JoinRequest): void {
  if (terms === '' || acceptedTerms === terms) return
  throw new NodeDaemonError('TERMS_NOT_ACCEPTED', `this federation has terms, which were not accepted: ${terms}`)
}

/** Only what was meant to be told is told. */
function failure({ log }: MembershipServerDeps, peer: PeerIdText, error: unknown): FromMembership {
  if (error instanceof NodeDaemonError) return { kind: 'failure', code: error.code, message: error.message }
  log.error({ peer, error: messageOf(error) }, 'a membership request failed')
  return { kind: 'failure', code: 'UNEXPECTED', message: 'the coordinator could not answer; its log says why' }
}
