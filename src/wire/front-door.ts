import type { ErrorCode } from '../core/errors.ts'
import type { GroupName, OwnerId, PeerIdText, ServiceName, UserId, WorkspaceId } from '../core/ids.ts'
import { parse } from '../core/parse.ts'
import {
  DOOR_LIMITS,
  decodeAnswer,
  decodeGroup,
  decodeInstance,
  decodePlace,
  decodeQuestion,
  decodeRules,
  decodeService,
  encodeAnswer,
  encodePlace,
  encodeQuestion,
  encodeRules,
  own,
  type PLACE_STATES
} from './front-door-fields.ts'
import { FromDoor as RawFromDoor, ToDoor as RawToDoor } from './generated/front-door.ts'
import { checkedAddress } from './neighbours.ts'
import { type Protocol, unknownKind, type WireCodec, wireCodec } from './protocol.ts'

export { DOOR_LIMITS }

/** What a front door and its coordinator tell each other. */
export const FRONT_DOOR_PROTOCOL: Protocol = {
  id: '/node-daemon/front-door/1.0.0',
  maxFrameBytes: 4 * 1024 * 1024,
  maxStreams: 1,
  open: 'members'
}

/** Bytes that the coordinator passes on between a front door and somebody whom that cannot reach. */
export const RELAY_PROTOCOL: Protocol = {
  id: '/node-daemon/relay/1.0.0',
  maxFrameBytes: 0,
  maxStreams: 1000,
  open: 'members'
}

/** Where a workspace is served. */
export interface DoorPlace {
  readonly workspace: WorkspaceId
  readonly service: ServiceName
  readonly owner: OwnerId
  /** Requests pass only while it is `serving`. */
  readonly state: (typeof PLACE_STATES)[number]
  readonly epoch: number
  /** Null unless serving. */
  readonly home: PeerIdText | null
  readonly homeName: string
  /** How much it may hold, in bytes; null: no bound. */
  readonly limitBytes: number | null
}

/** What a front door sees of a workspace. */
export interface Activity {
  readonly workspace: WorkspaceId
  readonly inFlight: boolean
  /** A request is in flight that does not end soon. */
  readonly long: boolean
  /** Connections are open that speak another protocol than HTTP by now. */
  readonly sockets: boolean
  /** For how long nobody has asked anything of it. */
  readonly quietMs: number
}

/** What a front door asks the coordinator. */
export type DoorQuestion =
  /** Whose token is this? */
  | { readonly kind: 'token'; readonly token: string }
  /** Whose session is this? */
  | { readonly kind: 'session'; readonly session: string }
  /** A trusted sign-on proxy names this user. */
  | { readonly kind: 'sign-on'; readonly name: string }
  /** A workspace for one who has none. */
  | { readonly kind: 'create'; readonly service: ServiceName; readonly owner: OwnerId }

export type FromDoor =
  | {
      readonly kind: 'hello'
      readonly version: string
      /** Where instances reach it, as multiaddrs. */
      readonly addresses: readonly string[]
      readonly revision: number
    }
  | { readonly kind: 'beat'; readonly sequence: number; readonly activity: readonly Activity[] }
  /** No request of the workspace of this hold is in flight. */
  | { readonly kind: 'quiet'; readonly hold: number }
  | { readonly kind: 'ask'; readonly id: number; readonly question: DoorQuestion }

/** How a front door is to behave; the same for all of a federation. */
export interface DoorRules {
  readonly federation: string
  readonly anonymous: boolean
  readonly holdMs: number
  readonly secure: boolean
  /** The header in which a trusted sign-on proxy names the user; empty: none. */
  readonly userHeader: string
  readonly cookieKeys: { readonly current: Uint8Array; readonly previous: readonly Uint8Array[] }
  /** What `/.well-known/node-daemon` answers, as JSON. */
  readonly facts: string
  /** What one client address may do at each front door; null: no bound. */
  readonly rates: { readonly requestsPerS: number | null; readonly guestsPerHour: number | null }
}

