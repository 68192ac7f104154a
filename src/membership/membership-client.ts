import { type Clock, sleep, withTimeout } from '../core/clock.ts'
import { open, type Signed } from '../core/envelope.ts'
import { type ErrorCode, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { jitter, type Random } from '../core/random.ts'
import { type Certificate, certificateRecord, type MemberList, memberListRecord } from '../core/records.ts'
import type { Host } from '../network/host.ts'
import {
  type Description,
  type FromMembership,
  type JoinRequest,
  MEMBERSHIP_PROTOCOL,
  membershipReply,
  membershipRequest,
  type Standing,
  type StandingState,
  type ToMembership
} from '../wire/membership.ts'

/** How long the coordinator may keep a question for news. A stranger's connection ends after ten seconds. */
const POLL_MS = 6000
/** From the opened connection to the answer. */
const ANSWER_MS = 10_000
/** Between two questions while the coordinator answers: soon at first, then less often. */
const PAUSE_MS = { first: 250, max: 3000 } as const
/** Between two attempts while it does not. */
const RETRY_MS = { first: 500, max: 30_000 } as const

/** The coordinator, as the instance knows it. */
export interface Coordinator {
  readonly peer: PeerIdText
  readonly addresses: readonly string[]
}

/** How this instance stands. What is signed was checked: by this coordinator, for this instance. */
export interface OwnStanding {
  readonly state: StandingState
  readonly name: string
  /** Why denied or revoked; empty otherwise. */
  readonly reason: string
  /** Both null unless approved. */
  readonly certificate: Signed<Certificate> | null
  readonly memberList: Signed<MemberList> | null
  /** The coordinator's time of day. */
  readonly clockMs: number
}

export interface MembershipClientDeps {
  readonly host: Host
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

const ADVICE: Partial<Record<ErrorCode, string>> = {
  NAME_TAKEN: 'choose another with --name',
  BAD_REQUEST: 'choose another name with --name, and shorter texts',
  FORBIDDEN: 'ask the admin for a new invite, or join without one and wait for approval',
  TERMS_NOT_ACCEPTED: 'read them, and join with --accept-terms if you agree',
  BUSY: 'try again later'
}

/** After these another attempt makes no sense: whoever answers is not the coordinator that was chosen. */
const FINAL: readonly ErrorCode[] = ['WRONG_COORDINATOR', 'BAD_SIGNATURE']

/**
 * What the instance asks a coordinator before it is a member. Each call makes a short connection of its own.
 *
 * Every call throws NodeDaemonError `OUT_OF_REACH`, `CLOSED` or `TIMED_OUT` when there was no answer (whether the request
 * took effect is not known: all of them can be repeated), `WRONG_COORDINATOR` when another key answers, `ABORTED` by the
 * signal, and what the coordinator says.
 */
export class MembershipClient {
  readonly #deps: MembershipClientDeps

  constructor(deps: MembershipClientDeps) {
    this.#deps = deps
  }

  async describe(coordinator: Coordinator, signal?: AbortSignal): Promise<Description> {
    const reply = await this.#ask(coordinator, { kind: 'describe' }, signal)
    if (reply.kind !== 'description') throw unexpected(reply)
    return reply.description
  }

  /** @throws also `NAME_TAKEN`, `TERMS_NOT_ACCEPTED`, `FORBIDDEN` for a bad invite, `BUSY`, `BAD_REQUEST`, with advice */
  async join(coordinator: Coordinator, join: JoinRequest, signal?: AbortSignal): Promise<OwnStanding> {
    return this.#standing(coordinator, { kind: 'join', join }, signal)
  }

  /** How this instance stands, at once, or once it is not pending any more, or after `waitMs` (8 s at most). */
  async standing(coordinator: Coordinator, waitMs: number, signal?: AbortSignal): Promise<OwnStanding> {
    return this.#standing(coordinator, { kind: 'standing', waitMs }, signal)
  }

  /** Waits for the decision for as long as it takes, also while the coordinator is away. Throws only what is final. */
  async pollStanding(coordinator: Coordinator, signal?: AbortSignal): Promise<OwnStanding> {
    const { clock, random, log } = this.#deps
    let pauseMs: number = PAUSE_MS.first
    let retryMs: number = RETRY_MS.first
    for (;;) {
      try {
        const standing = await this.standing(coordinator, POLL_MS, signal)
        if (standing.state !== 'pending') return standing
        retryMs = RETRY_MS.first
        await sleep(clock, jitter(random, pauseMs), signal)
        pauseMs = Math.min(PAUSE_MS.max, pauseMs * 2)
      } catch (error) {
        if (signal?.aborted || !(error instanceof NodeDaemonError) || FINAL.includes(error.code)) throw error
        log.info({ error: messageOf(error) }, 'the coordinator does not answer; asking again')
        await sleep(clock, jitter(random, retryMs), signal)
        retryMs = Math.min(RETRY_MS.max, retryMs * 2)
      }
    }
  }

  /** Shows what the coordinator has signed for this instance, where that does not know it any more. */
  async present(coordinator: Coordinator, certificate: Uint8Array, signal?: AbortSignal): Promise<OwnStanding> {
    return this.#standing(coordinator, { kind: 'present', certificate }, signal)
  }

  /** Gives up the membership. Doing it again is no error. @throws also `NOT_A_MEMBER` */
  async resign(coordinator: Coordinator, signal?: AbortSignal): Promise<void> {
    await this.#standing(coordinator, { kind: 'resign' }, signal)
  }

  async #standing(coordinator: Coordinator, request: ToMembership, signal?: AbortSignal): Promise<OwnStanding> {
    const reply = await this.#ask(coordinator, request, signal)
    if (reply.kind !== 'standing') throw unexpected(reply)
    return checkedStanding(reply.standing, this.#deps.host.peerId, coordinator.peer)
  }

  async #ask({ addresses, peer }: Coordinator, request: ToMembership, signal?: AbortSignal): Promise<FromMembership> {
    const link = await this.#deps.host.dial(addresses, peer, signal)
    try {
      const exchange = async (limit: AbortSignal): Promise<Uint8Array | null> => {
        const channel = await link.open(MEMBERSHIP_PROTOCOL, limit)
        await channel.send(membershipRequest.encode(request))
        return channel.receive(limit)
      }
      const frame = await withTimeout(this.#deps.clock, ANSWER_MS, 'the coordinator’s answer', exchange, signal)
      if (frame === null) throw new NodeDaemonError('CLOSED', 'the coordinator ended the stream without an answer')
      return answered(membershipReply.decode(frame))
    } finally {
      await link.close()
    }
  }
}

function answered(reply: FromMembership): FromMembership {
  if (reply.kind !== 'failure') return reply
  const advice = ADVICE[reply.code]
  throw new NodeDaemonError(reply.code, reply.message, advice === undefined ? {} : { advice })
}

const unexpected = ({ kind }: FromMembership): NodeDaemonError =>
  new NodeDaemonError('PROTOCOL_VIOLATION', `the coordinator answers with a ${kind} that was not asked for`)

/** @throws NodeDaemonError `BAD_SIGNATURE` when what proves the membership is of another signer, or for another peer */
async function checkedStanding(standing: Standing, own: PeerIdText, coordinator: PeerIdText): Promise<OwnStanding> {
  const { state, name, reason, clockMs } = standing
  if (state !== 'approved') return { state, name, reason, clockMs, certificate: null, memberList: null }
  const certificate = await open(certificateRecord, standing.certificate, coordinator)
  const memberList = await open(memberListRecord, standing.memberList, coordinator)
  const ours = certificate.value.peer === own && certificate.value.federation === coordinator
  if (!ours || memberList.value.federation !== coordinator) {
    throw new NodeDaemonError('BAD_SIGNATURE', 'the coordinator sent a certificate or member list of others')
  }
  return { state, name, reason, clockMs, certificate, memberList }
}
