import { createIdentity, type Identity } from '../../../src/core/identity.ts'
import type { PeerIdText, ServiceName } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { type Random, systemRandom } from '../../../src/core/random.ts'
import type { Audit, Decision } from '../../../src/membership/audit.ts'
import { MemberRegistry, type RegistryDeps } from '../../../src/membership/registry.ts'
import { type ControlStore, controlStore } from '../../../src/store/control-store.ts'
import type { JoinRequest } from '../../../src/wire/membership.ts'
import { type ManualClock, manualClock } from '../../tools/clock.ts'

export const peer = async (): Promise<PeerIdText> => (await createIdentity()).peerId

export function request(changes: Partial<JoinRequest> = {}): JoinRequest {
  return {
    name: 'alpha',
    contact: 'ada@example.org',
    site: 'Uppsala',
    message: 'ours is idle at night',
    labels: { country: 'se' },
    capacityBytes: 50e9,
    services: ['files' as ServiceName],
    version: '0.1.0',
    invite: '',
    acceptedTerms: '',
    role: 'instance',
    ...changes
  }
}

export interface Bench {
  readonly registry: MemberRegistry
  readonly store: ControlStore
  readonly identity: Identity
  readonly clock: ManualClock
  readonly decisions: Decision[]
  /** The same coordinator after a restart. */
  reopened(): Promise<MemberRegistry>
}

export async function bench(changes: Partial<RegistryDeps> = {}): Promise<Bench> {
  const clock = manualClock()
  const decisions: Decision[] = []
  const audit: Audit = async (decision) => void decisions.push(decision)
  const random: Random = systemRandom()
  const identity = await createIdentity()
  const store = controlStore(memoryKeyValue())
  const deps: RegistryDeps = { store, identity, clock, random, audit, log: silent, ...changes }
  const registry = await MemberRegistry.open(deps)
  return { registry, store: deps.store, identity, clock, decisions, reopened: () => MemberRegistry.open(deps) }
}
