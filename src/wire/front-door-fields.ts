import { NodeDaemonError } from '../core/errors.ts'
import { isGroupName } from '../core/ids.ts'
import { parse } from '../core/parse.ts'
import type {
  DoorAnswer,
  DoorGroup,
  DoorInstance,
  DoorPlace,
  DoorQuestion,
  DoorRules,
  DoorService
} from './front-door.ts'
import type { FromDoor as RawFromDoor, ToDoor as RawToDoor } from './generated/front-door.ts'
import { unknownKind } from './protocol.ts'

export const DOOR_LIMITS = {
  groupsMax: 1000,
  groupMembersMax: 10_000,
  placesMax: 1000,
  activityMax: 10_000,
  blockedMax: 1000,
  factsBytes: 64 * 1024,
  tokenMax: 512,
  nameMax: 100,
  keyBytesMin: 32,
  keyBytesMax: 128
} as const

export const PLACE_STATES = ['serving', 'moving', 'restoring', 'starting', 'orphaned'] as const

export const own = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => bytes as Uint8Array<ArrayBuffer>

type RawAsk = NonNullable<RawFromDoor['ask']>

export function encodeQuestion(question: DoorQuestion): Omit<RawAsk, 'id'> {
  switch (question.kind) {
    case 'token':
      return { token: question.token }
    case 'session':
      return { session: question.session }
    case 'sign-on':
      return { signOn: question.name }
    case 'create':
      return { create: { service: question.service, owner: question.owner } }
  }
}

export function decodeQuestion({ token, session, signOn, create }: RawAsk): DoorQuestion {
  if (token !== undefined) return { kind: 'token', token: bounded(token, DOOR_LIMITS.tokenMax) }
  if (session !== undefined) return { kind: 'session', session: bounded(session, DOOR_LIMITS.tokenMax) }
  if (signOn !== undefined) return { kind: 'sign-on', name: bounded(signOn, DOOR_LIMITS.tokenMax) }
  if (create === undefined) throw unknownKind()
  return { kind: 'create', service: parse.service(create.service), owner: parse.owner(create.owner) }
}

type Raw<Kind extends keyof RawToDoor> = NonNullable<RawToDoor[Kind]>
type RawPlace = Raw<'places'>['places'][number]

export const encodePlace = (place: DoorPlace): RawPlace => ({
  ...place,
  home: place.home ?? '',
  limitBytes: place.limitBytes ?? 0,
  limited: place.limitBytes !== null
})

export function decodePlace(raw: RawPlace | undefined): DoorPlace {
  if (raw === undefined) throw unknownKind()
  const state = parse.word(raw.state, PLACE_STATES, 'state of a workspace')
  return {
    workspace: parse.workspace(raw.workspace),
    service: parse.service(raw.service),
    owner: parse.owner(raw.owner),
    state,
    epoch: raw.epoch,
    home: state === 'serving' ? parse.peer(raw.home) : null,
    homeName: parse.line(raw.homeName, DOOR_LIMITS.nameMax),
    limitBytes: raw.limited ? raw.limitBytes : null
  }
}

export const encodeRules = ({ cookieKeys, rates, ...rules }: DoorRules): Raw<'rules'> => ({
  ...rules,
  requestsPerS: rates.requestsPerS ?? 0,
  guestsPerHour: rates.guestsPerHour ?? 0,
  cookieKey: own(cookieKeys.current),
  previousKeys: cookieKeys.previous.map(own)
})

export function decodeRules({ cookieKey, previousKeys, ...raw }: Raw<'rules'>): DoorRules {
  return {
    federation: parse.line(raw.federation, DOOR_LIMITS.nameMax),
    anonymous: raw.anonymous,
    holdMs: raw.holdMs,
    secure: raw.secure,
    userHeader: raw.userHeader === '' ? '' : bounded(raw.userHeader, DOOR_LIMITS.nameMax),
    cookieKeys: { current: key(cookieKey), previous: previousKeys.map(key) },
    facts: bounded(raw.facts, DOOR_LIMITS.factsBytes),
    rates: { requestsPerS: raw.requestsPerS || null, guestsPerHour: raw.guestsPerHour || null }
  }
}

export const decodeInstance = ({ peer, name, services }: Raw<'instances'>['instances'][number]): DoorInstance => ({
  peer: parse.peer(peer),
  name: parse.line(name, DOOR_LIMITS.nameMax),
  services: services.map(parse.service)
})

export const decodeGroup = ({ name, members }: Raw<'groups'>['groups'][number]): DoorGroup => {
  if (!isGroupName(name)) throw new NodeDaemonError('BAD_REQUEST', 'a message has a bad group')
  return { name, members: members.map(({ user, write }) => ({ user: bounded(user, DOOR_LIMITS.nameMax), write })) }
}

export const decodeService = ({ name, ...raw }: Raw<'services'>['services'][number]): DoorService => ({
  ...raw,
  name: parse.service(name)
})

export function encodeAnswer(answer: DoorAnswer): Omit<Raw<'told'>, 'id'> {
  const none = { code: '', message: '', user: '', blocked: false }
  switch (answer.kind) {
    case 'failure':
      return { ...none, code: answer.code, message: answer.message }
    case 'place':
      return { ...none, place: encodePlace(answer.place) }
    case 'user':
      return answer.user === 'blocked' ? { ...none, blocked: true } : { ...none, user: answer.user ?? '' }
  }
}

export function decodeAnswer({ code, message, user, blocked, place }: Raw<'told'>): DoorAnswer {
  if (code !== '') return { kind: 'failure', code: parse.errorCode(code), message: parse.line(message, 1000) }
  if (place !== undefined) return { kind: 'place', place: decodePlace(place) }
  if (blocked) return { kind: 'user', user: 'blocked' }
  return { kind: 'user', user: user === '' ? null : parse.user(user) }
}

function key(bytes: Uint8Array): Uint8Array {
  const { keyBytesMin, keyBytesMax } = DOOR_LIMITS
  if (bytes.length >= keyBytesMin && bytes.length <= keyBytesMax) return bytes
  throw new NodeDaemonError('BAD_REQUEST', 'a key has a bad length')
}

function bounded(text: string, max: number): string {
  if (text.length > 0 && text.length <= max) return text
  throw new NodeDaemonError('BAD_REQUEST', 'a text of a message is empty or too long')
}
