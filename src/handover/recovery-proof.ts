import type { MemberRegistry } from '../membership/registry.ts'
import type { MainRepository } from '../store/repository.ts'
import type { Hello } from '../wire/control.ts'
import type { MemberReport } from './ask-report.ts'
import type { LostHeads } from './lost-heads.ts'
import type { OwnershipTable } from './ownership-table.ts'
import { type HeldHead, Testimony } from './testimony.ts'

export interface Known {
  readonly table: OwnershipTable
  readonly registry: Pick<MemberRegistry, 'members' | 'memberListNumber'>
  readonly repository: Pick<MainRepository, 'tip' | 'sealedEpoch' | 'workspaces'>
  readonly lost: Pick<LostHeads, 'get'>
}

/** Does an instance say that it has seen more than is known here? Cheap to ask, and proves nothing yet. */
export async function looksNewer(
  { table, registry, repository }: Known,
  { ownershipNumber, memberListNumber, workspaces }: Hello
): Promise<boolean> {
  if (ownershipNumber > table.number || memberListNumber > registry.memberListNumber) return true
  for (const { workspace, sequence } of workspaces) {
    if (sequence > 0 && sequence > (await sequenceOf(repository, workspace))) return true
  }
  return false
}

/** What in this report this coordinator has signed, or its repository has had, and does not know any more; null: nothing. */
export async function proofIn(
  { table, registry, repository, lost }: Known,
  report: MemberReport,
  name: string
): Promise<string | null> {
  if ((report.memberList?.value.number ?? 0) > registry.memberListNumber) {
    return `${name} holds a member list that this coordinator signed and does not know`
  }
  const testimony = testimonyOf(report)
  if (testimony.highestNumber > table.number) {
    return `${name} holds an ownership record that this coordinator signed and does not know`
  }
  const proven = new Set(report.workspaces.flatMap(({ head, isProven }) => (isProven ? [head?.cid.toString()] : [])))
  for (const { head } of await headsBeyond({ table, registry, repository, lost }, report)) {
    if (!proven.has(head.cid.toString())) continue
    return `${name} holds a head of workspace ${head.value.workspace} that the repository does not have`
  }
  return null
}

/** Heads of workspaces in their epochs that are newer than what the repository has, as far as their homes say so. */
export async function headsBeyond({ table, repository, lost }: Known, report: MemberReport): Promise<HeldHead[]> {
  const beyond: HeldHead[] = []
  const testimony = testimonyOf(report)
  for (const workspace of testimony.workspaces()) {
    const known = table.get(workspace)?.signed.value ?? null
    const held = testimony.newestHead(workspace, known)
    if (held === null || held.head.value.epoch < (known?.epoch ?? 0)) continue
    if (lost.get(workspace)?.equals(held.head.cid) === true) continue
    if (held.head.value.sequence > (await sequenceOf(repository, workspace))) beyond.push(held)
  }
  return beyond
}

function testimonyOf(report: MemberReport): Testimony {
  const testimony = new Testimony()
  testimony.note(report)
  return testimony
}

/** Does the repository know workspaces or epochs that the coordinator does not? Null where it does not. */
export async function repositoryProof({ table, registry, repository }: Known): Promise<string | null> {
  if (table.size === 0 && registry.members().length === 0) {
    for await (const workspace of repository.workspaces()) {
      return `the repository holds workspaces, ${workspace} among them, and this coordinator knows none`
    }
  }
  for (const { signed } of table.all()) {
    const { workspace, epoch } = signed.value
    const sealed = await repository.sealedEpoch(workspace)
    // A later epoch has heads only where this one is sealed.
    const reached = sealed < epoch ? 0 : ((await repository.tip(workspace))?.tip.epoch ?? 0)
    if (Math.max(reached, sealed) > epoch) {
      return `the repository knows a later epoch of workspace ${workspace} than this coordinator`
    }
  }
  return null
}

const sequenceOf = async (
  repository: Known['repository'],
  workspace: Parameters<MainRepository['tip']>[0]
): Promise<number> => (await repository.tip(workspace))?.tip.sequence ?? 0
