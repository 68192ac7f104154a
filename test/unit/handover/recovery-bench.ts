import type { CID } from 'multiformats/cid'
import { onTestFinished } from 'vitest'
import { seal } from '../../../src/core/envelope.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { headRecord, type SignedHead, type SignedOwnership, sealRecord } from '../../../src/core/records.ts'
import { LostHeads } from '../../../src/handover/lost-heads.ts'
import { OwnershipTable } from '../../../src/handover/ownership-table.ts'
import { PromotionHold } from '../../../src/handover/promotion-hold.ts'
import { type Present, Recovery } from '../../../src/handover/recovery.ts'
import { safeToPromote } from '../../../src/handover/safe-to-promote.ts'
import type { Decision } from '../../../src/membership/audit.ts'
import { MemberRegistry } from '../../../src/membership/registry.ts'
import { controlStore } from '../../../src/store/control-store.ts'
import type { MainRepository } from '../../../src/store/repository.ts'
import type { Hello, ReportOrder } from '../../../src/wire/control.ts'
import { type ReportedWorkspace, reportCodec } from '../../../src/wire/report.ts'
import { REVISION } from '../../../src/wire/revision.ts'
import { type ManualClock, manualClock } from '../../tools/clock.ts'
import { request } from '../membership/support.ts'
import { accept, snapshot } from '../store/support.ts'
import { COORDINATOR, memoryRepository } from '../sync/support.ts'
import { ADA, FILES, identityOf, type Name, nameOf, peerOf } from './fleet.ts'

export const W = 'c'.repeat(32) as WorkspaceId

/** A part of a coordinator that can be put back to how it was. */
export interface Disk {
  readonly state: ReturnType<typeof memoryKeyValue>
  readonly repository: MainRepository
}

export async function newDisk(): Promise<Disk> {
  return { state: memoryKeyValue(), repository: await memoryRepository() }
}

export async function copyOfState(disk: Disk): Promise<Disk['state']> {
  const copy = memoryKeyValue()
  for await (const [key, value] of disk.state.entries({ prefix: '' }))
    await copy.write({ put: [[key, value]] }, { durable: true })
  return copy
}

/** What an instance keeps of what was signed for it, and answers a report with. */
export class Holder implements Present {
  readonly peer
  readonly name: Name
  readonly held = new Map<
    WorkspaceId,
    { ownership: SignedOwnership; head: SignedHead | null; role: ReportedWorkspace['role']; receipt?: Uint8Array }
  >()
  memberList: Uint8Array | null = null
  certificate: Uint8Array | null = null
  /** What it says of itself in its hello, where that is not what it holds. */
  says: Partial<Hello> = {}
  answers: () => Promise<void> = async () => undefined

  constructor(name: Name) {
    this.name = name
    this.peer = peerOf(name)
  }

  get hello(): Hello {
    const numbers = [...this.held.values()].map(({ ownership }) => ownership.value.number)
    return {
      version: '1',
      services: [FILES],
      versions: {},
      labels: {},
      capacityBytes: 1e9,
      addresses: [],
      clockMs: 0,
      workspaces: [...this.held].map(([workspace, { ownership, head, role }]) => ({
        workspace,
        role,
        epoch: ownership.value.epoch,
        number: ownership.value.number,
        root: head?.value.root ?? null,
        sequence: head?.value.sequence ?? 0
      })),
      ownershipNumber: Math.max(0, ...numbers),
      memberListNumber: 0,
      revision: REVISION,
      awaitsDrain: false,
      route: null,
      ...this.says
    }
  }

  async order({ after }: ReportOrder): Promise<Uint8Array> {
    await this.answers()
    const rows = [...this.held].filter(([id]) => after === null || id > after).sort(([a], [b]) => (a < b ? -1 : 1))
    const [first, ...others] = rows.map(([, one]) => ({
      ownership: one.ownership.bytes,
      head: one.head?.bytes ?? null,
      receipt: one.receipt ?? null,
      role: one.role
    }))
    return reportCodec.encode({
      certificate: after === null ? this.certificate : null,
      memberList: after === null ? this.memberList : null,
      workspaces: first === undefined ? [] : [first],
      more: others.length > 0
    })
  }
}

export interface Coordinator {
  readonly table: OwnershipTable
  readonly registry: MemberRegistry
  readonly repository: MainRepository
  readonly lost: LostHeads
  readonly hold: PromotionHold
  readonly recovery: Recovery
  readonly decisions: Decision[]
  readonly ended: (readonly WorkspaceId[])[]
  readonly clock: ManualClock
  readonly safe: ReturnType<typeof safeToPromote>
}

