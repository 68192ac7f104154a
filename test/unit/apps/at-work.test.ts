import { expect, test } from 'vitest'
import { AtWork } from '../../../src/apps/at-work.ts'
import type { HookPlace } from '../../../src/apps/hooks.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
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

const untilAborted = (signal: AbortSignal): Promise<boolean> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new NodeDaemonError('ABORTED', 'not asked any more')), { once: true })
  })

function watching() {
  const clock = manualClock()
  const stop = new AbortController()
  const now = {
    places: [place('a'), place('b'), place('n', 'notes')],
    atWork: new Set(['a']),
    handsOver: false,
    besides: [] as WorkspaceId[],
    asked: 0,
    /** Those whose app does not answer. */
    silent: new Set<string>()
  }
  const all = new AtWork({
    ask: ({ workspace, service }) =>
      service === 'files'
        ? async (signal) => {
            now.asked++
            if (now.silent.has(workspace)) return untilAborted(signal)
            return now.atWork.has(workspace)
          }
        : null,
    places: async () => now.places,
    besides: () => now.besides,
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

test('each is known as soon as it was answered, whoever else is still asked', async () => {
  const { all, now, end } = watching()
  now.silent.add('b')
  await settled()
  expect(all.workspaces).toEqual(['a'])
  await end()
})

test('one that is no home of here any more is forgotten', async () => {
  const { all, now, advance, end } = watching()
  await settled()
  now.places = [place('b')]
  await advance(61_000)
  expect(all.workspaces).toEqual([])
  await end()
})

test('right before a freeze it is asked again, once: what is known already is no surprise', async () => {
  const { all, now, end } = watching()
  await settled()
  const workspace = 'b' as WorkspaceId
  await all.checkQuiet(workspace)
  now.atWork.add('b')
  await expect(all.checkQuiet(workspace)).rejects.toMatchObject({ code: 'BUSY' })
  expect(all.workspaces).toEqual(['a', 'b'])
  await all.checkQuiet(workspace)
  await all.checkQuiet('n' as WorkspaceId)
  await end()
})

test('a freeze does not wait for long for an app that does not answer', async () => {
  const { all, now, advance, end } = watching()
  await settled()
  now.silent.add('b')
  const checked = all.checkQuiet('b' as WorkspaceId)
  await advance(3000)
  await checked
  expect(all.workspaces).toEqual(['a'])
  await end()
})

test('users may be at work without their app, and a freeze is not refused for that', async () => {
  const { all, now, end } = watching()
  await settled()
  now.besides = ['b', 'a'] as WorkspaceId[]
  expect(all.workspaces).toEqual(['a', 'b'])
  await all.checkQuiet('b' as WorkspaceId)
  await end()
})
