import { expect, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import {
  approved,
  asked,
  denied,
  labelled,
  left,
  MEMBER_STATES,
  type Member,
  type MemberState,
  memberDocument,
  memberOf,
  memberSchema,
  revoked
} from '../../../src/membership/member.ts'
import { peer, request } from './support.ts'

const who = await peer()
const ask = (before: Member | null, at = 5): Member =>
  asked(before, { peerId: who, code: 'tiger-lamp-river-stone-92', request: request(), address: '192.0.2.1', at })
const by = { by: 'root', at: 7 }

const pending = ask(null, 1)
const member = approved(pending, 'alpha', by)
const ALL: Readonly<Record<MemberState, Member>> = {
  pending,
  approved: member,
  denied: denied(pending, 'full', by),
  revoked: revoked(member, 'lost', by),
  left: left(member, 9)
}

function outcome(work: () => Member): string {
  try {
    return work().state
  } catch (error) {
    return codeOf(error) === 'ILLEGAL_TRANSITION' ? '-' : `failed: ${codeOf(error)}`
  }
}

test('a membership has the states of its diagram', () => {
  expect(Object.values(ALL).map(({ state }) => state)).toEqual([...MEMBER_STATES])
})

test.each<[string, (from: Member) => Member, readonly string[]]>([
  // from:                                       pending     approved    denied      revoked     left
  ['asked', (from) => ask(from), ['pending', '-', '-', '-', 'pending']],
  ['approved', (from) => approved(from, 'alpha', by), ['approved', 'approved', 'approved', 'approved', '-']],
  ['denied', (from) => denied(from, '', by), ['denied', '-', 'denied', '-', '-']],
  ['revoked', (from) => revoked(from, '', by), ['-', 'revoked', '-', 'revoked', '-']],
  ['left', (from) => left(from, 9), ['-', 'left', '-', '-', '-']]
])('goes along the arrow %s from where it begins, and from nowhere else', (_, arrow, expected) => {
  expect(MEMBER_STATES.map((state) => outcome(() => arrow(ALL[state])))).toEqual(expected)
})

test('who asks again keeps its place in the queue; who left is at its end', () => {
  expect([ask(ALL.pending, 50).askedAt, ask(ALL.left, 50).askedAt]).toEqual([1, 50])
})

test('a decision says who, when and why; asking anew and being approved clear the reason', () => {
  expect(ALL.denied).toMatchObject({ reason: 'full', decidedBy: 'root', decidedAt: 7 })
  expect(ALL.left).toMatchObject({ decidedBy: who, decidedAt: 9 })
  expect([approved(ALL.denied, 'alpha', by).reason, ask(ALL.left).decidedBy]).toEqual(['', null])
})

test('labels are added and taken away; a kept member reads as it was written', () => {
  expect(labelled({ a: '1', b: '2' }, { a: null, c: '3' })).toEqual({ b: '2', c: '3' })
  for (const one of Object.values(ALL)) {
    expect(memberOf(memberSchema.parse(JSON.parse(JSON.stringify(memberDocument(one)))))).toEqual(one)
  }
})
