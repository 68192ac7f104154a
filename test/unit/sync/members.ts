import { onTestFinished } from 'vitest'
import type { Block } from '../../../src/core/blocks.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { type Signed, seal } from '../../../src/core/envelope.ts'
import { codeOf } from '../../../src/core/errors.ts'
import { createIdentity, type Identity } from '../../../src/core/identity.ts'
import type { PeerIdText, WorkspaceId } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { headRecord, type Receipt, type SignedHead } from '../../../src/core/records.ts'
import type { Host, Link } from '../../../src/network/host.ts'
import { startHost } from '../../../src/network/libp2p-host.ts'
import { openRepository } from '../../../src/store/main-repository.ts'
import { nodeDisk } from '../../../src/store/node-disk.ts'
import { levelIndex } from '../../../src/store/open-repository.ts'
import type { MainRepository } from '../../../src/store/repository.ts'
import type { Access } from '../../../src/sync/access.ts'
import type { BlockExchange } from '../../../src/sync/block-exchange.ts'
import { RateLimit } from '../../../src/sync/rate-limit.ts'
import { connectRepository, type RemoteRepository } from '../../../src/sync/repository-client.ts'
import { RepositoryService } from '../../../src/sync/repository-service.ts'
import { Uplink } from '../../../src/sync/uplink.ts'
import { snapshot } from '../store/support.ts'
import { COORDINATOR, type Ownership, temporaryFolder, WORKSPACE } from './support.ts'

export interface Federation {
  readonly repository: MainRepository
  readonly held: Signed<Receipt>[]
  readonly ownership: Map<WorkspaceId, Ownership>
  readonly access: Map<PeerIdText, Access>
  readonly host: Host
}

export interface Member {
  readonly identity: Identity
  readonly link: Link
  readonly remote: RemoteRepository
  readonly heads: SignedHead[]
}

export async function hostOf(identity: Identity, listen: boolean): Promise<Host> {
  const gate = { standing: () => 'member' as const }
  const host = await startHost(
    { identity, gate, clock: systemClock(), log: silent },
    { listen: listen ? ['/ip4/127.0.0.1/tcp/0'] : [] }
  )
  onTestFinished(() => host.close())
  return host
}

export async function federation(): Promise<Federation> {
  const folder = await temporaryFolder()
  const repository = await openRepository({
    disk: nodeDisk(folder),
    index: levelIndex(`${folder}/index`),
    log: silent,
    clock: systemClock(),
    random: systemRandom()
  })
  onTestFinished(() => repository.close())
  const held: Signed<Receipt>[] = []
  const ownership = new Map<WorkspaceId, Ownership>()
  const access = new Map<PeerIdText, Access>()
  const service = new RepositoryService({
    repository,
    identity: COORDINATOR,
    clock: systemClock(),
    log: silent,
    access: (peer, workspace) => (workspace === WORKSPACE ? (access.get(peer) ?? null) : null),
    ownership: (workspace) => ownership.get(workspace) ?? null,
    lost: { get: () => null, forget: async () => undefined },
    onHolding: (receipt) => void held.push(receipt),
    onHead: () => undefined
  })
  const host = await hostOf(COORDINATOR, true)
  await service.register(host)
  return { repository, held, ownership, access, host }
}

export async function member(of: Pick<Federation, 'host' | 'access'>, access: Access): Promise<Member> {
  const identity = await createIdentity()
  of.access.set(identity.peerId, access)
  const host = await hostOf(identity, false)
  const link = await host.dial(of.host.addresses(), COORDINATOR.peerId)
  const heads: SignedHead[] = []
  const remote = await connectRepository({
    control: link,
    data: link,
    coordinator: COORDINATOR.peerId,
    upload: new Uplink(systemClock()),
    download: new RateLimit(systemClock()),
    clock: systemClock(),
    log: silent,
    onHead: (head) => void heads.push(head)
  })
  return { identity, link, remote, heads }
}

export const HOME: Access = { read: true, send: true }
export const STANDBY: Access = { read: true, send: false }
export const FORMER: Access = { read: false, send: true }

export async function headOf(
  writer: Identity,
  files: Readonly<Record<string, string>>,
  previous: SignedHead | null = null
): Promise<{ head: SignedHead; blocks: readonly Block[] }> {
  const { root, blocks } = await snapshot(files)
  const head = await seal(
    headRecord,
    {
      workspace: WORKSPACE,
      epoch: 1,
      sequence: (previous?.value.sequence ?? 0) + 1,
      root,
      previous: previous?.cid ?? null,
      createdAtMs: 1,
      files: 1,
      bytes: 1,
      unsettled: []
    },
    writer
  )
  return { head, blocks }
}

export const outcome = (work: Promise<unknown>): Promise<string> => work.then(() => 'done', codeOf)

export async function onExchange(of: Member, work: (exchange: BlockExchange) => Promise<unknown>): Promise<string> {
  try {
    const exchange = await of.remote.blocks(WORKSPACE)
    try {
      return await outcome(work(exchange))
    } finally {
      await exchange.close()
    }
  } catch (error) {
    return codeOf(error)
  }
}