/** Starts a coordinator on this disk. `blocks`: the repository in which connected instances find what they hold. */
export async function coordinator(
  { state, repository }: Disk,
  connected: Holder[],
  blocks: MainRepository = repository,
  byAdmin: { members: number | null } | null = null
): Promise<Coordinator> {
  const store = controlStore(state)
  const clock = manualClock()
  const decisions: Decision[] = []
  const audit = async (decision: Decision): Promise<void> => void decisions.push(decision)
  const table = await OwnershipTable.open(store, COORDINATOR)
  const registry = await MemberRegistry.open({
    store,
    identity: COORDINATOR,
    clock,
    random: systemRandom(),
    audit,
    log: silent
  })
  const hold = new PromotionHold()
  const stopping = new AbortController()
  onTestFinished(() => stopping.abort())
  const regaining = {
    repository,
    isConnected: (peer: Holder['peer']) => connected.some((one) => one.peer === peer),
    signal: stopping.signal,
    log: silent,
    async open(holder: Holder['peer'], workspace: WorkspaceId) {
      if (!connected.some((one) => one.peer === holder))
        throw new NodeDaemonError('OUT_OF_REACH', `${nameOf(holder)} is away`)
      return {
        missing: async () => [],
        put: async () => undefined,
        close: async () => undefined,
        want: async (cids: readonly CID[]) => {
          const found = await Promise.all(cids.map(async (cid) => ({ cid, bytes: await blocks.read(workspace, cid) })))
          return found.flatMap(({ cid, bytes }) => (bytes === null ? [] : [{ cid, bytes }]))
        }
      }
    }
  }
  const lost = await LostHeads.open({
    ...regaining,
    store,
    isMember: (peer) => registry.standing(peer) === 'member',
    nameOf,
    audit
  })
  const ended: (readonly WorkspaceId[])[] = []
  const recovery = await Recovery.open(
    {
      ...regaining,
      store,
      table,
      registry,
      lost,
      hold,
      identity: COORDINATOR,
      sessions: () => connected,
      onEnded: (adopted) => void ended.push(adopted),
      audit,
      clock
    },
    byAdmin
  )
  return {
    table,
    registry,
    repository,
    lost,
    hold,
    recovery,
    decisions,
    ended,
    clock,
    safe: safeToPromote(repository, hold, lost)
  }
}

/** Makes these instances members, and gives them what proves it. */
export async function admit({ registry }: Coordinator, holders: readonly Holder[]): Promise<void> {
  for (const { peer, name } of holders) {
    if (registry.get(peer) === null) await registry.join(peer, request({ name }), '')
    await registry.approve(peer, { by: 'admin' })
  }
  for (const holder of holders) {
    holder.memberList = registry.memberList()
    holder.certificate = registry.standingOf(holder.peer).certificate
  }
}

/** Gives the workspace's newest record to those that it names. */
export function tell({ table }: Coordinator, holders: readonly Holder[], head: SignedHead | null): void {
  const signed = table.get(W)?.signed
  if (signed === undefined) throw new Error('no workspace')
  for (const holder of holders) {
    const role =
      signed.value.home === holder.peer ? 'home' : signed.value.standbys.includes(holder.peer) ? 'standby' : 'kept'
    holder.held.set(W, { ownership: signed, head, role })
  }
}

export async function create({ table }: Coordinator, home: Name, standbys: readonly Name[]): Promise<void> {
  await table.create(W, { service: FILES, owner: ADA, home: peerOf(home), createdAtMs: 1 })
  await table.setStandbys(W, 1, standbys.map(peerOf))
}

/** The next head of the workspace's home. */
export async function publish({ table, repository }: Coordinator): Promise<SignedHead> {
  const before = (await repository.tip(W))?.head ?? null
  const owned = table.get(W)?.signed.value
  const sequence = (before?.value.sequence ?? 0) + 1
  const { root, blocks } = await snapshot({ 'a.txt': `state ${sequence}` })
  const head = await seal(
    headRecord,
    {
      workspace: W,
      epoch: owned?.epoch ?? 1,
      sequence,
      root,
      previous: before?.cid ?? null,
      createdAtMs: 1,
      files: 1,
      bytes: 7,
      unsettled: []
    },
    identityOf(nameOf(owned?.home) as Name)
  )
  await repository.publish(head, blocks, accept)
  return head
}

/** Seal, base, swap, as a move does it. */
export async function swapTo({ table, repository }: Coordinator, home: Name, standbys: readonly Name[]): Promise<void> {
  const epoch = table.get(W)?.signed.value.epoch ?? 1
  const { base } = await repository.seal(W, epoch, (tip) =>
    seal(sealRecord, { workspace: W, epoch, head: tip?.cid ?? null, sealedAtMs: 1 }, COORDINATOR)
  )
  await table.swap(W, epoch, { home: peerOf(home), standbys: standbys.map(peerOf), base: base?.cid ?? null })
}
