import { type Clock, withTimeout } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { PeerIdText, ServiceName, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Director } from '../handover/director.ts'
import type { Instances, Quieting } from '../handover/neighbours.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import { chooseHome } from '../placement/place.ts'

export interface UnofferedDeps {
  readonly table: OwnershipTable
  readonly director: Director
  readonly instances: Instances
  readonly usedBytes: (workspace: WorkspaceId) => number
  readonly idle: Quieting['idle']
  readonly clock: Clock
  readonly log: Logger
}

const MOVE_MS = 10 * 60_000

/**
 * An instance may come back without a service that it offered before: what it is home of goes to those that offer it. What
 * nobody can take stays, and is tried again when the instance comes back. Never rejects.
 */
export async function moveUnoffered(
  deps: UnofferedDeps,
  peer: PeerIdText,
  offered: readonly ServiceName[]
): Promise<void> {
  const { table, director, instances, usedBytes, idle, clock, log } = deps
  for (const { signed } of table.homesOf(peer)) {
    const { workspace, service } = signed.value
    if (offered.includes(service)) continue
    const others = instances.candidates().filter((one) => one.peer !== peer)
    const to = chooseHome({ workspace, service, bytes: usedBytes(workspace) }, others)
    try {
      if (to === null) throw new Error('no other instance that offers it has room')
      await withTimeout(clock, MOVE_MS, 'a move', (signal) =>
        director.move(workspace, to.peer, { idle, signal, keepAsStandby: false })
      )
    } catch (error) {
      log.warn(
        { peer, workspace, service, error: messageOf(error) },
        'the home of a workspace does not offer its service'
      )
    }
  }
}
