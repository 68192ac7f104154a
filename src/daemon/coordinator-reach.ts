import type { Duplex } from 'node:stream'
import type { Clock } from '../core/clock.ts'
import type { Signed } from '../core/envelope.ts'
import { hasCode, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Receipt, SignedHead } from '../core/records.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { ControlServer } from '../membership/control-server.ts'
import type { Host, Link } from '../network/host.ts'
import type { MainRepository } from '../store/repository.ts'
import type { Access } from '../sync/access.ts'
import { type BlockExchange, openExchange } from '../sync/block-exchange.ts'
import { RateLimit } from '../sync/rate-limit.ts'
import { type Repair, repairDamage } from '../sync/repair.ts'
import type { RepositoryService } from '../sync/repository-service.ts'
import { Uplink } from '../sync/uplink.ts'
import { HTTP_PROTOCOL } from '../wire/http.ts'
import type { Fleet } from './fleet.ts'

/** What an instance may do with a workspace in the main repository. */
export function accessOf(table: OwnershipTable, peer: PeerIdText, workspace: WorkspaceId): Access {
  const owned = table.get(workspace)
  if (owned === null) return null
  const { home, standbys } = owned.signed.value
  const read = home === peer || standbys.includes(peer)
  const send = home === peer || owned.formerHomes.includes(peer)
  return read || send ? { read, send } : null
}

/** Users' requests and blocks go over any connection but the one of the control stream. */
export function dataLink(host: Host, control: ControlServer, instance: PeerIdText): Link {
  const session = control.session(instance)
  if (session === null) throw new NodeDaemonError('OUT_OF_REACH', 'the instance is not connected')
  return host.links(instance).findLast(({ id }) => id !== session.link.id) ?? session.link
}

/** A stream to an instance's ingress. */
export async function connectTunnel(host: Host, control: ControlServer, home: PeerIdText): Promise<Duplex> {
  return dataLink(host, control, home).openBytes(HTTP_PROTOCOL)
}

/** Opens streams for blocks to instances that hold a workspace. */
export function holderStreams(
  host: () => Host,
  control: () => ControlServer,
  clock: Clock
): (holder: PeerIdText, workspace: WorkspaceId, signal: AbortSignal) => Promise<BlockExchange> {
  const pace = { upload: new Uplink(clock), download: new RateLimit(clock), clock }
  return async (holder, workspace, signal) => openExchange(dataLink(host(), control(), holder), workspace, pace, signal)
}

/** Fetches damaged blocks of the main repository from connected instances. See `repairDamage`. */
export function repairFromInstances(
  deps: {
    readonly repository: MainRepository
    readonly table: OwnershipTable
    readonly fleet: Fleet
    readonly host: Host
    readonly control: ControlServer
    readonly clock: Clock
    readonly log: Logger
  },
  signal: AbortSignal
): Promise<Repair> {
  const { repository, table, fleet, host, control, clock, log } = deps
  return repairDamage(
    {
      repository,
      log,
      holders: (workspace) => holdersOf(table, fleet, workspace),
      open: holderStreams(
        () => host,
        () => control,
        clock
      )
    },
    signal
  )
}

/** Connected instances that may hold a workspace, its home first. */
function holdersOf(table: OwnershipTable, fleet: Fleet, workspace: WorkspaceId): PeerIdText[] {
  const owned = table.get(workspace)
  if (owned === null) return []
  const { home, standbys } = owned.signed.value
  const all = new Set([...(home === null ? [] : [home]), ...standbys, ...owned.formerHomes])
  return [...all].filter((peer) => fleet.isConnected(peer))
}

/** The repository's own receipt for a head; null where it cannot give one now: blocks of it are damaged, say. */
export async function receiptNow(repository: RepositoryService, head: SignedHead): Promise<Signed<Receipt> | null> {
  try {
    return await repository.receiptFor(head)
  } catch (error) {
    if (hasCode(error, 'INCOMPLETE', 'INTEGRITY', 'BUSY', 'NO_SPACE')) return null
    throw error
  }
}