export interface DoorInstance {
  readonly peer: PeerIdText
  readonly name: string
  readonly services: readonly ServiceName[]
}

export interface DoorService {
  readonly name: ServiceName
  /** A host name, or else the prefix counts, which is empty for the service at `/`. */
  readonly host: string
  readonly prefix: string
  readonly scope: string
  /** The group whose members alone may write; empty: everybody. */
  readonly writers: string
}

export interface DoorGroup {
  readonly name: GroupName
  /** By their name, without `user:`. */
  readonly members: readonly { readonly user: string; readonly write: boolean }[]
}

/** The answer to a question. */
export type DoorAnswer =
  | { readonly kind: 'user'; readonly user: UserId | 'blocked' | null }
  | { readonly kind: 'place'; readonly place: DoorPlace }
  | { readonly kind: 'failure'; readonly code: ErrorCode; readonly message: string }

export type ToDoor =
  | {
      readonly kind: 'welcome'
      readonly name: string
      readonly certificate: Uint8Array
      readonly memberList: Uint8Array
      readonly beatMs: number
      readonly revision: number
    }
  | { readonly kind: 'rules'; readonly rules: DoorRules }
  /** `gone`: workspaces that are no more. `whole`: with these, all workspaces have been told on this stream. */
  | {
      readonly kind: 'places'
      readonly places: readonly DoorPlace[]
      readonly gone: readonly WorkspaceId[]
      readonly whole: boolean
    }
  | { readonly kind: 'instances'; readonly instances: readonly DoorInstance[] }
  | { readonly kind: 'services'; readonly services: readonly DoorService[] }
  /** Users that are blocked; `first`: those told before are not any more. What was asked about users is to be forgotten. */
  | { readonly kind: 'blocked'; readonly users: readonly UserId[]; readonly first: boolean }
  /** Groups, in parts; `first`: those told before are not any more. */
  | { readonly kind: 'groups'; readonly groups: readonly DoorGroup[]; readonly first: boolean }
  | { readonly kind: 'lease'; readonly sequence: number; readonly leaseMs: number }
  /** Requests of the workspace are held by now; `quiet` is to be said once none is in flight. */
  | { readonly kind: 'hold'; readonly id: number; readonly place: DoorPlace }
  | { readonly kind: 'break-off'; readonly workspace: WorkspaceId; readonly which: 'long' | 'all' }
  | { readonly kind: 'drop-home'; readonly peer: PeerIdText }
  | { readonly kind: 'told'; readonly id: number; readonly answer: DoorAnswer }
  | { readonly kind: 'members'; readonly memberList: Uint8Array }
  | { readonly kind: 'goodbye'; readonly code: ErrorCode; readonly message: string }

export const fromDoor: WireCodec<FromDoor> = wireCodec(
  (message) => {
    switch (message.kind) {
      case 'hello': {
        const { version, addresses, revision } = message
        return RawFromDoor.encode({ hello: { version, addresses: [...addresses], revision } })
      }
      case 'beat':
        return RawFromDoor.encode({ beat: { sequence: message.sequence, activity: [...message.activity] } })
      case 'quiet':
        return RawFromDoor.encode({ quiet: { hold: message.hold } })
      case 'ask':
        return RawFromDoor.encode({ ask: { id: message.id, ...encodeQuestion(message.question) } })
    }
  },
  (frame) => {
    const raw = RawFromDoor.decode(frame)
    if (raw.beat !== undefined) {
      const activity = raw.beat.activity.map((one) => ({ ...one, workspace: parse.workspace(one.workspace) }))
      return { kind: 'beat', sequence: raw.beat.sequence, activity }
    }
    if (raw.quiet !== undefined) return { kind: 'quiet', hold: raw.quiet.hold }
    if (raw.ask !== undefined) return { kind: 'ask', id: raw.ask.id, question: decodeQuestion(raw.ask) }
    if (raw.hello === undefined) throw unknownKind()
    const { version, addresses, revision } = raw.hello
    return { kind: 'hello', version: parse.line(version, 40), addresses: addresses.map(checkedAddress), revision }
  }
)

