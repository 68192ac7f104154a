import { describe, expect, test } from 'vitest'
import { verifyCertificate } from '../../../src/handover/certificate.ts'
import type { DrainReport } from '../../../src/wire/control.ts'
import { COORDINATOR } from '../sync/support.ts'
import { draining, WISH } from './drain-bench.ts'
import { bench, peerOf, settled } from './fleet.ts'

const recipients = async (report: DrainReport): Promise<string[]> => {
  const verified = await verifyCertificate(report.certificate)
  expect(verified.problems).toEqual([])
  return verified.recipients.map(({ peer, role }) =>
    `${role} ${peer === COORDINATOR.peerId ? '' : nameIn(peer)}`.trim()
  )
}
const nameIn = (peer: string): string => (['a', 'b', 'c', 'd'] as const).find((name) => peerOf(name) === peer) ?? peer

describe('a drain', () => {
  test('hands everything over and proves it to anyone', async () => {
    const at = await bench(['a', 'b'])
    const workspace = await at.workspaceAt('a', ['b'])
    const { driver, states } = draining(at, 'a')
    const report = await driver.run(WISH)
    expect(states).toEqual(['preparing', 'draining', 'drained'])
    expect(report).toMatchObject({ state: 'drained', workspaces: { done: 1, total: 1 }, unproven: [] })
    expect(at.home(workspace)).toBe('b')
    expect(at.fleet.effects).toContain('release a')
    expect(await recipients(report)).toEqual(['instance b', 'repository'])
  })

  test('of the last instance ends in the repository, and says that nobody serves meanwhile', async () => {
    const at = await bench(['a'])
    const workspace = await at.workspaceAt('a')
    const report = await draining(at, 'a').driver.run(WISH)
    expect(report.state).toBe('drained')
    expect(report.reason).not.toBe('')
    expect(at.home(workspace)).toBe('null')
    expect(await recipients(report)).toEqual(['repository'])
  })

  test('of who is home of nothing is done at once', async () => {
    const at = await bench(['a', 'b'])
    const report = await draining(at, 'a').driver.run(WISH)
    expect(report).toMatchObject({ state: 'drained', workspaces: { done: 0, total: 0 } })
    expect(await recipients(report)).toEqual([])
  })

  test('tells its plan without doing anything', async () => {
    const at = await bench(['a', 'b'])
    const workspace = await at.workspaceAt('a', ['b'])
    const { driver, states } = draining(at, 'a')
    expect(driver.preview(WISH)).toMatchObject({ plan: [{ workspace, to: peerOf('b'), toName: 'b' }] })
    expect([at.fleet.effects, states, driver.state]).toEqual([[], [], 'serving'])
  })

  test('is refused with its reasons where it cannot be done', async () => {
    const at = await bench(['a', 'b'])
    await at.workspaceAt('a', ['b'])
    const { driver } = draining(at, 'a')
    const report = await driver.run({ ...WISH, to: peerOf('d') })
    expect(report.state).toBe('failed')
    expect(report.reason).toContain('is not an instance that serves now')
    expect(at.fleet.effects).toEqual([])
  })

  test('tries a handover again that failed, and stalls with the reason while it does', async () => {
    const at = await bench(['a', 'b'])
    const workspace = await at.workspaceAt('a', ['b'])
    const { driver, states, now, until } = draining(at, 'a', { now: { inFlight: true } })
    const running = driver.run(WISH)
    const stalled = await until(({ state }) => state === 'stalled')
    expect(stalled.reason).toContain('requests in flight')
    expect(at.director.state(workspace).state).not.toBe('orphaned')
    now.inFlight = false
    await until(({ state }) => state === 'drained')
    expect((await running).state).toBe('drained')
    expect(states).toEqual(['preparing', 'draining', 'stalled', 'draining', 'drained'])
  })

  test('waits for requests that take long, and breaks them off at the last moment', async () => {
    const at = await bench(['a', 'b'])
    const workspace = await at.workspaceAt('a', ['b'])
    const { driver, states, until } = draining(at, 'a', {
      now: { inFlight: true, breakable: true, occupied: new Set([workspace]) }
    })
    const running = driver.run(WISH)
    await until(() => at.clock.now() > 40_000)
    expect(driver.report()).toMatchObject({ state: 'draining', waiting: [workspace] })
    expect(at.fleet.effects).not.toContain('freeze a')
    await until(({ state }) => state !== 'draining')
    expect((await running).state).toBe('drained')
    expect(at.clock.now()).toBeLessThan(WISH.deadlineMs)
    expect(states).toEqual(['preparing', 'draining', 'drained'])
  })

  test('breaks nothing off before that', async () => {
    const at = await bench(['a', 'b'])
    await at.workspaceAt('a', ['b'])
    const { driver, now, until } = draining(at, 'a', { now: { inFlight: true, breakable: true } })
    const running = driver.run(WISH)
    await until(({ state }) => state === 'stalled')
    expect(now.inFlight).toBe(true)
    now.inFlight = false
    await until(({ state }) => state === 'drained')
    await running
  })

  test('that reaches its deadline names what is unproven, and the home serves on', async () => {
    const at = await bench(['a', 'b'])
    const workspace = await at.workspaceAt('a', ['b'])
    const { driver } = draining(at, 'a', { now: { inFlight: true } })
    const running = driver.run(WISH)
    await settled()
    at.clock.advance(60_000)
    const report = await running
    expect(report).toMatchObject({ state: 'expired', unproven: [workspace] })
    expect(report.certificate).toHaveLength(0)
    await settled()
    expect([at.home(workspace), at.director.state(workspace).state]).toEqual(['a', 'serving'])
  })

  test('that is cancelled goes back to what it was', async () => {
    const at = await bench(['a', 'b'])
    const workspace = await at.workspaceAt('a', ['b'])
    const { driver } = draining(at, 'a', { now: { inFlight: true } })
    const running = driver.run(WISH)
    await settled()
    driver.cancel()
    expect(await running).toMatchObject({ state: 'cancelled', unproven: [workspace] })
    driver.cancel()
    expect(driver.state).toBe('cancelled')
    await settled()
    expect([at.home(workspace), at.director.state(workspace).state]).toEqual(['a', 'serving'])
  })

  test('proves also what went to another home by itself meanwhile', async () => {
    const at = await bench(['a', 'b', 'c'])
    const workspace = await at.workspaceAt('a', ['b'])
    const { driver, until } = draining(at, 'a', { now: { inFlight: true } })
    const running = driver.run(WISH)
    await settled()
    await at.director.failover(workspace, peerOf('a'))
    await until(({ state }) => state === 'drained')
    const report = await running
    expect(await recipients(report)).toContain('repository')
    expect(at.home(workspace)).not.toBe('a')
  })
})
