import type { CID } from 'multiformats/cid'
import { type ErrorCode, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, ServiceName, WorkspaceId } from '../core/ids.ts'
import { cidBytes, parse } from '../core/parse.ts'
import { type DrainStateName, decodeReport, decodeRequest, encodeReport, encodeRequest } from './drains.ts'
import { FromInstance as RawFromInstance, ToInstance as RawToInstance } from './generated/control.ts'
import { decodeIngress, decodeOffer, encodeIngress, type IngressNews, type RouteOffer } from './ingress.ts'
import { checkedLabels } from './membership.ts'
import { checkedAddress, decodeNeighbours, encodeNeighbours, type NeighbourNews } from './neighbours.ts'
import { decodeOrder, encodeOrder } from './orders.ts'
import { type Protocol, unknownKind, type WireCodec, wireCodec } from './protocol.ts'

export const CONTROL_PROTOCOL: Protocol = {
  id: '/node-daemon/control/1.0.0',
  maxFrameBytes: 16 * 1024 * 1024,
  maxStreams: 2,
  open: 'members'
}

/** What an instance has of a workspace when it connects. */
export interface Held {
  readonly workspace: WorkspaceId
  readonly epoch: number
  readonly role: 'home' | 'standby' | 'kept'
  /** The number of the ownership record that it applied last. */
  readonly number: number
  /** The root that is applied on its disk; null before the first. */
  readonly root: CID | null
  /** Of the head with that root; 0 before the first. */
  readonly sequence: number
}

export interface Hello {
  readonly version: string
  readonly services: readonly ServiceName[]
  /** Of the apps of its services, where it says one. */
  readonly versions: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly capacityBytes: number
  readonly clockMs: number
  readonly workspaces: readonly Held[]
  /** The highest ownership number that it has seen. */
  readonly ownershipNumber: number
  readonly memberListNumber: number
  /** Where other members reach it, as multiaddrs; none where it only dials out. */
  readonly addresses: readonly string[]
  /** See `REVISION`. */
  readonly revision: number
  /** This process was told of a drain under way, or has asked for one, and was not told how it ended. */
  readonly awaitsDrain: boolean
  /** Null: users' requests come through the tunnel alone. */
  readonly route: RouteOffer | null
}

export interface Usage {
  readonly workspace: WorkspaceId
  readonly usedBytes: number
  readonly files: number
  readonly unsyncedBytes: number
  readonly unsyncedAgeMs: number
}

export interface Heartbeat {
  readonly sequence: number
  readonly diskTotalBytes: number
  readonly diskFreeBytes: number
  readonly memoryBytes: number
  /** Load average of one minute per core, in thousandths. */
  readonly loadPermille: number
  readonly ownershipNumber: number
  /** Workspaces whose figures changed since the last heartbeat. */
  readonly usage: readonly Usage[]
  readonly pendingWork: number
  /** Workspaces whose app says that it is at work. */
  readonly busy: readonly WorkspaceId[]
  /** Bytes of workspaces that have come here since the last heartbeat. */
  readonly arrived: readonly { readonly workspace: WorkspaceId; readonly bytes: number }[]
  /** What it sends at most now, in bytes a second; null: no limit. */
  readonly uploadLimit: number | null
}

export const INTENTS = ['restart', 'leave', 'flush'] as const
/** `restart`: back soon. `flush`: stops without handing over. `leave`: gave up membership. */
export type StopIntent = (typeof INTENTS)[number]

export interface DrainRequest {
  readonly deadlineMs: number
  readonly to: PeerIdText | null
  readonly toRepository: boolean
  readonly planOnly: boolean
  /** The instance gives up its membership once it is drained. */
  readonly leave: boolean
  /** Not now, but then: Unix time in milliseconds by the coordinator's clock. */
  readonly atMs: number | null
}

