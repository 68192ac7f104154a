import { describe, expect, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import type { GroupName, UserId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import type { Decision } from '../../../src/membership/audit.ts'
import { Groups } from '../../../src/membership/groups.ts'
import { controlStore } from '../../../src/store/control-store.ts'
import { manualClock } from '../../tools/clock.ts'

const LAB = 'lab' as GroupName
const ADA = 'user:ada' as UserId

async function bench() {
  const store = controlStore(memoryKeyValue())
  const decisions: Decision[] = []
  const used = new Map<GroupName, string>()
  const deps = {
    store,
    clock: manualClock(),
    audit: async (decision: Decision): Promise<void> => void decisions.push(decision),
    inUse: (group: GroupName): string | null => used.get(group) ?? null
  }
  return { groups: await Groups.open(deps), reopened: () => Groups.open(deps), decisions, used }
}

const refused = (work: Promise<unknown>): Promise<string> => work.then(() => 'done', codeOf)

describe('a group', () => {
  test('gives its members the rights they were granted last, also after a restart', async () => {
    const { groups, reopened, decisions } = await bench()
    let told = 0
    groups.onChange(() => told++)
    await groups.add('lab', 'root')
    await groups.grant('lab', 'ada', 'read', 'root')
    expect(groups.rightsOf(LAB, ADA)).toBe('read')
    await groups.grant('lab', 'ada', 'write', 'root')
    await groups.grant('lab', 'ada', 'write', 'root')
    for (const now of [groups, await reopened()]) {
      expect(now.rightsOf(LAB, ADA)).toBe('write')
      expect(now.of(ADA)).toEqual(['lab'])
      expect(now.rightsOf(LAB, 'user:bob' as UserId)).toBeNull()
      expect(now.rightsOf('other' as GroupName, ADA)).toBeNull()
    }
    expect(told).toBe(3)
    expect(decisions.map(({ action, details }) => [action, details])).toEqual([
      ['group.add', {}],
      ['group.grant', { user: 'ada', rights: 'read' }],
      ['group.grant', { user: 'ada', rights: 'write' }]
    ])
  })

  test('stays where a workspace of it is begun while it is taken away', async () => {
    const store = controlStore(memoryKeyValue())
    let inUse: string | null = null
    const audit = async ({ action }: Decision): Promise<void> => {
      if (action === 'group.rm') inUse = 'it has a workspace'
    }
    const groups = await Groups.open({ store, clock: manualClock(), audit, inUse: () => inUse })
    await groups.add('lab', 'root')
    expect(await refused(groups.remove('lab', 'root'))).toBe('REFUSED_BY_POLICY')
    expect(groups.has(LAB)).toBe(true)
  })

  test('has no guests, whatever their digits', async () => {
    const { groups } = await bench()
    const hex = 'a'.repeat(32)
    await groups.add('lab', 'root')
    await groups.grant('lab', hex, 'write', 'root')
    expect(groups.rightsOf(LAB, `guest:${hex}` as UserId)).toBeNull()
    expect(groups.of(`guest:${hex}` as UserId)).toEqual([])
  })

  test('lets go of who is revoked, or is no user any more', async () => {
    const { groups, reopened } = await bench()
    for (const name of ['lab', 'club']) {
      await groups.add(name, 'root')
      await groups.grant(name, 'ada', 'write', 'root')
      await groups.grant(name, 'bob', 'write', 'root')
    }
    await groups.revoke('lab', 'bob', 'root')
    expect(groups.of('user:bob' as UserId)).toEqual(['club'])
    await groups.forget('ada', 'root')
    for (const now of [groups, await reopened()]) expect(now.of(ADA)).toEqual([])
    expect(await refused(groups.revoke('lab', 'ada', 'root'))).toBe('NOT_FOUND')
  })

  test('needs a name that can stand in a path, of its own, and users that can be such', async () => {
    const { groups } = await bench()
    await groups.add('lab', 'root')
    expect(await refused(groups.add('lab', 'root'))).toBe('NAME_TAKEN')
    for (const name of ['', 'Lab', '.well-known', 'a/b', 'a'.repeat(41)]) {
      expect(await refused(groups.add(name, 'root')), name).toBe('BAD_USAGE')
    }
    for (const user of ['', 'Ada', 'a b', 'user:ada']) {
      expect(await refused(groups.grant('lab', user, 'read', 'root')), user).toBe('BAD_USAGE')
    }
    expect(await refused(groups.grant('other', 'ada', 'read', 'root'))).toBe('NOT_FOUND')
    expect(groups.list().map(({ name, members }) => [name, members.size])).toEqual([['lab', 0]])
  })

  test('stays while it is in use', async () => {
    const { groups, reopened, used } = await bench()
    await groups.add('lab', 'root')
    used.set(LAB, 'it has a workspace')
    expect(await refused(groups.remove('lab', 'root'))).toBe('REFUSED_BY_POLICY')
    expect(groups.has(LAB)).toBe(true)
    used.clear()
    await groups.remove('lab', 'root')
    expect([groups.has(LAB), (await reopened()).has(LAB)]).toEqual([false, false])
    expect(await refused(groups.remove('lab', 'root'))).toBe('NOT_FOUND')
  })
})
