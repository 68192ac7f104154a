import { describe, expect, test } from 'vitest'
import { codeOf, NodeDaemonError } from '../../../src/core/errors.ts'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import type { Quieting } from '../../../src/handover/neighbours.ts'
import { type Restored, restoreInPlace } from '../../../src/handover/restore.ts'
import { type Bench, bench, peerOf } from './fleet.ts'

const options: Quieting = { idle: async () => undefined, signal: new AbortController().signal }

/** Goes back to the first head of the workspace. */
async function back(at: Bench, workspace: WorkspaceId, path: readonly string[] = [], how = options): Promise<Restored> {
  const from = (await at.repository.history(workspace, { limit: 100 })).at(-1)
  if (from === undefined) throw new Error('no head')
  const { director, repository, fleet: instances, clock } = at
  return restoreInPlace({ director, repository, instances, clock }, from, path, how)
}

async function twoHeads(): Promise<{ at: Bench; workspace: WorkspaceId }> {
  const at = await bench(['a', 'b'])
  const workspace = await at.workspaceAt('a', ['b'])
  await at.publish(workspace)
  return { at, workspace }
}

describe('going back in place', () => {
  test('holds requests while the home works, and lets them pass again; the home stays', async () => {
    const { at, workspace } = await twoHeads()
    const seen: string[] = []
    at.fleet.instead.set('restore a', async () => {
      seen.push(at.director.state(workspace).state)
      await at.publish(workspace)
    })
    const { before, after } = await back(at, workspace)
    expect([before.value.sequence, after.value.sequence, seen]).toEqual([2, 3, ['frozen']])
    expect(at.fleet.effects).toEqual(['freeze a', 'restore a'])
    expect([at.director.state(workspace).state, at.home(workspace)]).toEqual(['serving', 'a'])
  })

  test('is made anew for a newer head where somebody wrote meanwhile, a few times', async () => {
    const { at, workspace } = await twoHeads()
    const conflict = async (): Promise<void> => {
      await at.publish(workspace)
      throw new NodeDaemonError('CONFLICT', 'another head')
    }
    let left = 3
    at.fleet.instead.set('restore a', () => (left-- > 0 ? conflict() : Promise.resolve()))
    expect((await back(at, workspace, ['a.txt'])).before.value.sequence).toBe(5)
    at.fleet.instead.set('restore a', conflict)
    at.fleet.effects.length = 0
    expect(await back(at, workspace).then(() => 'restored', codeOf)).toBe('CONFLICT')
    expect(at.fleet.effects).toEqual(['freeze a', ...Array(5).fill('restore a'), 'thaw a'])
    expect(at.director.state(workspace).state).toBe('serving')
  })

  test('holds requests for ten minutes at most, however often it is tried', async () => {
    const { at, workspace } = await twoHeads()
    at.fleet.instead.set('restore a', async () => {
      at.clock.advance(4 * 60_000)
      throw new NodeDaemonError('CONFLICT', 'another head')
    })
    expect(await back(at, workspace).then(() => 'restored', codeOf)).toBe('TIMED_OUT')
    expect(at.fleet.effects).toEqual(['freeze a', ...Array(3).fill('restore a'), 'thaw a'])
    expect(at.director.state(workspace).state).toBe('serving')
  })

  test('thaws a home that could not be frozen', async () => {
    const { at, workspace } = await twoHeads()
    at.fleet.fail('freeze a')
    expect(await back(at, workspace).then(() => 'restored', codeOf)).toBe('TIMED_OUT')
    expect([at.fleet.effects, at.director.state(workspace).state]).toEqual([['freeze a', 'thaw a'], 'serving'])
  })

  test('is refused where nobody serves, and given up where requests in flight do not end', async () => {
    const { at, workspace } = await twoHeads()
    const busy = {
      ...options,
      idle: (_: WorkspaceId, signal: AbortSignal) =>
        new Promise<void>((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason), { once: true })
          at.clock.advance(3000)
        })
    }
    expect(await back(at, workspace, [], busy).then(() => 'restored', codeOf)).toBe('TIMED_OUT')
    expect([at.fleet.effects, at.director.state(workspace).state]).toEqual([['thaw a'], 'serving'])
    at.fleet.serving.delete('a')
    expect(await back(at, workspace).then(() => 'restored', codeOf)).toBe('REFUSED_BY_POLICY')
  })

  test('a home that does not answer is told again to serve, and nothing passes before it does', async () => {
    const { at, workspace } = await twoHeads()
    at.fleet.fail('restore a')
    at.fleet.fail('thaw a')
    expect(await back(at, workspace).then(() => 'restored', codeOf)).toBe('TIMED_OUT')
    expect(at.director.state(workspace).state).toBe('restoring')
    at.clock.advance(5000)
    await expect.poll(() => at.director.state(workspace).state).toBe('serving')
    expect(at.fleet.effects).toEqual(['freeze a', 'restore a', 'thaw a', 'assume a'])
  })

  test('a part that was not there then is refused before the home is asked', async () => {
    const { at, workspace } = await twoHeads()
    expect(await back(at, workspace, ['no.txt']).then(() => 'restored', codeOf)).toBe('NOT_FOUND')
    expect(at.fleet.effects).not.toContain('restore a')
    expect(at.table.get(workspace)?.signed.value.home).toBe(peerOf('a'))
  })
})
