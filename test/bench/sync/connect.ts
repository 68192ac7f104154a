import type * as clocks from '../../../src/core/clock.ts'
import type * as identities from '../../../src/core/identity.ts'
import type { PeerIdText } from '../../../src/core/ids.ts'
import type * as logs from '../../../src/core/log.ts'
import type { Host, Link } from '../../../src/network/host.ts'
import type * as hosts from '../../../src/network/libp2p-host.ts'
import type * as rates from '../../../src/sync/rate-limit.ts'
import type * as clients from '../../../src/sync/repository-client.ts'
import type { RemoteRepository } from '../../../src/sync/repository-client.ts'
import type * as uplinks from '../../../src/sync/uplink.ts'
import { productModule } from '../product.ts'

/** Where a process with the repository is. */
export interface RepositoryPlace {
  readonly dist: string
  readonly repository: PeerIdText
  readonly addresses: readonly string[]
}

export interface Connected {
  readonly host: Host
  readonly identity: identities.Identity
  readonly clock: clocks.Clock
  readonly log: logs.Logger
  readonly data: Link
  readonly remote: RemoteRepository
}

/** Connects to the repository as an instance does: control and data on connections of their own. */
export async function connectAsInstance({ dist, repository, addresses }: RepositoryPlace): Promise<Connected> {
  const { systemClock } = await productModule<typeof clocks>(dist, 'core/clock.js')
  const { silent } = await productModule<typeof logs>(dist, 'core/log.js')
  const { createIdentity } = await productModule<typeof identities>(dist, 'core/identity.js')
  const { startHost } = await productModule<typeof hosts>(dist, 'network/libp2p-host.js')
  const { RateLimit } = await productModule<typeof rates>(dist, 'sync/rate-limit.js')
  const { Uplink } = await productModule<typeof uplinks>(dist, 'sync/uplink.js')
  const { connectRepository } = await productModule<typeof clients>(dist, 'sync/repository-client.js')
  const [clock, log, identity] = [systemClock(), silent, await createIdentity()]
  const host = await startHost({ identity, gate: { standing: () => 'member' }, clock, log }, { listen: [] })
  const control = await host.dial(addresses, repository)
  const data = await host.dial(addresses, repository)
  const limits = { upload: new Uplink(clock), download: new RateLimit(clock) }
  const onHead = (): void => undefined
  const remote = await connectRepository({ control, data, coordinator: repository, ...limits, clock, log, onHead })
  return { host, identity, clock, log, data, remote }
}
