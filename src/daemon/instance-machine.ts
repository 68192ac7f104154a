import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import type { WorkspaceApps } from '../apps/command/command.ts'
import type { Clock } from '../core/clock.ts'
import type { Identity } from '../core/identity.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { KeyValue } from '../core/key-value.ts'
import type { Logger } from '../core/log.ts'
import type { Random } from '../core/random.ts'
import type { Premises } from '../handover/resident-deps.ts'
import { discover } from '../membership/discover.ts'
import { parseTarget } from '../membership/target.ts'
import type { Host } from '../network/host.ts'
import { startKad } from '../network/kad.ts'
import type { Neighbours } from '../network/neighbours.ts'
import type { Providers } from '../network/providers.ts'
import type { Reach } from '../network/reach.ts'
import type { IngressDoor } from '../routing/routes/ingress-door.ts'
import type { Heartbeat } from '../wire/control.ts'
import { nodeFileSystem } from '../worktree/node-file-system.ts'
import { type Entrance, httpEntrance, type Served } from './entrance.ts'
import { diskSpace } from './instance-settings.ts'
import type { Offer } from './offers.ts'
import type { Pin } from './pin.ts'
import { machineDisk, PremisesKeeper } from './premises.ts'

/** What an approved instance uses of the machine that it runs on. */
export interface InstanceMachine {
  premises(workspace: WorkspaceId): Promise<Premises>
  openEntrance(served: Served): Promise<Entrance>
  openProviders(neighbours: Neighbours, reach: Reach): Promise<Providers>
  /** Of the disk on which users' files lie, in bytes. */
  space(): Promise<{ readonly totalBytes: number; readonly freeBytes: number }>
  load(): Pick<Heartbeat, 'memoryBytes' | 'loadPermille'>
  /** Where the pinned coordinator is by what its web address says now; null where another key answers there. */
  findCoordinator(pin: Pin): Promise<readonly string[] | null>
  /** False where users' files may not all be on the disk. */
  close(): Promise<boolean>
}

export interface LocalMachineDeps {
  /** The daemon's data folder. */
  readonly folder: string
  readonly state: KeyValue
  readonly identity: Identity
  readonly host: Host
  readonly offers: readonly Offer[]
  /** See `HttpEntranceDeps.mayOpen`. */
  readonly mayOpen: (peer: PeerIdText) => boolean
  readonly commands: WorkspaceApps | null
  readonly door: IngressDoor | null
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

export async function localMachine(deps: LocalMachineDeps): Promise<InstanceMachine> {
  const { folder, clock } = deps
  const keeper = await PremisesKeeper.open({ ...deps, ...machineDisk(deps) })
  return {
    premises: (workspace) => keeper.of(workspace),
    openEntrance: (served) => httpEntrance({ ...deps, empty: keeper.empty, space: () => diskSpace(folder) }, served),
    openProviders: (neighbours, reach) => startKad({ ...deps, neighbours, reach }),
    space: () => diskSpace(folder),
    load: () => ({
      memoryBytes: process.memoryUsage.rss(),
      loadPermille: Math.round(((loadavg()[0] ?? 0) / availableParallelism()) * 1000)
    }),
    async findCoordinator({ typed, peer }) {
      const found = await discover({ fetch, clock }, { ...parseTarget(typed) })
      return found.peerId === peer ? found.addresses : null
    },
    async close() {
      await keeper.close()
      return await nodeFileSystem.syncFileSystem(join(folder, 'workspaces'))
    }
  }
}
