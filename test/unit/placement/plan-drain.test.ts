import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ServiceName } from '../../../src/core/ids.ts'
import { roomOf } from '../../../src/placement/candidate.ts'
import { type DrainPlan, planDrain } from '../../../src/placement/plan-drain.ts'
import { drainable, FILES, instance, peer, policy, workspace } from './support.ts'

type Planned = Extract<DrainPlan, { kind: 'planned' }>

function planned(plan: DrainPlan): Planned {
  if (plan.kind !== 'planned') throw new Error(plan.reasons.join('; '))
  return plan
}

function reasons(plan: DrainPlan): readonly string[] {
  if (plan.kind !== 'refused') throw new Error('it was planned')
  return plan.reasons
}

const at = (name: string, lackingBytes: number) => ({ peer: peer(name), lackingBytes })

describe('a drain is planned', () => {
  test('to the standby that lacks least, at the cost of what it lacks', () => {
    const standbys = [at('b', 5000), at('c', 100)]
    const { moves, bytes } = planned(
      planDrain([drainable(1, 9000, { standbys })], [instance('b'), instance('c')], policy())
    )
    expect(moves).toMatchObject([{ to: 'c', toName: 'c', bytes: 100 }])
    expect(bytes).toBe(100)
  })

  test('to a standby without room when it lacks nothing, and elsewhere when it lacks something', () => {
    const candidates = [instance('b', 0), instance('c')]
    const withNothing = planDrain([drainable(1, 9000, { standbys: [at('b', 0)] })], candidates, policy())
    expect(planned(withNothing).moves).toMatchObject([{ to: 'b', bytes: 0 }])
    const withSome = planDrain([drainable(1, 9000, { standbys: [at('b', 1)] })], candidates, policy())
    expect(planned(withSome).moves).toMatchObject([{ to: 'c', bytes: 9000 }])
  })

  test('to others only while the standby that is away is away', () => {
    const plan = planDrain([drainable(1, 10, { standbys: [at('gone', 0)] })], [instance('c')], policy())
    expect(planned(plan).moves).toMatchObject([{ to: 'c', bytes: 10 }])
  })

  test('idle workspaces first, busy ones last, small before large', () => {
    const workspaces = [
      drainable(1, 10, { busy: true }),
      drainable(2, 500),
      drainable(3, 5, { busy: true }),
      drainable(4, 20)
    ]
    const { moves } = planned(planDrain(workspaces, [instance('b')], policy()))
    expect(moves.map((move) => move.workspace.workspace)).toEqual([4, 2, 3, 1].map(workspace))
  })

  test('with an estimate that rises from move to move and ends with that of the whole', () => {
    const { moves, etaMs } = planned(
      planDrain([drainable(1, 1_000_000), drainable(2, 2_000_000)], [instance('b')], policy())
    )
    expect(moves.map((move) => move.etaMs)).toEqual([1200, 3400])
    expect(etaMs).toBe(3400)
  })

  test('by the rate that was measured to an instance, and by the limit on what the draining one sends', () => {
    const plan = (changes: Parameters<typeof policy>[0], unsyncedBytes = 0) =>
      planned(planDrain([drainable(1, 1_000_000, { unsyncedBytes })], [instance('b')], policy(changes))).etaMs
    expect(plan({})).toBe(1200)
    expect(plan({ measured: new Map([[peer('b'), 500_000]]) })).toBe(2200)
    expect(plan({ measured: new Map([[peer('c'), 1]]) })).toBe(1200)
    expect(plan({ uploadLimit: 1000 })).toBe(1200)
    expect(plan({ uploadLimit: 1000 }, 10_000)).toBe(11_200)
  })

  test('into the main repository when asked to, and when there is no other instance', () => {
    for (const plan of [
      planDrain([drainable(1, 1e12)], [instance('b')], policy({ toRepository: true })),
      planDrain([drainable(1, 1e12)], [], policy())
    ]) {
      expect(planned(plan).moves).toMatchObject([{ to: null, toName: 'the main repository', bytes: 0 }])
    }
  })

  test('as nothing to do for who is home of nothing', () => {
    expect(planDrain([], [instance('b')], policy({ deadlineMs: 0 }))).toEqual({
      kind: 'planned',
      moves: [],
      bytes: 0,
      etaMs: 0
    })
  })
})

