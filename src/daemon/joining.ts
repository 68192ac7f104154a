import { type Clock, sleep } from '../core/clock.ts'
import { hasCode, messageOf, NodeDaemonError } from '../core/errors.ts'
import { pairingCode } from '../core/identity.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { KeyValue } from '../core/key-value.ts'
import type { Logger } from '../core/log.ts'
import { jitter, type Random } from '../core/random.ts'
import { discover, type Found } from '../membership/discover.ts'
import { type Coordinator, MembershipClient, type OwnStanding } from '../membership/membership-client.ts'
import { checkOwnCode } from '../membership/pairing.ts'
import { checkTrust, isProven, type JoinTarget, parseTarget } from '../membership/target.ts'
import type { Host } from '../network/host.ts'
import type { Description, JoinRequest } from '../wire/membership.ts'
import { knows } from '../wire/revision.ts'
import { KnownMembers } from './known-members.ts'
import type { InstanceDeps, InstanceOptions } from './options.ts'
import { type Pin, pinFirst, readPin, writePin } from './pin.ts'

const RETRY_MS = 2000
/** At the first join the address may simply be wrong: it is not tried for longer than this. */
const FIRST_MS = 30_000

export interface JoiningDeps {
  readonly host: Host
  readonly state: KeyValue
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly report: InstanceDeps['report']
  readonly interactive: boolean
  readonly confirm: InstanceDeps['confirm']
  readonly signal: AbortSignal
}

/** A coordinator that is pinned, and a membership that it has approved. */
export interface Joined {
  readonly pin: Pin
  readonly standing: OwnStanding
}

/** Where to join, and what was said beforehand. */
export type JoinOptions = Pick<InstanceOptions, 'coordinator' | 'code' | 'acceptTerms'>

/** What the join tells beside who it is. */
export type Offer = Omit<JoinRequest, 'invite' | 'acceptedTerms'>

/**
 * Finds the coordinator, pins its key, asks to become a member and waits for the decision, for as long as it takes.
 *
 * @throws NodeDaemonError `DENIED`, `REVOKED`; `WRONG_COORDINATOR` when another key answers than the pinned one; what is
 *   wrong with the request; `ABORTED`
 */
export async function joinFederation(deps: JoiningDeps, options: JoinOptions, offer: Offer): Promise<Joined> {
  const pinned = await readPin(deps.state)
  if (pinned === null && options.coordinator === null) {
    throw new NodeDaemonError('BAD_USAGE', 'this machine has not joined a federation yet', {
      advice: `say which: node-daemon ${offer.role === 'front-door' ? 'front-door --coordinator' : 'join'} https://main.example.org`
    })
  }
  const target = options.coordinator === null ? null : parseTarget(options.coordinator)
  const found = target === null ? null : await find(deps, target, options, pinned)
  const pin = await pinOf(deps.state, pinned, found, options, offer.name)
  deps.report({ event: 'connecting', coordinator: pin.federation === '' ? pin.peer : pin.federation })
  const unproven = pinned === null && target !== null && !isProven(target) && options.code === null
  return ask(deps, pin, options, { ...offer, invite: target?.invite ?? '' }, unproven)
}

/** Asks the web address until it answers: a coordinator that is away at the start is waited for. */
async function find(deps: JoiningDeps, target: JoinTarget, options: JoinOptions, pinned: Pin | null): Promise<Found> {
  checkTrust(target, { code: options.code !== null, terminal: deps.interactive })
  const until = pinned === null ? deps.clock.now() + FIRST_MS : Number.POSITIVE_INFINITY
  for (;;) {
    try {
      const found = await discover({ fetch, clock: deps.clock }, target, deps.signal)
      if (pinned !== null && found.peerId !== pinned.peer) throw anotherCoordinator(found.peerId, pinned.peer)
      return found
    } catch (error) {
      if (!hasCode(error, 'OUT_OF_REACH', 'TIMED_OUT') || deps.signal.aborted) throw error
      if (deps.clock.now() >= until) throw outOfPatience(error)
      deps.report({ event: 'unreachable', reason: messageOf(error) })
      await sleep(deps.clock, jitter(deps.random, RETRY_MS), deps.signal)
    }
  }
}

const outOfPatience = (error: NodeDaemonError): NodeDaemonError =>
  new NodeDaemonError('OUT_OF_REACH', error.message, {
    advice: error.advice ?? 'is that the address of the coordinator? ask the admin, and join again',
    cause: error
  })

const anotherCoordinator = (found: PeerIdText, pinned: PeerIdText): NodeDaemonError =>
  new NodeDaemonError('WRONG_COORDINATOR', `that is coordinator ${found}, but this machine has joined ${pinned}`, {
    advice: 'to join another federation, give another folder with --data; to move, run "node-daemon leave" first'
  })

async function pinOf(
  state: KeyValue,
  pinned: Pin | null,
  found: Found | null,
  options: JoinOptions,
  name: string
): Promise<Pin> {
  if (found === null) {
    if (pinned === null) throw new NodeDaemonError('BAD_USAGE', 'no coordinator is known')
    return pinned
  }
  const typed = options.coordinator?.split('#')[0] ?? pinned?.typed ?? ''
  const federation = found.federation ?? pinned?.federation ?? ''
  const acceptedTerms = pinned?.acceptedTerms ?? ''
  const pin = { peer: found.peerId, addresses: found.addresses, typed, federation, name, acceptedTerms }
  if (pinned !== null) await writePin(state, pin)
  return pin
}

