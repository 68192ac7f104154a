import { expect, test } from 'vitest'
import type { ServiceName } from '../../../src/core/ids.ts'
import { checkOffers, checkVersions, type Offer } from '../../../src/daemon/offers.ts'

const FILES: Offer = { name: 'files' as ServiceName, upstream: null, command: null }
const NOTES: Offer = { name: 'notes' as ServiceName, upstream: { host: '127.0.0.1', port: 8080 }, command: null }

test.each([
  ['twice', [FILES, FILES], '/data', /offered twice/],
  ['of an app that could not be told of a folder', [FILES, NOTES], '/home/jürgen/data', /\/home\/jürgen\/data/],
  ['of an app that could not be told of a folder', [NOTES], '/data/日本', /日本/],
  ['of an app that could not be told of a folder', [NOTES], '/data\nx', /data folder/]
])('a service %s is refused', (_why, offers, folder, message) => {
  expect(() => checkOffers(offers, folder)).toThrow(expect.objectContaining({ code: 'BAD_USAGE' }))
  expect(() => checkOffers(offers, folder)).toThrow(message)
})

test('the built-in app runs in any folder, other apps in one of plain ASCII', () => {
  checkOffers([FILES], '/home/jürgen/日本')
  checkOffers([FILES, NOTES], '/home/ada/My Data (1)~')
})

test('a version is told of a service that is offered only', () => {
  checkVersions({ notes: '2.1' }, [FILES, NOTES])
  expect(() => checkVersions({ notes: '2.1' }, [FILES])).toThrow(expect.objectContaining({ code: 'BAD_USAGE' }))
})