export const toDoor: WireCodec<ToDoor> = wireCodec(
  (message) => {
    switch (message.kind) {
      case 'welcome': {
        const { name, certificate, memberList, beatMs, revision } = message
        return RawToDoor.encode({
          welcome: { name, certificate: own(certificate), memberList: own(memberList), beatMs, revision }
        })
      }
      case 'rules':
        return RawToDoor.encode({ rules: encodeRules(message.rules) })
      case 'places': {
        const { places, gone, whole } = message
        return RawToDoor.encode({ places: { places: places.map(encodePlace), gone: [...gone], whole } })
      }
      case 'instances':
        return RawToDoor.encode({
          instances: { instances: message.instances.map((one) => ({ ...one, services: [...one.services] })) }
        })
      case 'services':
        return RawToDoor.encode({ services: { services: [...message.services] } })
      case 'blocked':
        return RawToDoor.encode({ blocked: { users: [...message.users], first: message.first } })
      case 'groups': {
        const groups = message.groups.map(({ name, members }) => ({ name, members: [...members] }))
        return RawToDoor.encode({ groups: { groups, first: message.first } })
      }
      case 'lease':
        return RawToDoor.encode({ lease: { sequence: message.sequence, leaseMs: message.leaseMs } })
      case 'hold':
        return RawToDoor.encode({ hold: { id: message.id, place: encodePlace(message.place) } })
      case 'break-off':
        return RawToDoor.encode({ breakOff: { workspace: message.workspace, all: message.which === 'all' } })
      case 'drop-home':
        return RawToDoor.encode({ dropHome: { peer: message.peer } })
      case 'told':
        return RawToDoor.encode({ told: { id: message.id, ...encodeAnswer(message.answer) } })
      case 'members':
        return RawToDoor.encode({ members: { memberList: own(message.memberList) } })
      case 'goodbye':
        return RawToDoor.encode({ goodbye: { code: message.code, message: message.message } })
    }
  },
  (frame) => {
    const raw = RawToDoor.decode(frame)
    if (raw.places !== undefined) {
      const { places, gone, whole } = raw.places
      return { kind: 'places', places: places.map(decodePlace), gone: gone.map(parse.workspace), whole }
    }
    if (raw.lease !== undefined) return { kind: 'lease', ...raw.lease }
    if (raw.told !== undefined) return { kind: 'told', id: raw.told.id, answer: decodeAnswer(raw.told) }
    if (raw.hold !== undefined) return { kind: 'hold', id: raw.hold.id, place: decodePlace(raw.hold.place) }
    if (raw.breakOff !== undefined) {
      const { workspace, all } = raw.breakOff
      return { kind: 'break-off', workspace: parse.workspace(workspace), which: all ? 'all' : 'long' }
    }
    if (raw.dropHome !== undefined) return { kind: 'drop-home', peer: parse.peer(raw.dropHome.peer) }
    if (raw.instances !== undefined)
      return { kind: 'instances', instances: raw.instances.instances.map(decodeInstance) }
    if (raw.services !== undefined) return { kind: 'services', services: raw.services.services.map(decodeService) }
    if (raw.blocked !== undefined) {
      return { kind: 'blocked', users: raw.blocked.users.map(parse.user), first: raw.blocked.first }
    }
    if (raw.groups !== undefined) {
      return { kind: 'groups', groups: raw.groups.groups.map(decodeGroup), first: raw.groups.first }
    }
    if (raw.rules !== undefined) return { kind: 'rules', rules: decodeRules(raw.rules) }
    if (raw.members !== undefined) return { kind: 'members', memberList: raw.members.memberList }
    if (raw.welcome !== undefined) {
      return { kind: 'welcome', ...raw.welcome, name: parse.line(raw.welcome.name, DOOR_LIMITS.nameMax) }
    }
    if (raw.goodbye !== undefined) {
      const { code, message } = raw.goodbye
      return { kind: 'goodbye', code: parse.errorCode(code), message: parse.line(message, 1000) }
    }
    throw unknownKind()
  }
)
