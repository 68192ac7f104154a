import { expect, test } from 'vitest'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { Removals } from '../../../src/handover/removals.ts'
import { ADA, type Bench, bench, FILES, type Name, nameOf, peerOf, settled } from './fleet.ts'

interface Place {
  readonly at: Bench
  readonly workspace: WorkspaceId
  readonly removals: Removals
  readonly audited: string[]
  readonly members: Set<Name>
  readonly trouble: { forget: boolean }
  holders(): string[]
}

async function place(): Promise<Place> {
  const at = await bench(['a', 'b', 'c'])
  const workspace = await at.workspaceAt('a', ['b'])
  const audited: string[] = []
  const members = new Set<Name>(['a', 'b', 'c'])
  const trouble = { forget: false }
  const removals = new Removals({
    ...at,
    instances: at.fleet,
    repository: {
      async forget(id) {
        if (trouble.forget) throw new NodeDaemonError('NO_SPACE', 'the disk is full')
        at.fleet.effects.push('forget')
        await at.repository.forget(id)
      }
    },
    lost: { forget: async () => undefined },
    isMember: (peer) => members.has(nameOf(peer) as Name),
    onRemoved: () => undefined,
    audit: async ({ action, actor }) => {
      audited.push(`${action} by ${actor}`)
      at.fleet.effects.push('audit')
      return undefined as never
    },
    log: silent
  })
  const holders = (): string[] => at.table.removed(workspace)?.holders.map(nameOf) ?? []
  return { at, workspace, removals, audited, members, trouble, holders }
}

const remove = ({ removals, workspace }: Place): Promise<void> => removals.remove(workspace, 'ada', 'ada wants it')

test('a workspace is taken from its owner first, then its history and all copies are removed', async () => {
  const here = await place()
  const { at, workspace } = here
  await remove(here)
  expect(at.fleet.effects).toEqual([
    'audit',
    'write ownership',
    'forget',
    expect.stringMatching(/release [ab]/),
    expect.stringMatching(/release [ab]/)
  ])
  expect([at.table.get(workspace), at.table.find(FILES, ADA), await at.repository.tip(workspace)]).toEqual([
    null,
    null,
    null
  ])
  expect([at.table.allRemoved(), here.audited]).toEqual([[], ['workspace.rm by ada']])
})

test('its owner begins anew afterwards, with another one', async () => {
  const here = await place()
  await remove(here)
  const next = await here.at.director.create(FILES, ADA)
  expect(next).not.toBe(here.workspace)
  expect(here.at.table.find(FILES, ADA)).toBe(next)
})

test('an instance that is away removes its copy once it is back', async () => {
  const here = await place()
  here.at.fleet.serving.delete('b')
  await remove(here)
  expect(here.holders()).toEqual(['b'])
  here.at.fleet.serving.add('b')
  here.at.fleet.effects.length = 0
  await here.removals.welcome(peerOf('b'))
  expect([here.at.fleet.effects, here.at.table.allRemoved()]).toEqual([['forget', 'release b'], []])
})

test('who is no member any more is not waited for', async () => {
  const here = await place()
  here.at.fleet.serving.delete('b')
  here.members.delete('b')
  await remove(here)
  expect(here.at.table.allRemoved()).toEqual([])
})

test('what fails is tried again until it is done; meanwhile nobody reaches the workspace', async () => {
  const here = await place()
  here.trouble.forget = true
  here.at.fleet.fail('release a')
  await remove(here)
  expect([here.at.table.get(here.workspace), here.holders()]).toEqual([null, ['a', 'b']])
  here.trouble.forget = false
  here.at.clock.advance(60_000)
  await settled()
  expect(here.holders()).toEqual(['a'])
  here.at.fleet.instead.clear()
  here.at.clock.advance(60_000)
  await settled()
  expect(here.at.table.allRemoved()).toEqual([])
})

test('what is wanted no more at the last moment is not removed', async () => {
  const here = await place()
  const refuse = (): void => {
    throw new NodeDaemonError('CONFLICT', 'somebody uses it')
  }
  await expect(here.removals.remove(here.workspace, 'ada', 'x', refuse)).rejects.toMatchObject({ code: 'CONFLICT' })
  expect(here.at.home(here.workspace)).toBe('a')
})

test('while promotions are held nothing is removed, and the audit log says so', async () => {
  const here = await place()
  here.at.hold.hold('mass-loss', 'most instances are away')
  await expect(remove(here)).rejects.toMatchObject({ code: 'BUSY' })
  expect(here.at.home(here.workspace)).toBe('a')
  expect(here.audited).toEqual(['workspace.rm by ada', 'workspace.rm.undone by coordinator'])
})
