import { describe, expect, test } from 'vitest'
import { seal } from '../../../src/core/envelope.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { silent } from '../../../src/core/log.ts'
import { receiptRecord } from '../../../src/core/records.ts'
import { verifyCertificate } from '../../../src/handover/certificate.ts'
import { DrainDriver, type DrainWish } from '../../../src/handover/drain-driver.ts'
import { receiptOf } from '../../../src/sync/receipt.ts'
import type { DrainReport } from '../../../src/wire/control.ts'
import { COORDINATOR } from '../sync/support.ts'
import { type Bench, bench, type Name, peerOf, settled } from './fleet.ts'

const WISH: DrainWish = { deadlineMs: 60_000, to: null, toRepository: false }

interface Drained {
  readonly driver: DrainDriver
  readonly states: string[]
}

/** Draining, an instance is no candidate any more; it stays connected until the end. */
function draining(at: Bench, name: Name, busy = { value: false }): Drained {
  const states: string[] = []
  const { fleet } = at
  const driver = new DrainDriver(
    {
      director: at.director,
      table: at.table,
      instances: {
        candidates: () => fleet.candidates().filter(({ peer }) => peer !== peerOf(name)),
        isGone: () => false,
        mayTakeOver: () => true,
        isConnected: (peer) => fleet.isConnected(peer),
        nameOf: (peer) => fleet.nameOf(peer),
        order: (peer, order) => fleet.order(peer, order)
      },
      holdings: at.holdings,
      repository: {
        head: (cid) => at.repository.head(cid),
        receiptFor: async (head) =>
          seal(
            receiptRecord,
            receiptOf(head, { blocks: 1, bytes: 1 }, 'repository', COORDINATOR.peerId, at.clock.wall()),
            COORDINATOR
          )
      },
      usedBytes: () => 1000,
      idle: async () => {
        if (busy.value) throw new NodeDaemonError('TIMED_OUT', 'requests in flight')
      },
      isBusy: () => busy.value,
      identity: COORDINATOR,
      clock: at.clock,
      log: silent
    },
    peerOf(name),
    (report) => void (states.at(-1) === report.state || states.push(report.state))
  )
  return { driver, states }
}

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
    const busy = { value: true }
    const { driver, states } = draining(at, 'a', busy)
    const running = driver.run(WISH)
    await expect
      .poll(
        () => {
          at.clock.advance(1000)
          return driver.state
        },
        { interval: 5 }
      )
      .toBe('stalled')
    expect(driver.report().reason).toContain('requests in flight')
    expect(at.director.state(workspace).state).not.toBe('orphaned')
    busy.value = false
    await expect
      .poll(
        () => {
          at.clock.advance(1000)
          return driver.state
        },
        { interval: 5 }
      )
      .toBe('drained')
    expect((await running).state).toBe('drained')
    expect(states).toEqual(['preparing', 'draining', 'stalled', 'draining', 'drained'])
  })

  test('that reaches its deadline names what is unproven, and the home serves on', async () => {
    const at = await bench(['a', 'b'])
    const workspace = await at.workspaceAt('a', ['b'])
    const { driver } = draining(at, 'a', { value: true })
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
    const { driver } = draining(at, 'a', { value: true })
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
    const busy = { value: true }
    const { driver } = draining(at, 'a', busy)
    const running = driver.run(WISH)
    await settled()
    await at.director.failover(workspace, peerOf('a'))
    await expect
      .poll(
        () => {
          at.clock.advance(1000)
          return driver.state
        },
        { interval: 5 }
      )
      .toBe('drained')
    const report = await running
    expect(await recipients(report)).toContain('repository')
    expect(at.home(workspace)).not.toBe('a')
  })
})