export type FromInstance =
  | { readonly kind: 'hello'; readonly hello: Hello }
  | { readonly kind: 'heartbeat'; readonly heartbeat: Heartbeat }
  | {
      readonly kind: 'done'
      readonly order: number
      readonly failure: { readonly code: ErrorCode; readonly message: string } | null
      /** The instance's receipt for the head that the order left it with; empty where there is none. A page of `report`. */
      readonly receipt: Uint8Array
    }
  | { readonly kind: 'stopping'; readonly intent: StopIntent }
  | { readonly kind: 'drain'; readonly request: DrainRequest }
  | { readonly kind: 'drain-cancel' }

export const LEVELS = ['replicated', 'local'] as const
/** `replicated`: durable in the main repository. `local`: fsynced on the home. */
export type AcknowledgeLevel = (typeof LEVELS)[number]

/** At which level changes of a service's workspaces are acknowledged. */
export interface ServiceLevel {
  readonly name: ServiceName
  readonly acknowledge: AcknowledgeLevel
}

export interface Welcome {
  readonly federation: string
  /** The name under which the admin approved this instance. */
  readonly name: string
  readonly leaseMs: number
  readonly heartbeatMs: number
  /** The level of what `services` does not name. */
  readonly acknowledge: AcknowledgeLevel
  readonly clockMs: number
  readonly certificate: Uint8Array
  readonly memberList: Uint8Array
  readonly services: readonly ServiceLevel[]
  readonly revision: number
}

/** What the coordinator has an instance do. Ownership records are signed; each order is answered by one `done`. */
export type Order =
  /** Be the home: apply the base, then serve. */
  | {
      readonly kind: 'assume'
      readonly ownership: Uint8Array
      /** What apps of the workspace may rely on at each home, 32 bytes; an older coordinator tells none. */
      readonly secret?: Uint8Array
    }
  /** Be a standby: keep the newest head applied. */
  | { readonly kind: 'follow'; readonly ownership: Uint8Array }
  /** Let requests in flight end, publish the last snapshot, take no more. */
  | { readonly kind: 'freeze'; readonly workspace: WorkspaceId }
  /** Go on as the home after a freeze. */
  | { readonly kind: 'thaw'; readonly ownership: Uint8Array }
  /** Have no more to do with the workspace. Files are kept as the instance's own rule says. */
  | { readonly kind: 'release'; readonly ownership: Uint8Array }
  /** Freeze, unless it is frozen; where the newest head is `base`, make the workspace equal to `root` and publish that; go on as the home. */
  | { readonly kind: 'restore'; readonly workspace: WorkspaceId; readonly root: CID; readonly base: CID }

/** Tell what this coordinator has signed for you, a page of it: the workspaces after this one, by id; null: from the first on. */
export interface ReportOrder {
  readonly kind: 'report'
  readonly after: WorkspaceId | null
}

export interface PlannedMove {
  readonly workspace: WorkspaceId
  /** Null: into the main repository. */
  readonly to: PeerIdText | null
  readonly toName: string
  readonly bytes: number
  readonly etaMs: number
  /** Users are at work in it: it is moved last. */
  readonly busy: boolean
}

export interface DrainReport {
  readonly state: DrainStateName
  readonly workspaces: { readonly done: number; readonly total: number }
  readonly bytes: { readonly done: number; readonly total: number }
  readonly etaMs: number
  readonly reason: string
  /** The exit certificate, JSON in UTF-8; empty until drained. */
  readonly certificate: Uint8Array
  /** Of what is still to be handed over; empty where only the progress is told. */
  readonly plan: readonly PlannedMove[]
  /** Workspaces that are waited for, since users are at work in them; at most 100. */
  readonly waiting: readonly WorkspaceId[]
  readonly unproven: readonly WorkspaceId[]
  /** The process of the instance ends with this drain. */
  readonly exits: boolean
  /** A drain is to begin then: Unix time in milliseconds by the coordinator's clock. */
  readonly plannedAtMs: number | null
}

