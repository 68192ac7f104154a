import { expect, test } from 'vitest'
import { auditWords } from '../../../src/daemon/audit-words.ts'

const said = (action: string, details: Readonly<Record<string, unknown>> = {}): string =>
  auditWords({ action, details }, 'alpha')

test('a restart, a leave and a death read differently to the last line', () => {
  expect([
    said('peer.stopping.restart'),
    said('peer.back', { after: 'restart', awayMs: 4200 }),
    said('peer.restart-overdue', { workspaces: 1 }),
    said('peer.back', { after: 'death' }),
    said('peer.dead', { workspaces: 3 }),
    said('peer.dead', { workspaces: 2, held: '3 of 4 vanished' }),
    said('peer.dead', { workspaces: 0 }),
    said('peer.stopping.leave'),
    said('peer.left'),
    said('peer.taken-over', { workspaces: 2 })
  ]).toEqual([
    'alpha stops, to be back soon: its workspaces wait for it',
    'alpha is back as it said, after 4 s',
    'alpha did not come back in time: others take over its 1 workspace',
    'alpha is back; it had been given up',
    'alpha went silent without a word: others take over its 3 workspaces',
    'alpha went silent without a word: its 2 workspaces wait: 3 of 4 vanished',
    'alpha went silent without a word: it was home of nothing',
    'alpha has handed over everything and leaves',
    'alpha gave up its membership',
    'alpha does not come back: others take over its 2 workspaces'
  ])
})

test('an action without words says nothing more, whatever it is called', () => {
  expect([said('invite.create'), said('constructor'), said('toString')]).toEqual(['', '', ''])
})
