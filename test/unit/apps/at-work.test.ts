import { expect, test } from 'vitest'
import { AtWork } from '../../../src/apps/at-work.ts'
import type { HookPlace } from '../../../src/apps/hooks.ts'
import type { ServiceName, WorkspaceId } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { manualClock } from '../../tools/clock.ts'
import { settled } from '../handover/fleet.ts'

const place = (workspace: string, service = 'files'): HookPlace => ({
  workspace: workspace as WorkspaceId,
  service: service as ServiceName,
  epoch: 1,
  folder: '/'
})

function watching() {
  const clock = manualClock()
  const stop = new AbortController()
  const now = {
    places: [place('a'), place('b'), place('n', 'notes')],
    atWork: new Set(['a']),
    handsOver: false,
    asked: 0
  }
  const all = new AtWork({
    ask: ({ workspace, service }) =>
      service === 'files'
        ? async () => {
            now.asked++
            return now.atWork.has(workspace)
          }
        : null,
    places: async () => now.places,
    isHandingOver: () => now.handsOver,
    clock,
    log: silent
  })
  const running = all.run(stop.signal)
  const advance = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 1000) {
      await settled()
      clock.advance(1000)
    }
    await settled()
  }
  const end = async (): Promise<void> => {
    stop.abort()
    await running
  }
  return { all, now, advance, end }
}

test('those are known in which users are at work, of the services that can say so', async () => {
  const { all, now, advance, end } = watching()
  await settled()
  expect(all.workspaces).toEqual(['a'])
  now.atWork.clear()
  await advance(61_000)
  expect([all.workspaces, now.asked]).toEqual([[], 4])
  await end()
})

test('they are asked more often while something is handed over, soon after that has begun', async () => {
  const { all, now, advance, end } = watching()
  await advance(10_000)
  expect(now.asked).toBe(2)
  now.handsOver = true
  now.atWork = new Set(['b'])
  await advance(6000)
  expect(all.workspaces).toEqual(['b'])
  await advance(30_000)
  expect(now.asked).toBeGreaterThan(10)
  await end()
})