export type ToInstance =
  | { readonly kind: 'welcome'; readonly welcome: Welcome }
  | { readonly kind: 'beat'; readonly sequence: number; readonly leaseMs: number }
  | { readonly kind: 'order'; readonly id: number; readonly order: Order | ReportOrder }
  | { readonly kind: 'members'; readonly memberList: Uint8Array }
  | { readonly kind: 'services'; readonly services: readonly ServiceLevel[] }
  | { readonly kind: 'neighbours'; readonly news: NeighbourNews }
  | { readonly kind: 'ingress'; readonly news: IngressNews }
  | { readonly kind: 'drain'; readonly report: DrainReport }
  | { readonly kind: 'goodbye'; readonly code: ErrorCode; readonly message: string }

const SERVICES_MAX = 64
const SERVICE_VERSION = /^[\w.+-]{1,40}$/
/** Can this be the version of an app? */
export const isServiceVersion = (text: string): boolean => SERVICE_VERSION.test(text)

const own = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => bytes as Uint8Array<ArrayBuffer>

export const fromInstance: WireCodec<FromInstance> = wireCodec(
  (message) => {
    switch (message.kind) {
      case 'hello':
        return RawFromInstance.encode({
          hello: {
            ...message.hello,
            route: message.hello.route?.kind ?? '',
            publicUrl: message.hello.route?.url ?? '',
            services: [...message.hello.services],
            versions: new Map(Object.entries(message.hello.versions)),
            labels: new Map(Object.entries(message.hello.labels)),
            addresses: [...message.hello.addresses],
            workspaces: message.hello.workspaces.map((held) => ({ ...held, root: cidBytes(held.root) }))
          }
        })
      case 'heartbeat':
        return RawFromInstance.encode({ heartbeat: encodeHeartbeat(message.heartbeat) })
      case 'done':
        return RawFromInstance.encode({
          done: {
            order: message.order,
            code: message.failure?.code ?? '',
            message: message.failure?.message ?? '',
            receipt: own(message.receipt)
          }
        })
      case 'stopping':
        return RawFromInstance.encode({ stopping: { intent: message.intent } })
      case 'drain':
        return RawFromInstance.encode({ drain: encodeRequest(message.request) })
      case 'drain-cancel':
        return RawFromInstance.encode({ drainCancel: {} })
    }
  },
  (frame) => {
    const raw = RawFromInstance.decode(frame)
    if (raw.heartbeat !== undefined) return { kind: 'heartbeat', heartbeat: decodeHeartbeat(raw.heartbeat) }
    if (raw.done !== undefined) {
      const { order, code, message, receipt } = raw.done
      const failure = code === '' ? null : { code: parse.errorCode(code), message: parse.line(message, 1000) }
      return { kind: 'done', order, failure, receipt }
    }
    if (raw.hello !== undefined) return { kind: 'hello', hello: decodeHello(raw.hello) }
    if (raw.stopping !== undefined) {
      return { kind: 'stopping', intent: parse.word(raw.stopping.intent, INTENTS, 'intent') }
    }
    if (raw.drain !== undefined) return { kind: 'drain', request: decodeRequest(raw.drain) }
    if (raw.drainCancel !== undefined) return { kind: 'drain-cancel' }
    throw unknownKind()
  }
)

type RawHeartbeat = NonNullable<RawFromInstance['heartbeat']>

const encodeHeartbeat = (heartbeat: Heartbeat): RawHeartbeat => ({
  ...heartbeat,
  usage: [...heartbeat.usage],
  busy: [...heartbeat.busy],
  arrived: [...heartbeat.arrived],
  uploadLimit: heartbeat.uploadLimit ?? 0
})

const decodeHeartbeat = (raw: RawHeartbeat): Heartbeat => ({
  ...raw,
  usage: raw.usage.map((one) => ({ ...one, workspace: parse.workspace(one.workspace) })),
  busy: raw.busy.map(parse.workspace),
  arrived: raw.arrived.map((one) => ({ ...one, workspace: parse.workspace(one.workspace) })),
  uploadLimit: raw.uploadLimit === 0 ? null : raw.uploadLimit
})

