import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { MEMBERSHIP_STREAM_MS } from '../../../src/membership/membership-server.ts'
import { PENDING_MAX } from '../../../src/membership/registry.ts'
import { STRANGER_MS } from '../../../src/network/host.ts'
import { JOIN_LIMITS, MEMBERSHIP_PROTOCOL, STANDINGS } from '../../../src/wire/membership.ts'

const page = readFileSync(new URL('../../../protocols/membership/README.md', import.meta.url), 'utf8')

test('the limits of the page are those of the code', () => {
  const section = page.split('## Limits')[1]?.split('\n##')[0] ?? ''
  const rows = [...section.matchAll(/^\| (.+?) \| (\d.*) \|$/gm)].map(([, what, limits = '']) => [
    what,
    ...[...limits.matchAll(/\d+/g)].map(Number)
  ])
  expect(rows).toEqual([
    ['a request', JOIN_LIMITS.requestBytesMax],
    ['an answer', MEMBERSHIP_PROTOCOL.maxFrameBytes],
    ['name', JOIN_LIMITS.nameMax],
    ['contact', JOIN_LIMITS.contactMax],
    ['site', JOIN_LIMITS.siteMax],
    ['message', JOIN_LIMITS.messageMax],
    ['labels', JOIN_LIMITS.labelsMax, JOIN_LIMITS.labelMax],
    ['services', JOIN_LIMITS.servicesMax],
    ['`wait_ms`', JOIN_LIMITS.waitMsMax],
    ['a stream, from opening to the end of the answer', MEMBERSHIP_STREAM_MS],
    ["a stranger's connection", STRANGER_MS],
    ['streams on one connection at once', MEMBERSHIP_PROTOCOL.maxStreams],
    ['requests pending at once', PENDING_MAX]
  ])
})

test('the page names the protocol’s id and every standing', () => {
  expect(page).toContain(MEMBERSHIP_PROTOCOL.id)
  for (const standing of STANDINGS) expect(page).toContain(`\`${standing}\``)
})
