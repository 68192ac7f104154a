import { expect, test } from 'vitest'
import { PromotionHold } from '../../../src/handover/promotion-hold.ts'

test('promotion stays held until every cause is gone', () => {
  const hold = new PromotionHold()
  hold.hold('mass-loss', 'three of four vanished')
  hold.hold('old-backup', 'the state is old')
  expect(hold.reason).toBe('three of four vanished; the state is old')
  expect(hold.release('mass-loss')).toBe(true)
  expect(hold.reason).toBe('the state is old')
  expect(hold.release('mass-loss')).toBe(false)
  expect(hold.release('old-backup')).toBe(true)
  expect(hold.reason).toBeNull()
})

test('an admin releases every cause at once and hears which they were', () => {
  const hold = new PromotionHold()
  hold.hold('old-backup', 'the state is old')
  hold.hold('mass-loss', 'three of four vanished')
  expect(hold.confirm()).toEqual(['old-backup', 'mass-loss'])
  expect(hold.reason).toBeNull()
  expect(hold.confirm()).toEqual([])
})

test('whoever listens hears each change, and nothing where nothing changed', () => {
  const hold = new PromotionHold()
  const heard: (string | null)[] = []
  hold.onChange(() => heard.push(hold.reason))
  hold.hold('old-backup', '2 of 3 have reported')
  hold.hold('old-backup', '2 of 3 have reported')
  hold.hold('old-backup', 'all have reported')
  hold.release('mass-loss')
  hold.confirm()
  expect(heard).toEqual(['2 of 3 have reported', 'all have reported', null])
})
