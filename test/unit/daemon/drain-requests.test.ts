import { expect, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import { NO_DRAIN } from '../../../src/daemon/drain-end.ts'
import { DrainRequests } from '../../../src/daemon/drain-requests.ts'
import type { DrainReport, DrainRequest } from '../../../src/wire/control.ts'
import { manualClock } from '../../tools/clock.ts'

const REQUEST: DrainRequest = {
  deadlineMs: 600_000,
  to: null,
  toRepository: false,
  planOnly: false,
  leave: false,
  atMs: null
}

function asking() {
  const sent: DrainRequest[] = []
  const link = { isOpen: true }
  const clock = manualClock()
  const requests = new DrainRequests({ clock, isConnected: () => link.isOpen, send: (one) => void sent.push(one) })
  return { requests, sent, link, clock }
}

test('a plan is the answer to who asked for it, and no news of a drain', async () => {
  const { requests, sent } = asking()
  const answer = requests.ask({ ...REQUEST, planOnly: true })
  // A drain that an admin has begun is told in between.
  expect(requests.heard({ ...NO_DRAIN, state: 'draining' })).toBe(true)
  expect([sent.length, requests.isDraining]).toEqual([1, true])
  expect(requests.heard({ ...NO_DRAIN, etaMs: 7 })).toBe(false)
  expect([(await answer).etaMs, requests.isDraining]).toEqual([7, true])
})

test('a drain that is begun, and one that is planned, are told by their first report', async () => {
  const { requests } = asking()
  const begun = requests.ask(REQUEST)
  expect(requests.heard(NO_DRAIN)).toBe(true)
  expect(requests.heard({ ...NO_DRAIN, state: 'preparing' })).toBe(true)
  expect((await begun).state).toBe('preparing')
  const planned = requests.ask({ ...REQUEST, atMs: 5 })
  requests.heard({ ...NO_DRAIN, plannedAtMs: 5 })
  expect((await planned).plannedAtMs).toBe(5)
})

test('the end of a drain is awaited until it was told, with its certificate where it is proven', async () => {
  const { requests, sent } = asking()
  const told = (report: Partial<DrainReport>): boolean => {
    requests.heard({ ...NO_DRAIN, ...report })
    return requests.awaitsEnd
  }
  expect(told({ plannedAtMs: 5 })).toBe(false)
  expect(told({ state: 'preparing' })).toBe(true)
  expect(told({ state: 'drained' })).toBe(true)
  expect(told({ state: 'drained', certificate: Uint8Array.of(1) })).toBe(false)
  // Asked for, and not answered yet: it may have begun.
  const asked = requests.ask(REQUEST)
  expect([sent.length, requests.awaitsEnd]).toEqual([1, true])
  expect(told({ state: 'failed' })).toBe(false)
  await asked
})

test('no drain is asked for at a time that nobody can tell', async () => {
  const { requests, sent } = asking()
  expect(await requests.ask({ ...REQUEST, atMs: 9e15 }).catch(codeOf)).toBe('BAD_REQUEST')
  expect(sent).toEqual([])
})

test('without a coordinator there is no answer', async () => {
  const { requests, link, clock } = asking()
  const late = requests.ask(REQUEST).catch(codeOf)
  clock.advance(15_000)
  expect(await late).toBe('TIMED_OUT')
  link.isOpen = false
  expect(await requests.ask(REQUEST).catch(codeOf)).toBe('OUT_OF_REACH')
})

test('a coordinator that would begin at once is not asked to begin later', async () => {
  const { requests, sent } = asking()
  requests.welcomed({ revision: 0 })
  expect(await requests.ask({ ...REQUEST, atMs: 5 }).catch(codeOf)).toBe('REFUSED_BY_POLICY')
  expect(sent).toEqual([])
  void requests.ask(REQUEST)
  requests.welcomed({ revision: 1 })
  void requests.ask({ ...REQUEST, atMs: 5 })
  expect(sent.map(({ atMs }) => atMs)).toEqual([null, 5])
})
