/** Names that look alike and must not be mixed up: each is a string or number of a kind of its own. */

declare const brand: unique symbol
type Branded<T, Name extends string> = T & { readonly [brand]: Name }

/** A libp2p PeerId (Ed25519) in its base58btc text form. */
export type PeerIdText = Branded<string, 'PeerId'>
/** 32 lower-case hexadecimal digits: 16 random bytes. */
export type WorkspaceId = Branded<string, 'Workspace'>
/** The name of a service: 1 to 40 of `a-z 0-9 -`. */
export type ServiceName = Branded<string, 'Service'>
/** Who asks: `user:NAME` for a named user, `guest:HEX` for a guest. */
export type UserId = Branded<string, 'User'>
/** The name of a group of users: 1 to 40 of `a-z 0-9 -`. */
export type GroupName = Branded<string, 'Group'>
/**
 * Who owns a workspace: a user, a group (`group:NAME`), or the whole service (`service:NAME`, its own name), by the scope
 * of its service. Each owns at most one workspace of a service.
 */
export type OwnerId = UserId | Branded<string, 'Owner'>

const WORKSPACE_ID = /^[0-9a-f]{32}$/
const SERVICE_NAME = /^[a-z0-9][a-z0-9-]{0,39}$/
const USER_ID = /^(user:[a-z0-9][a-z0-9._@-]{0,63}|guest:[0-9a-f]{32})$/
const SHARED_OWNER = /^(?:group|service):[a-z0-9][a-z0-9-]{0,39}$/
const PEER_ID = /^[1-9A-HJ-NP-Za-km-z]{40,64}$/

export const isWorkspaceId = (text: string): text is WorkspaceId => WORKSPACE_ID.test(text)
export const isServiceName = (text: string): text is ServiceName => SERVICE_NAME.test(text)
export const isUserId = (text: string): text is UserId => USER_ID.test(text)
export const isGroupName = (text: string): text is GroupName => SERVICE_NAME.test(text)
export const isOwnerId = (text: string): text is OwnerId => isUserId(text) || SHARED_OWNER.test(text)
export const isPeerIdText = (text: string): text is PeerIdText => PEER_ID.test(text)

export const ownerOfGroup = (group: GroupName): OwnerId => `group:${group}` as OwnerId
export const ownerOfService = (service: ServiceName): OwnerId => `service:${service}` as OwnerId

/** A workspace id from 16 random bytes. */
export function workspaceId(random: Uint8Array): WorkspaceId {
  return Buffer.from(random.buffer, random.byteOffset, 16).toString('hex') as WorkspaceId
}
