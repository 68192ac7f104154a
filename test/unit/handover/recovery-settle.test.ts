import { expect, test } from 'vitest'
import type { ServiceName, UserId, WorkspaceId } from '../../../src/core/ids.ts'
import { LEAP } from '../../../src/handover/recovery-settle.ts'
import type { MainRepository } from '../../../src/store/repository.ts'
import { nameOf, peerOf, settled } from './fleet.ts'
import { admit, coordinator, copyOfState, create, Holder, newDisk, publish, swapTo, tell, W } from './recovery-bench.ts'

const DAMAGED = 'd'.repeat(32) as WorkspaceId

/** What is known of one workspace cannot be read or written. */
function damaged(repository: MainRepository): MainRepository {
  const fails = <Result>(workspace: WorkspaceId, work: () => Promise<Result>): Promise<Result> =>
    workspace === DAMAGED ? Promise.reject(new Error('a damaged row')) : work()
  return new Proxy(repository, {
    get(target, name) {
      if (name === 'seal') {
        const seal: MainRepository['seal'] = (workspace, ...rest) =>
          fails(workspace, () => target.seal(workspace, ...rest))
        return seal
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    }
  })
}

test('a workspace that cannot be sealed is set aside, under a new number, and the recovery ends', async () => {
  const disk = await newDisk()
  const [a, b] = [new Holder('a'), new Holder('b')]
  const before = await coordinator(disk, [])
  await admit(before, [a, b])
  await create(before, 'a', ['b'])
  const [service, user] = ['files' as ServiceName, 'user:eve' as UserId]
  await before.table.create(DAMAGED, { service, owner: user, home: peerOf('b'), createdAtMs: 1 })
  const backup = await copyOfState(disk)
  await swapTo(before, 'b', ['a'])
  tell(before, [a, b], await publish(before))
  const repository = damaged(disk.repository)
  const at = await coordinator({ state: backup, repository }, [a, b], disk.repository)
  for (const one of [a, b]) await at.recovery.met(one)
  await settled()
  expect([at.recovery.isOpen, at.hold.reason]).toEqual([false, null])
  expect(at.recovery.last?.setAside).toEqual([DAMAGED])
  expect(nameOf(at.table.get(W)?.signed.value.home)).toBe('b')
  expect(at.table.get(W)?.signed.value.epoch).toBeGreaterThan(LEAP)
  expect(at.table.get(DAMAGED)?.signed.value).toMatchObject({ epoch: 1, home: peerOf('b') })
  expect(at.table.get(DAMAGED)?.signed.value.number).toBeGreaterThan(LEAP)
})
