import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { OwnerId, PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Order } from '../wire/control.ts'
import type { Director } from './director.ts'
import type { Instances, Quieting } from './neighbours.ts'
import type { OwnershipTable } from './ownership-table.ts'
import type { PromotionHold } from './promotion-hold.ts'

const ORDER_MS = 15_000

export interface MakeOverDeps {
  readonly director: Pick<Director, 'whileHeld'>
  readonly table: OwnershipTable
  readonly instances: Pick<Instances, 'order'>
  readonly hold: PromotionHold
  readonly log: Logger
}

/**
 * Gives a workspace to another owner: the same files, home and epoch, under a record of the coordinator with the next
 * number. Durable on return. Instances that are away hear of it when they connect.
 *
 * @throws NodeDaemonError `CONFLICT` the owner has a workspace of the service already; `REFUSED_BY_POLICY` nobody serves
 *   it now; `TIMED_OUT` requests in flight do not end; `BUSY` the coordinator does not know yet what it had signed. Nothing
 *   changed
 */
export async function makeOver(
  deps: MakeOverDeps,
  workspace: WorkspaceId,
  owner: OwnerId,
  options: Quieting
): Promise<void> {
  const { director, table, hold } = deps
  if (hold.holds('old-backup')) throw new NodeDaemonError('BUSY', `nothing changes hands now: ${hold.reason ?? ''}`)
  await director.whileHeld(workspace, options, async (home) => {
    const epoch = table.get(workspace)?.signed.value.epoch ?? 0
    const { signed } = await table.setOwner(workspace, epoch, owner)
    const tell = (peer: PeerIdText, kind: 'assume' | 'follow'): Promise<void> =>
      told(deps, peer, { kind, ownership: signed.bytes })
    await Promise.all([tell(home, 'assume'), ...signed.value.standbys.map((peer) => tell(peer, 'follow'))])
  })
}

async function told({ instances, log }: MakeOverDeps, peer: PeerIdText, order: Order): Promise<void> {
  try {
    await instances.order(peer, order, ORDER_MS)
  } catch (error) {
    log.info({ peer, error: messageOf(error) }, 'a new owner is told at the next connection')
  }
}
