import { expect, test } from 'vitest'
import type { AuditEntryView, StatusView } from '../../src/console/views.ts'
import { eventually } from '../tools/eventually.ts'
import { TestFederation } from '../tools/federation.ts'

/** What the audit log tells of an instance, the oldest first. */
async function toldOf(federation: TestFederation, target: string): Promise<string[]> {
  const entries = await federation.api.get<AuditEntryView[]>('/audit')
  return entries
    .filter((entry) => entry.target === target)
    .map(({ action }) => action)
    .reverse()
}

test('three of four are killed at once: nothing is promoted before an admin confirms; a restart is told apart', async () => {
  await using federation = await TestFederation.open()
  const names = ['alpha', 'beta', 'gamma', 'delta']
  await Promise.all(names.map((name) => federation.join(name)))
  const users = await federation.addUsers(3)
  await Promise.all(users.map((user) => user.save('/mine.txt', `of ${user.name}`)))
  await federation.settled()

  const restarted = (await federation.peer('delta')).peerId
  const delta = federation.program('delta')
  expect((await federation.command('delta', 'stop')).code).toBe(0)
  await delta.ended()
  await federation.resume('delta')
  const lastTold = async (): Promise<string[]> => (await toldOf(federation, restarted)).slice(-2)
  await eventually(lastTold).toEqual(['peer.stopping.restart', 'peer.back'])
  const refused = await federation.admin('failover', 'confirm')
  expect([refused.code, refused.log]).toEqual([4, expect.stringContaining('nothing to confirm')])

  const before = await federation.workspaces()
  await Promise.all(['alpha', 'beta', 'gamma'].map((name) => federation.kill(name)))
  const status = await federation.until('the brake', async () => {
    const view = await federation.api.get<StatusView>('/status')
    return view.held === null ? null : view
  })
  expect(status.held).toContain('3 of 4 instances vanished at once')
  const during = await federation.workspaces()
  expect(during.map(({ home, epoch }) => [home, epoch])).toEqual(before.map(({ home, epoch }) => [home, epoch]))

  expect((await federation.admin('failover', 'confirm')).code).toBe(0)
  for (const user of users) expect((await user.read('/mine.txt')).toString()).toBe(`of ${user.name}`)
})
