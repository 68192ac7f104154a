import type { CID } from 'multiformats/cid'
import { expect, onTestFinished, test } from 'vitest'
import { blockOf, RAW_CODEC } from '../../../src/core/blocks.ts'
import { Announcements } from '../../../src/sync/announcements.ts'
import { manualClock } from '../../tools/clock.ts'
import { noProviders } from '../../tools/nobody.ts'
import { settled } from '../handover/fleet.ts'
import { OTHER, WORKSPACE } from './support.ts'

const cid = (text: string): CID => blockOf(RAW_CODEC, Buffer.from(text)).cid
const NAMES = new Map(['one', 'two', 'three', 'four'].map((name) => [cid(name).toString(), name]))

function bench() {
  const clock = manualClock()
  const effects: string[] = []
  const note = (what: string) => async (head: CID) => void effects.push(`${what} ${NAMES.get(head.toString())}`)
  const announcements = new Announcements({ ...noProviders, announce: note('tell'), forget: note('forget') }, clock)
  onTestFinished(() => announcements.close())
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 200) {
      clock.advance(200)
      await settled()
    }
  }
  return { announcements, effects, pass }
}

test('the newest head of each workspace is told, one after the other, and the one before forgotten', async () => {
  const { announcements, effects, pass } = bench()
  announcements.holds(WORKSPACE, cid('one'))
  announcements.holds(OTHER, cid('two'))
  await settled()
  expect(effects).toEqual(['tell one'])
  await pass(200)
  expect(effects).toEqual(['tell one', 'tell two'])
  announcements.holds(WORKSPACE, cid('three'))
  announcements.holds(WORKSPACE, cid('four'))
  await pass(9000)
  expect(effects).toEqual(['tell one', 'tell two'])
  await pass(2000)
  expect(effects.slice(2)).toEqual(['forget one', 'tell four'])
})

test('what is told is not told again, and what is gone is forgotten', async () => {
  const { announcements, effects, pass } = bench()
  announcements.holds(WORKSPACE, cid('one'))
  await pass(1000)
  announcements.holds(WORKSPACE, cid('one'))
  await pass(20_000)
  announcements.letGo(WORKSPACE)
  announcements.holds(OTHER, cid('two'))
  announcements.letGo(OTHER)
  await pass(1000)
  expect(effects).toEqual(['tell one', 'forget one', 'tell two', 'forget two'])
})