/** `unproven`: nothing but an unencrypted answer says that this is the coordinator. The person compares the code. */
async function ask(
  deps: JoiningDeps,
  pin: Pin,
  options: JoinOptions,
  offer: Offer & { readonly invite: string },
  unproven: boolean
): Promise<Joined> {
  const client = new MembershipClient(deps)
  const isNew = (await readPin(deps.state)) === null
  const patienceMs = isNew ? FIRST_MS : Number.POSITIVE_INFINITY
  if (isNew) await compareCode(deps, pin, options)
  const description = await described(deps, client, pin, patienceMs)
  if (offer.role !== 'instance' && !knows(description, 'role')) throw tooOld()
  const { name, terms } = description
  const acceptedTerms = isNew ? await accepted(deps, options, terms) : pin.acceptedTerms
  if (acceptedTerms !== terms)
    deps.report({ event: 'warning', text: `the terms have changed since you joined: ${terms}` })
  const standing = await untilReached(deps, patienceMs, () =>
    client.join(pin, { ...offer, acceptedTerms }, deps.signal)
  )
  const code = pairingCode(deps.host.peerId, pin.peer)
  if (standing.state === 'pending') deps.report({ event: 'pending', code, name: standing.name })
  if (unproven && !(await deps.confirm(`Does the admin of ${name} see the code ${code} too?`))) throw codesDiffer()
  const known = { ...pin, federation: name, acceptedTerms }
  await (isNew ? pinFirst(deps.state, known) : writePin(deps.state, known))
  const last = standing.state === 'pending' ? await decision(deps, client, known, description) : standing
  return { pin: known, standing: decided(last) }
}

/** A coordinator that has lost its state sees what it signed once; else the admin decides. */
async function decision(
  deps: JoiningDeps,
  client: MembershipClient,
  pin: Pin,
  description: Description
): Promise<OwnStanding> {
  const { certificate } = await KnownMembers.open(deps.state, pin.peer)
  if (certificate !== null && knows(description, 'present'))
    await untilReached(deps, Number.POSITIVE_INFINITY, () => client.present(pin, certificate, deps.signal))
  return client.pollStanding(pin, deps.signal)
}

const tooOld = (): NodeDaemonError =>
  new NodeDaemonError('REFUSED_BY_POLICY', 'this coordinator knows of no front doors but its own', {
    advice: 'ask the admin to upgrade it'
  })

const codesDiffer = (): NodeDaemonError =>
  new NodeDaemonError(
    'WRONG_COORDINATOR',
    'the codes differ: somebody may be between this machine and the coordinator',
    {
      advice: 'ask the admin for an invite link or a multiaddr, and join with that'
    }
  )

async function compareCode({ host }: JoiningDeps, pin: Pin, { code }: JoinOptions): Promise<void> {
  if (code !== null) checkOwnCode(code, host.peerId, pin.peer)
}

async function described(
  deps: JoiningDeps,
  client: MembershipClient,
  pin: Coordinator,
  patienceMs: number
): Promise<Description> {
  const description = await untilReached(deps, patienceMs, () => client.describe(pin, deps.signal))
  const { name, terms, services } = description
  deps.report({ event: 'described', federation: name, services, terms })
  return description
}

async function accepted(deps: JoiningDeps, { acceptTerms }: JoinOptions, terms: string): Promise<string> {
  if (terms === '' || acceptTerms) return terms
  if (await deps.confirm(`Do you accept the terms at ${terms}?`)) return terms
  throw new NodeDaemonError('TERMS_NOT_ACCEPTED', `the terms at ${terms} were not accepted`, {
    advice: 'read them, and join with --accept-terms if you agree'
  })
}

async function untilReached<T>(deps: JoiningDeps, patienceMs: number, work: () => Promise<T>): Promise<T> {
  const until = deps.clock.now() + patienceMs
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!hasCode(error, 'OUT_OF_REACH', 'TIMED_OUT', 'CLOSED') || deps.signal.aborted) throw error
      if (deps.clock.now() >= until) throw outOfPatience(error)
      deps.report({ event: 'unreachable', reason: messageOf(error) })
      await sleep(deps.clock, jitter(deps.random, RETRY_MS), deps.signal)
    }
  }
}

function decided(standing: OwnStanding): OwnStanding {
  const why = standing.reason === '' ? 'no reason was given' : standing.reason
  switch (standing.state) {
    case 'approved':
      return standing
    case 'denied':
      throw new NodeDaemonError('DENIED', `the admin denied this instance: ${why}`)
    case 'revoked':
      throw new NodeDaemonError('REVOKED', `the admin revoked this instance: ${why}`)
    default:
      throw new NodeDaemonError(
        'NOT_A_MEMBER',
        `the coordinator does not count this instance as a member: ${standing.state}`
      )
  }
}
