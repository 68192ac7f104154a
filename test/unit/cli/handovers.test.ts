import { expect, test } from 'vitest'
import type { RebalanceView } from '../../../src/console/views.ts'
import { fakeDaemon, json, type Reply } from './fake-daemon.ts'
import { run } from './fake-terminal.ts'

const rebalance = (change: Partial<RebalanceView> = {}): RebalanceView => ({
  state: 'moving',
  moved: 0,
  failed: 0,
  reason: null,
  plan: [],
  ...change
})

/** One after another, the last again and again. */
function inTurn(...views: readonly RebalanceView[]): Reply {
  let next = 0
  return (asked, response) => json(views[Math.min(next++, views.length - 1)])(asked, response)
}

test('failover confirm goes on after a mass loss, and ends with 4 where nothing is held', async () => {
  await using held = await fakeDaemon({ 'POST /failover/confirm': json({ causes: ['mass-loss'] }) })
  const done = await run(['failover', 'confirm', '--json', '--data', held.data])
  expect([done.code, JSON.parse(done.stdout)]).toEqual([0, { causes: ['mass-loss'] }])

  const refusal = {
    error: { code: 'REFUSED_BY_POLICY', message: 'there is nothing to confirm', advice: 'see peers ls' }
  }
  await using free = await fakeDaemon({ 'POST /failover/confirm': json(refusal, 409) })
  const refused = await run(['failover', 'confirm', '--data', free.data])
  expect([refused.code, refused.stderr]).toEqual([4, expect.stringContaining('nothing to confirm')])
})

test('status and peers ls say first that nothing is promoted, and how to go on', async () => {
  const status = { held: '3 of 4 instances vanished at once' }
  await using daemon = await fakeDaemon({ 'GET /peers': json([]), 'GET /status': json(status) })
  const { stdout } = await run(['peers', 'ls', '--data', daemon.data])
  expect(stdout).toMatch(/^NOTHING IS PROMOTED: 3 of 4 instances vanished at once.*failover confirm\n/)
})

test('rebalance --plan shows who would give what to whom, and changes nothing', async () => {
  const move = { role: 'home', workspace: '7f3a0000', from: 'a', fromName: 'alpha', to: 'b', toName: 'beta' } as const
  const plan = rebalance({ state: 'idle', plan: [{ ...move, bytes: 0, reason: 'load' }] })
  await using daemon = await fakeDaemon({ 'POST /rebalance': json(plan) })
  const { code, stdout } = await run(['rebalance', '--plan', '--data', daemon.data])
  expect(code).toBe(0)
  expect(stdout).toMatch(/7f3a0000 +home +alpha +beta +0 B +to even the load/)
  expect(stdout).toContain('1 move, each when its workspace is idle. Nothing was changed.')
  expect(daemon.asked.map(({ body }) => body)).toEqual([{ plan: true }])
})

test('rebalance follows what goes on to its end', async () => {
  await using daemon = await fakeDaemon({
    'POST /rebalance': json(rebalance()),
    'GET /rebalance': inTurn(
      rebalance({ moved: 2 }),
      rebalance({ state: 'waiting', moved: 2, reason: 'a drain is under way' }),
      rebalance({ state: 'idle', moved: 5, reason: 'nothing is left to move' })
    )
  })
  const { code, stdout } = await run(['rebalance', '--data', daemon.data])
  expect([code, stdout.trim().split('\n')]).toEqual([
    0,
    [
      '0 workspaces moved …',
      '2 workspaces moved …',
      '2 workspaces moved; waiting: a drain is under way …',
      '5 workspaces moved: nothing is left to move.'
    ]
  ])
})

test('rebalance ends with 6 where some were not moved, and --stop with what the coordinator says', async () => {
  await using daemon = await fakeDaemon({
    'POST /rebalance': json(rebalance({ state: 'idle', failed: 2, reason: 'nothing is left to move' })),
    'POST /rebalance/stop': json(rebalance())
  })
  expect((await run(['rebalance', '--data', daemon.data])).code).toBe(6)
  expect((await run(['rebalance', '--stop', '--data', daemon.data])).code).toBe(0)
  expect((await run(['rebalance', '--detach', '--data', daemon.data])).code).toBe(0)
})

test('audit tells what an entry means', async () => {
  const entry = { number: 3, at: '2026-01-02T03:04:05.000Z', actor: 'coordinator', action: 'peer.back', target: 'p' }
  await using daemon = await fakeDaemon({
    'GET /audit?limit=100': json([{ ...entry, text: 'alpha is back as it said', details: {} }])
  })
  expect((await run(['audit', '--data', daemon.data])).stdout).toContain('alpha is back as it said')
})
