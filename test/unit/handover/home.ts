import { onTestFinished } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { seal } from '../../../src/core/envelope.ts'
import type { Identity } from '../../../src/core/identity.ts'
import type { ServiceName, UserId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { type Ownership, ownershipRecord, type SignedOwnership } from '../../../src/core/records.ts'
import { Resident } from '../../../src/handover/resident.ts'
import type { ResidentDeps } from '../../../src/handover/resident-deps.ts'
import { noMembers } from '../../tools/nobody.ts'
import { ALPHA, COORDINATOR, WORKSPACE } from '../sync/support.ts'

/** What the coordinator says of the workspace: alpha has it, in its first epoch. */
export const ownershipOf = (
  changes: Partial<Ownership> = {},
  signer: Identity = COORDINATOR
): Promise<SignedOwnership> =>
  seal(
    ownershipRecord,
    {
      federation: COORDINATOR.peerId,
      workspace: WORKSPACE,
      service: 'files' as ServiceName,
      owner: 'user:ada' as UserId,
      epoch: 1,
      base: null,
      home: ALPHA.peerId,
      standbys: [],
      number: 1,
      ...changes
    },
    signer
  )

/** Alpha, new, with a lease, on a disk that lost nothing; closed at the end of the test. */
export async function openResident(
  deps: Pick<ResidentDeps, 'premises' | 'remote'> & Partial<ResidentDeps>
): Promise<Resident> {
  const resident = await Resident.open({
    state: memoryKeyValue(),
    members: noMembers,
    identity: ALPHA,
    coordinator: COORDINATOR.peerId,
    clock: systemClock(),
    log: silent,
    acknowledge: () => 'replicated',
    leaseValid: () => true,
    filesTrusted: true,
    keepMs: () => 60_000,
    hooksFor: () => null,
    ...deps
  })
  onTestFinished(() => resident.close())
  return resident
}