describe('a drain is refused', () => {
  test('when nobody has room, saying who has how much', () => {
    const [reason] = reasons(planDrain([drainable(1, 100)], [instance('b', 100), instance('c', 7)], policy()))
    expect(reason).toBe(
      'no instance may take workspace 00000000: it needs room for 100 bytes (b has room for 100, c has room for 7)'
    )
  })

  test('when nobody else offers the service', () => {
    const other = instance('b', 1e9, { services: ['photos' as ServiceName] })
    expect(reasons(planDrain([drainable(1, 1)], [other], policy()))).toEqual([
      'no instance may take workspace 00000000 (no other offers its service files)'
    ])
  })

  test('when others offer the service but cannot run it, with the reason of each', () => {
    const unfit = new Map([[FILES, 'it has version 1, and 2 is declared']])
    const others = [instance('b', 1e9, { services: [], unfit }), instance('c', 1e9, { services: [] })]
    expect(reasons(planDrain([drainable(1, 1)], others, policy()))).toEqual([
      'no instance may take workspace 00000000 (no other can run its service files: b: it has version 1, and 2 is declared)'
    ])
  })

  test('when the instance that was named does not serve, though others would', () => {
    expect(reasons(planDrain([drainable(1, 1)], [instance('b')], policy({ to: peer('c') })))).toEqual([
      'c is not an instance that serves now'
    ])
    expect(reasons(planDrain([drainable(1, 1)], [], policy({ to: peer('c') })))).toHaveLength(1)
  })

  test('when the instance that was named has no room, though others have', () => {
    const candidates = [instance('b', 10), instance('c')]
    expect(reasons(planDrain([drainable(1, 100)], candidates, policy({ to: peer('b') })))).toEqual([
      expect.stringContaining('(b has room for 10)')
    ])
  })

  test('while the others are away for a moment only, and it does not have to be the main repository', () => {
    expect(reasons(planDrain([drainable(1, 1)], [], policy({ othersAwaited: true })))).toEqual([
      'the other instances are away for the moment'
    ])
    planned(planDrain([drainable(1, 1)], [], policy({ othersAwaited: true, toRepository: true })))
    planned(planDrain([], [], policy({ othersAwaited: true })))
  })

  test('when the limit on what it sends makes it too slow, naming that', () => {
    const plan = planDrain([drainable(1, 10, { unsyncedBytes: 1e6 })], [instance('b')], policy({ uploadLimit: 1000 }))
    expect(reasons(plan)[0]).toContain('an upload limit of 1000 bytes a second')
  })

  test('when it cannot end before the deadline', () => {
    const plan = planDrain([drainable(1, 10_000_000)], [instance('b')], policy({ deadlineMs: 10_199 }))
    expect(reasons(plan)).toEqual([
      '10000000 bytes to hand over take about 11 s at this bandwidth, longer than the deadline of 11 s'
    ])
    planned(planDrain([drainable(1, 10_000_000)], [instance('b')], policy({ deadlineMs: 10_200 })))
  })

  test('when the rooms are enough for each workspace but not for all of them', () => {
    const workspaces = [drainable(1, 60), drainable(2, 60)]
    expect(reasons(planDrain(workspaces, [instance('b', 100)], policy()))).toHaveLength(1)
    const { moves } = planned(planDrain(workspaces, [instance('b', 100), instance('c', 100)], policy()))
    expect(new Set(moves.map(({ to }) => to))).toEqual(new Set(['b', 'c']))
  })

  test('with twenty reasons at most, and how many more there are', () => {
    const many = Array.from({ length: 30 }, (_, number) => drainable(number, 100))
    const told = reasons(planDrain(many, [instance('b', 10)], policy()))
    expect(told).toHaveLength(21)
    expect(told.at(-1)).toBe('and 10 more')
  })
})

const names = ['a', 'b', 'c', 'd']
const anyPlan = fc.record({
  candidates: fc.uniqueArray(fc.record({ name: fc.constantFrom(...names), room: fc.nat(1000) }), {
    selector: ({ name }) => name,
    minLength: 1
  }),
  workspaces: fc.array(
    fc.record({
      bytes: fc.nat(400),
      busy: fc.boolean(),
      standbys: fc.uniqueArray(fc.record({ name: fc.constantFrom(...names), lacking: fc.nat(400) }), {
        selector: ({ name }) => name
      })
    }),
    { maxLength: 12 }
  )
})

test('a plan names every workspace once, a target that serves, and takes no more room than there is', () => {
  fc.assert(
    fc.property(anyPlan, ({ candidates, workspaces }) => {
      const instances = candidates.map(({ name, room }) => instance(name, room))
      const wanted = workspaces.map(({ bytes, busy, standbys }, number) =>
        drainable(number, bytes, {
          busy,
          standbys: standbys.map(({ name, lacking }) => at(name, Math.min(lacking, bytes)))
        })
      )
      const plan = planDrain(wanted, instances, policy())
      if (plan.kind === 'refused') {
        expect(plan.reasons.length).toBeGreaterThan(0)
        return
      }
      const ids = plan.moves.map((move) => move.workspace.workspace)
      expect(ids.toSorted()).toEqual(wanted.map((one) => one.workspace).toSorted())
      for (const one of instances) {
        const bytes = plan.moves.filter(({ to }) => to === one.peer).reduce((sum, move) => sum + move.bytes, 0)
        expect(bytes).toBeLessThanOrEqual(roomOf(one))
      }
      for (const { to } of plan.moves) expect(instances.some((one) => one.peer === to)).toBe(true)
      const busy = plan.moves.map((move) => move.workspace.busy)
      expect(busy).toEqual([...busy].sort((a, b) => Number(a) - Number(b)))
    })
  )
})
