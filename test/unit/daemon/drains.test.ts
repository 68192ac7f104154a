import { expect, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import { DrainRows } from '../../../src/daemon/drain-rows.ts'
import { statementOf, verifyCertificate } from '../../../src/handover/certificate.ts'
import { controlStore } from '../../../src/store/control-store.ts'
import type { DrainReport } from '../../../src/wire/control.ts'
import { DRAIN_LIMITS } from '../../../src/wire/drains.ts'
import { type Bench, bench, peerOf } from '../handover/fleet.ts'
import { COORDINATOR } from '../sync/support.ts'
import { type DrainsOf, drainsOf } from './drains-bench.ts'

const A = peerOf('a')
const WISH = { deadlineMs: 60_000, to: null, toRepository: false, exits: true }
const LATER = 3_600_000

/** Whose last heads a report proves to be elsewhere; none where it is no proof. */
async function proven(report: DrainReport | undefined): Promise<WorkspaceId[]> {
  if (report === undefined || report.certificate.length === 0) return []
  expect((await verifyCertificate(report.certificate)).problems).toEqual([])
  const { heads } = await statementOf(report.certificate, COORDINATOR.peerId)
  return heads.map(({ workspace }) => workspace)
}

const rowsOf = ({ state }: DrainsOf): DrainRows => new DrainRows(controlStore(state))

/** `a` has handed its workspace over, is away, and its drain has ended without it. */
async function drainedWhileAway(): Promise<{ at: Bench; coordinator: DrainsOf; workspace: WorkspaceId }> {
  const at = await bench(['a', 'b'])
  const workspace = await at.workspaceAt('a', ['b'])
  const coordinator = await drainsOf(at)
  at.fleet.instead.set('release a', async () => coordinator.leave('a'))
  await coordinator.drains.start(A, WISH, A)
  await coordinator.pass(WISH.deadlineMs)
  expect([at.home(workspace), at.fleet.isConnected(A), coordinator.drains.report(A).state]).toEqual([
    'b',
    false,
    'drained'
  ])
  at.fleet.instead.clear()
  return { at, coordinator, workspace }
}

test('a process whose drain ended while it was away is told so with the certificate, also where it asks again', async () => {
  const { coordinator, workspace } = await drainedWhileAway()
  await coordinator.connect('a', true)
  const last = coordinator.told('a').at(-1)
  expect(last).toMatchObject({ state: 'drained', exits: true })
  expect(await proven(last)).toEqual([workspace])
  expect((await coordinator.drains.start(A, { ...WISH, deadlineMs: 1000 }, A)).state).toBe('drained')
  await coordinator.pass(2000)
  expect(coordinator.told('a').at(-1)).toEqual(last)
  expect(coordinator.candidates()).toEqual(['b'])
})

test('so it is over a restart of the coordinator, which was killed before it could tell', async () => {
  const { at, coordinator, workspace } = await drainedWhileAway()
  const again = await drainsOf(at, coordinator.state)
  again.drains.goOn()
  // It asks before anything else.
  at.fleet.serving.add('a')
  const returned = again.connect('a', true)
  expect((await again.drains.start(A, { ...WISH, deadlineMs: 0 }, A)).state).toBe('drained')
  await returned
  const told = again.told('a')
  expect(told).toMatchObject([{ state: 'drained', exits: true, workspaces: { done: 1, total: 1 } }])
  expect(await proven(told[0])).toEqual([workspace])
})

test('a new process serves, and its own drain has to prove what it is home of then', async () => {
  const { at, coordinator, workspace } = await drainedWhileAway()
  await coordinator.connect('a', false)
  expect(coordinator.candidates().sort()).toEqual(['a', 'b'])
  expect(await rowsOf(coordinator).drained()).toEqual([])
  await coordinator.drains.start(A, WISH, A)
  await coordinator.pass(3000)
  const last = coordinator.told('a').at(-1)
  expect([last?.state, await proven(last), at.home(workspace)]).toEqual(['drained', [], 'b'])
})

test('a drain whose certificate the coordinator could not keep does not begin again after a restart of it', async () => {
  const at = await bench(['a', 'b'])
  await at.workspaceAt('a', ['b'])
  const coordinator = await drainsOf(at)
  coordinator.disk.isFull = true
  await coordinator.drains.start(A, WISH, A)
  await coordinator.pass(3000)
  expect(coordinator.told('a').at(-1)?.state).toBe('drained')
  expect(await rowsOf(coordinator).running()).toEqual([])
  expect(await rowsOf(coordinator).drained()).toEqual([{ peer: A, stays: false }])
})

test('the late end of a cancelled drain leaves the next one to go on after a restart', async () => {
  const at = await bench(['a', 'b'])
  await at.workspaceAt('a', ['b'])
  const coordinator = await drainsOf(at)
  const frozen = Promise.withResolvers<void>()
  at.fleet.instead.set('freeze a', () => frozen.promise)
  await coordinator.drains.start(A, WISH, 'first')
  await coordinator.pass(100)
  await coordinator.drains.cancel(A, A)
  expect(await rowsOf(coordinator).running()).toEqual([])
  await coordinator.drains.start(A, WISH, 'second')
  // The other one of the two cannot end before this.
  at.fleet.fail('freeze a')
  frozen.resolve()
  await coordinator.pass(500)
  expect(await rowsOf(coordinator).running()).toMatchObject([{ peer: A, actor: 'second' }])
})

test('what an old backup says of drains is forgotten, and what is wished since is not', async () => {
  const at = await bench(['a', 'b', 'c'])
  for (const name of ['a', 'b'] as const) at.fleet.fail(`freeze ${name}`)
  await at.workspaceAt('a', ['c'])
  const before = await drainsOf(at)
  await before.drains.start(A, WISH, A)
  await before.drains.plan(peerOf('b'), at.clock.wall() + LATER, WISH, 'admin')
  await before.drains.plan(peerOf('c'), at.clock.wall() + LATER, WISH, 'admin')
  before.drains.close()

  const coordinator = await drainsOf(at, before.state)
  coordinator.drains.goOn()
  await coordinator.drains.plan(peerOf('c'), at.clock.wall() + 2 * LATER, WISH, 'admin')
  await coordinator.pass(500)
  expect(coordinator.drains.report(A).state).toBe('draining')
  coordinator.drains.forgetFormer('put back')
  await coordinator.pass(500)
  expect(coordinator.told('a').at(-1)).toMatchObject({ state: 'cancelled', reason: 'put back' })
  const entries = await coordinator.audit.list({ limit: 10 })
  const cancelled = entries.filter(({ details }) => JSON.stringify(details).includes('put back'))
  expect(cancelled.map(({ action, target }) => [action, target]).sort()).toEqual([
    ['drain.cancelled', A],
    ['drain.plan.cancelled', peerOf('b')]
  ])
  expect(await rowsOf(coordinator).running()).toEqual([])

  const again = await drainsOf(at, before.state)
  expect([again.drains.planned(peerOf('b')), again.drains.planned(peerOf('c'))?.actor]).toEqual([null, 'admin'])
})

test('an old backup is known before its drains go on: they never begin, but where they are wished anew', async () => {
  const at = await bench(['a', 'b'])
  at.fleet.fail('freeze a')
  await at.workspaceAt('a', ['b'])
  const before = await drainsOf(at)
  await before.drains.start(A, WISH, A)

  const coordinator = await drainsOf(at, before.state)
  coordinator.drains.forgetFormer('put back')
  await coordinator.pass(100)
  coordinator.drains.goOn()
  expect([coordinator.drains.report(A).state, await rowsOf(coordinator).running()]).toEqual(['serving', []])
  await coordinator.drains.start(A, WISH, A)
  // A former run has left this one to the next, and yet its instance asks for it now.
  const next = await drainsOf(at, before.state)
  next.drains.goOn()
  await next.pass(100)
  await next.drains.start(A, WISH, A)
  next.drains.forgetFormer('put back')
  await next.pass(100)
  expect(next.drains.report(A).state).toBe('draining')
})

test('a drain is not planned for a time that cannot be said', async () => {
  const coordinator = await drainsOf(await bench(['a', 'b']))
  const tooFar = DRAIN_LIMITS.atMsMax + 1
  expect(await coordinator.drains.plan(A, tooFar, WISH, A).catch(codeOf)).toBe('BAD_REQUEST')
  expect(coordinator.drains.planned(A)).toBeNull()
  expect((await coordinator.drains.plan(A, DRAIN_LIMITS.atMsMax, WISH, A)).plannedAtMs).toBe(DRAIN_LIMITS.atMsMax)
})

test('nothing is drained while it is not known what the instance is home of', async () => {
  const at = await bench(['a', 'b'])
  await at.workspaceAt('a', ['b'])
  const { drains, hold } = await drainsOf(at)
  hold.hold('old-backup', 'its members are asked')
  const refusal = { state: 'failed', reason: expect.stringContaining('does not know yet') }
  expect(drains.preview(A, WISH)).toMatchObject(refusal)
  expect(await drains.start(A, WISH, A)).toMatchObject(refusal)
  expect(drains.report(A).state).toBe('serving')
  hold.release('old-backup')
  expect(drains.preview(A, WISH)).toMatchObject({ workspaces: { total: 1 } })
})
