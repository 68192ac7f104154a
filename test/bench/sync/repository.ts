import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type * as clocks from '../../../src/core/clock.ts'
import type * as identities from '../../../src/core/identity.ts'
import type { PeerIdText } from '../../../src/core/ids.ts'
import type * as logs from '../../../src/core/log.ts'
import type * as randoms from '../../../src/core/random.ts'
import type * as engines from '../../../src/daemon/engine.ts'
import type * as hosts from '../../../src/network/libp2p-host.ts'
import type * as repositories from '../../../src/store/main-repository.ts'
import type * as disks from '../../../src/store/node-disk.ts'
import type * as places from '../../../src/store/open-repository.ts'
import type * as services from '../../../src/sync/repository-service.ts'
import { productModule } from '../product.ts'
import { answerParent } from '../worker.ts'
import { RAW_PROTOCOL } from './raw-protocol.ts'

/** The coordinator's side: the main repository on disk, behind the product's own host and service. */
export type ToRepository =
  | { readonly kind: 'open'; readonly dist: string; readonly folder: string }
  | { readonly kind: 'home'; readonly peer: PeerIdText }

export interface RepositoryOpened {
  readonly peer: PeerIdText
  readonly addresses: readonly string[]
}

/** As a coordinator keeps it free. */
const RESERVE_BYTES = 64 * 1024 * 1024

let home: PeerIdText | null = null
let close = async (): Promise<void> => undefined

async function openedAt(dist: string, folder: string): Promise<RepositoryOpened> {
  const { systemClock } = await productModule<typeof clocks>(dist, 'core/clock.js')
  const { systemRandom } = await productModule<typeof randoms>(dist, 'core/random.js')
  const { silent } = await productModule<typeof logs>(dist, 'core/log.js')
  const { createIdentity } = await productModule<typeof identities>(dist, 'core/identity.js')
  const { startHost } = await productModule<typeof hosts>(dist, 'network/libp2p-host.js')
  const { openRepository } = await productModule<typeof repositories>(dist, 'store/main-repository.js')
  const { nodeDisk } = await productModule<typeof disks>(dist, 'store/node-disk.js')
  const { levelIndex } = await productModule<typeof places>(dist, 'store/open-repository.js')
  const { RepositoryService } = await productModule<typeof services>(dist, 'sync/repository-service.js')
  const { countBuffersWithHeap } = await productModule<typeof engines>(dist, 'daemon/engine.js')
  countBuffersWithHeap()
  const [clock, log, identity] = [systemClock(), silent, await createIdentity()]
  await mkdir(join(folder, 'repository'), { recursive: true })
  const index = levelIndex(join(folder, 'repository', 'index'))
  const repository = await openRepository({
    disk: nodeDisk(folder),
    index,
    log,
    clock,
    random: systemRandom(),
    reserveBytes: RESERVE_BYTES
  })
  const gate = { standing: () => 'member' as const }
  const host = await startHost({ identity, gate, clock, log }, { listen: ['/ip4/127.0.0.1/tcp/0'] })
  const service = new RepositoryService({
    repository,
    identity,
    clock,
    log,
    access: (peer) => (peer === home ? { read: true, send: true } : null),
    ownership: () => ({ epoch: 1, home, base: null }),
    lost: { get: () => null, forget: async () => undefined },
    onHolding: () => undefined,
    onHead: () => undefined
  })
  await service.register(host)
  await host.handleBytes(RAW_PROTOCOL, (stream) => {
    let left = Number.POSITIVE_INFINITY
    stream.on('error', () => stream.destroy())
    stream.on('data', (bytes: Buffer) => {
      // The first eight bytes say how many follow.
      if (left === Number.POSITIVE_INFINITY) left = Number(bytes.readBigUInt64BE()) + 8
      left -= bytes.length
      if (left === 0) stream.end('.')
    })
  })
  close = async () => {
    await host.close()
    await repository.close()
  }
  return { peer: host.peerId, addresses: host.addresses() }
}

answerParent<ToRepository>(
  async (question) => {
    if (question.kind === 'open') return openedAt(question.dist, question.folder)
    home = question.peer
    return {}
  },
  () => close()
)