function checkedVersions(raw: ReadonlyMap<string, string>): Record<string, string> {
  if (raw.size > SERVICES_MAX) throw new NodeDaemonError('TOO_LARGE', 'too many versions')
  const versions = [...raw].map(([name, version]) => [parse.service(name), version] as const)
  if (!versions.every(([, version]) => isServiceVersion(version))) {
    throw new NodeDaemonError('BAD_REQUEST', 'a message has a bad version')
  }
  return Object.fromEntries(versions)
}

function decodeHello({ publicUrl, ...raw }: NonNullable<RawFromInstance['hello']>): Hello {
  return {
    ...raw,
    route: decodeOffer(raw.route, publicUrl),
    version: parse.line(raw.version, 40),
    services: raw.services.map(parse.service),
    versions: checkedVersions(raw.versions),
    labels: checkedLabels(raw.labels),
    addresses: raw.addresses.map(checkedAddress),
    workspaces: raw.workspaces.map((held) => ({
      ...held,
      workspace: parse.workspace(held.workspace),
      role: parse.word(held.role, ['home', 'standby', 'kept'], 'role'),
      root: parse.cidOrNull(held.root)
    }))
  }
}

export const toInstance: WireCodec<ToInstance> = wireCodec(
  (message) => {
    switch (message.kind) {
      case 'welcome':
        return RawToInstance.encode({
          welcome: {
            ...message.welcome,
            certificate: own(message.welcome.certificate),
            memberList: own(message.welcome.memberList),
            services: [...message.welcome.services]
          }
        })
      case 'beat':
        return RawToInstance.encode({ beat: { sequence: message.sequence, leaseMs: message.leaseMs } })
      case 'order':
        return RawToInstance.encode({ order: { id: message.id, ...encodeOrder(message.order) } })
      case 'members':
        return RawToInstance.encode({ members: { memberList: own(message.memberList) } })
      case 'services':
        return RawToInstance.encode({ services: { services: [...message.services] } })
      case 'neighbours':
        return RawToInstance.encode({ neighbours: encodeNeighbours(message.news) })
      case 'ingress':
        return RawToInstance.encode({ ingress: encodeIngress(message.news) })
      case 'drain':
        return RawToInstance.encode({ drain: encodeReport(message.report) })
      case 'goodbye':
        return RawToInstance.encode({ goodbye: { code: message.code, message: message.message } })
    }
  },
  (frame) => {
    const raw = RawToInstance.decode(frame)
    if (raw.beat !== undefined) return { kind: 'beat', ...raw.beat }
    if (raw.order !== undefined) return { kind: 'order', id: raw.order.id, order: decodeOrder(raw.order) }
    if (raw.members !== undefined) return { kind: 'members', memberList: raw.members.memberList }
    if (raw.services !== undefined) {
      return { kind: 'services', services: raw.services.services.map(decodeLevel) }
    }
    if (raw.neighbours !== undefined) return { kind: 'neighbours', news: decodeNeighbours(raw.neighbours) }
    if (raw.ingress !== undefined) return { kind: 'ingress', news: decodeIngress(raw.ingress) }
    if (raw.drain !== undefined) return { kind: 'drain', report: decodeReport(raw.drain) }
    if (raw.welcome !== undefined) {
      const acknowledge = levelOf(raw.welcome.acknowledge)
      const services = raw.welcome.services.map(decodeLevel)
      return { kind: 'welcome', welcome: { ...raw.welcome, acknowledge, services } }
    }
    if (raw.goodbye !== undefined) {
      return {
        kind: 'goodbye',
        code: parse.errorCode(raw.goodbye.code),
        message: parse.line(raw.goodbye.message, 1000)
      }
    }
    throw unknownKind()
  }
)

const levelOf = (text: string): AcknowledgeLevel => parse.word(text, LEVELS, 'acknowledgement level')

const decodeLevel = ({ name, acknowledge }: { name: string; acknowledge: string }): ServiceLevel => ({
  name: parse.service(name),
  acknowledge: levelOf(acknowledge)
})
