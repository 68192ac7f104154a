import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { MAX_BLOCK_BYTES } from '../../../src/core/blocks.ts'
import { RECORD_CODEC } from '../../../src/core/envelope.ts'
import { ERRORS } from '../../../src/core/errors.ts'
import { CLOCK_DRIFT_MAX, LEASE_MS_MAX } from '../../../src/membership/lease.ts'
import { DOOR_TIMES } from '../../../src/routing/doors/door-session.ts'
import { PROOF_LIMITS } from '../../../src/routing/routes/proof.ts'
import { SESSION_LIMITS } from '../../../src/routing/routes/sessions.ts'
import { TICKET_LIMITS } from '../../../src/routing/routes/tickets.ts'
import { GIVING_LIMITS } from '../../../src/sync/giving.ts'
import { BLOCKS_LIMITS, BLOCKS_PROTOCOL } from '../../../src/wire/blocks.ts'
import { CONTROL_PROTOCOL, INTENTS } from '../../../src/wire/control.ts'
import { DRAIN_LIMITS, DRAIN_STATES } from '../../../src/wire/drains.ts'
import { DOOR_LIMITS, FRONT_DOOR_PROTOCOL, RELAY_PROTOCOL } from '../../../src/wire/front-door.ts'
import { HEADS_LIMITS, HEADS_PROTOCOL } from '../../../src/wire/heads.ts'
import { HTTP_PROTOCOL } from '../../../src/wire/http.ts'
import { INGRESS_LIMITS } from '../../../src/wire/ingress.ts'
import { KAD_LIMITS, KAD_PROTOCOL } from '../../../src/wire/kad.ts'
import { JOIN_LIMITS } from '../../../src/wire/membership.ts'
import { NEIGHBOUR_LIMITS } from '../../../src/wire/neighbours.ts'
import { REPORT_LIMITS } from '../../../src/wire/report.ts'
import { RECORDS } from './samples.ts'

const PROTOCOLS = new URL('../../../protocols/', import.meta.url)
const text = (path: string): string => readFileSync(new URL(path, PROTOCOLS), 'utf8')
const page = (folder: string): string => text(`${folder}/README.md`)

/** The table of limits: what it is about, and the numbers on its right. */
function limits(folder: string): Map<string, number[]> {
  const section = page(folder).split('## Limits')[1]?.split('\n##')[0] ?? ''
  const rows = [...section.matchAll(/^\| (.+?) \| ([^|\n]*\d[^|\n]*) \|$/gm)]
  return new Map(rows.map(([, what = '', right = '']) => [what, [...right.matchAll(/\d+/g)].map(Number)]))
}

/** The bound of a repeated field, as the .proto file has it. */
function bound(folder: string, message: string, field: string): number {
  const body = text(`${folder}/${folder}.proto`).split(`message ${message} {`)[1]?.split('\n}')[0] ?? ''
  return Number(new RegExp(` ${field} = \\d+ \\[\\(protons\\.options\\)\\.limit = (\\d+)\\]`).exec(body)?.[1])
}

/** A constant that is nobody's business but its own file's. */
function constant(path: string, name: string): number {
  const source = readFileSync(new URL(`../../../src/${path}`, import.meta.url), 'utf8')
  const factors = new RegExp(`const ${name} = ([\\d_* ]+)`).exec(source)?.[1] ?? 'none'
  return factors.split('*').reduce((product, factor) => product * Number(factor.replaceAll('_', '')), 1)
}

const EXPECTED: Readonly<Record<string, readonly (readonly [string, ...number[]])[]>> = {
  records: [
    ['an envelope', constant('core/envelope.ts', 'MAX_ENVELOPE_BYTES')],
    ['`unsettled`', bound('records', 'Head', 'unsettled')],
    ['`standbys`', bound('records', 'Ownership', 'standbys')],
    ['members of a list', bound('records', 'MemberList', 'members')],
    ['heads of an exit statement', bound('records', 'ExitStatement', 'heads')]
  ],
  blocks: [
    ['a frame', BLOCKS_PROTOCOL.maxFrameBytes],
    ['content ids or blocks in one message', BLOCKS_LIMITS.cidsMax],
    ['bytes of the blocks of one message; a larger block goes alone', BLOCKS_LIMITS.batchBytes],
    ['a block', MAX_BLOCK_BYTES],
    ['streams on one connection at once', BLOCKS_PROTOCOL.maxStreams],
    ['requests of one stream under way at once', BLOCKS_LIMITS.requestsMax],
    ['bytes of requests of one stream under way at once', BLOCKS_LIMITS.underWayBytes],
    ['requests of all streams that the repository works on at once', BLOCKS_LIMITS.requestsMaxOfAll],
    ['their bytes', BLOCKS_LIMITS.underWayBytesOfAll],
    ['streams of one member at one instance at once', GIVING_LIMITS.streamsOfPeerMax],
    ['streams at one instance at once', GIVING_LIMITS.streamsMax],
    ['pieces that an instance sent one member and that were not taken', GIVING_LIMITS.piecesOfPeerMax],
    ['pieces that an instance sent and that were not taken', GIVING_LIMITS.piecesMax],
    ['an instance waits for a piece to be taken', GIVING_LIMITS.sendMs],
    ['the text of a failure', 1000]
  ],
  heads: [
    ['a frame', HEADS_PROTOCOL.maxFrameBytes],
    ['bytes of the blocks that go along with a head', HEADS_LIMITS.inlineBytes],
    ['blocks that go along with a head', bound('heads', 'Publish', 'blocks')],
    ['missing blocks that one failure names', HEADS_LIMITS.missingMax],
    ['requests of one stream under way at once', HEADS_LIMITS.requestsMax],
    ['bytes of requests of one stream under way at once', HEADS_LIMITS.underWayBytes],
    ['streams on one connection at once', HEADS_PROTOCOL.maxStreams],
    ['the text of a failure', 1000]
  ],
  http: [
    ['streams on one connection at once', HTTP_PROTOCOL.maxStreams],
    ['the header section of a request', constant('routing/ingress.ts', 'MAX_HEADER_BYTES')],
    ['a ticket', TICKET_LIMITS.characters],
    ['the life of a `direct` ticket', TICKET_LIMITS.directMs],
    ['the life of a `redirect` ticket', TICKET_LIMITS.redirectMs],
    ['`redirect` tickets that were used and are remembered', TICKET_LIMITS.used],
    ['a nonce', PROOF_LIMITS.nonceBytesMin, PROOF_LIMITS.nonceBytesMax],
    ['a proof', PROOF_LIMITS.answerBytes],
    ['proofs a second', PROOF_LIMITS.perSecond],
    ['users whom an ingress remembers', SESSION_LIMITS.sessions],
    ['a user who asks for nothing is forgotten after', SESSION_LIMITS.idleMs],
    ['any user after', SESSION_LIMITS.ageMs],
    ['from opening a stream to the accept byte', constant('network/libp2p-link.ts', 'ACCEPT_MS')]
  ],
  control: [
    ['a frame', CONTROL_PROTOCOL.maxFrameBytes],
    ['streams on one connection at once', CONTROL_PROTOCOL.maxStreams],
    ['from opening the stream to the end of `hello`', constant('membership/control-server.ts', 'HELLO_MS')],
    ['from `hello` to the welcome', constant('membership/control-client.ts', 'WELCOME_MS')],
    [
      'heartbeats without an answer, until the instance connects anew',
      constant('membership/control-client.ts', 'SILENT_BEATS_MAX')
    ],
    ['a lease', LEASE_MS_MAX],
    ['orders of one instance under way at once', constant('membership/control-server.ts', 'ORDERS_MAX')],
    ['services of an instance, and of a federation', bound('control', 'Hello', 'services')],
    ['labels', JOIN_LIMITS.labelsMax, JOIN_LIMITS.labelMax],
    ['workspaces of a `hello`', bound('control', 'Hello', 'workspaces')],
    ['workspaces of a heartbeat', bound('control', 'Heartbeat', 'usage')],
    ['workspaces at work, of a heartbeat', bound('control', 'Heartbeat', 'busy')],
    ['workspaces with arrivals, of a heartbeat', bound('control', 'Heartbeat', 'arrived')],
    ['planned or unproven workspaces of a drain', bound('control', 'DrainState', 'plan')],
    ['workspaces that a drain says it waits for', bound('control', 'DrainState', 'waiting')],
    ['milliseconds to the deadline of a drain; more counts as this', DRAIN_LIMITS.deadlineMsMax],
    ['the time of a drain that is planned, in Unix milliseconds', DRAIN_LIMITS.atMsMax],
    ['texts of failures and reasons', 1000],
    ["name of a drain's target", 100],
    ['version, and version of an app', 40],
    ['workspaces of a page of a report', REPORT_LIMITS.workspacesMax],
    ['bytes of records, with which a page ends', REPORT_LIMITS.pageBytes],
    ['from `report` to its page', constant('handover/ask-report.ts', 'PAGE_MS')],
    ['members in one `neighbours`', NEIGHBOUR_LIMITS.neighboursMax],
    ['multiaddrs of one member', NEIGHBOUR_LIMITS.addressesMax, NEIGHBOUR_LIMITS.addressMax],
    ['a web address', INGRESS_LIMITS.urlMax],
    ['secret of a ticket key', INGRESS_LIMITS.secretBytes]
  ],
  'front-door': [
    ['a frame', FRONT_DOOR_PROTOCOL.maxFrameBytes],
    ['streams of the first id on one connection at once', FRONT_DOOR_PROTOCOL.maxStreams],
    ['streams of a relay of one front door at once', RELAY_PROTOCOL.maxStreams],
    ['from opening the stream to the end of `hello`', constant('routing/doors/door-sessions.ts', 'HELLO_MS')],
    ['from `hello` to the welcome', constant('routing/doors/door-client.ts', 'WELCOME_MS')],
    ['a lease', DOOR_TIMES.leaseMs],
    ['silence, until the coordinator ends the stream', DOOR_TIMES.silentMs],
    [
      'beats without an answer, until the front door connects anew',
      constant('routing/doors/door-client.ts', 'SILENT_BEATS_MAX')
    ],
    ['places of one message, and workspaces that are no more', DOOR_LIMITS.placesMax],
    ['workspaces of one beat', DOOR_LIMITS.activityMax],
    [
      'beats that come at once, and from then on two for each `beat_ms`',
      constant('routing/doors/door-session.ts', 'BEATS_AT_ONCE')
    ],
    ['users of one `blocked`', DOOR_LIMITS.blockedMax],
    ['groups of one message', DOOR_LIMITS.groupsMax],
    ['members of all groups of one message', DOOR_LIMITS.groupMembersMax],
    ['questions of one stream under way at once', constant('routing/doors/door-client.ts', 'QUESTIONS_MAX')],
    ['an answer', constant('routing/doors/door-client.ts', 'ANSWER_MS')],
    ['what was answered about a user counts', constant('routing/doors/remote-users.ts', 'KNOWN_MS')],
    ['a token, a session, a name', DOOR_LIMITS.tokenMax],
    ['what `/.well-known/node-daemon` answers', DOOR_LIMITS.factsBytes],
    ['a key', DOOR_LIMITS.keyBytesMin, DOOR_LIMITS.keyBytesMax],
    ['the text of a failure', 1000]
  ],
  kad: [
    ['bytes of one exchange, either way', KAD_PROTOCOL.maxFrameBytes],
    ['streams on one connection at once', KAD_PROTOCOL.maxStreams],
    ['a lookup', KAD_LIMITS.lookupMs],
    ['lookups of one member at once', KAD_LIMITS.lookupsMax],
    ['providers that one lookup names', KAD_LIMITS.providersMax],
    ['an announcement', KAD_LIMITS.announceMs],
    ['provider records that one member keeps', KAD_LIMITS.recordsMax],
    ['of these, records of one provider', KAD_LIMITS.recordsOfOneMax],
    ['a provider record is told for', KAD_LIMITS.validityMs],
    ['members that one makes itself known to', KAD_LIMITS.contactsMax],
    ['how often it does so again', KAD_LIMITS.againMs]
  ]
}

test.each(Object.keys(EXPECTED))('the limits on the page of %s are those of the code', (folder) => {
  const rows = EXPECTED[folder] ?? []
  expect([...limits(folder)]).toEqual(rows.map(([what, ...numbers]) => [what, numbers]))
})

test('bounds that a message and its schema both have are the same', () => {
  expect(bound('blocks', 'CidList', 'cids')).toBe(BLOCKS_LIMITS.cidsMax)
  expect(bound('blocks', 'BlockList', 'blocks')).toBe(BLOCKS_LIMITS.cidsMax)
  expect(bound('heads', 'HeadsFailure', 'missing')).toBe(HEADS_LIMITS.missingMax)
  expect(bound('control', 'DrainState', 'unproven')).toBe(bound('control', 'DrainState', 'plan'))
  for (const message of ['Hello', 'Neighbour']) {
    expect(bound('control', message, 'addresses')).toBe(NEIGHBOUR_LIMITS.addressesMax)
  }
  expect(bound('control', 'Neighbours', 'neighbours')).toBe(NEIGHBOUR_LIMITS.neighboursMax)
  expect(bound('front-door', 'Places', 'places')).toBe(DOOR_LIMITS.placesMax)
  expect(bound('front-door', 'Places', 'gone')).toBe(DOOR_LIMITS.placesMax)
  expect(bound('front-door', 'DoorBeat', 'activity')).toBe(DOOR_LIMITS.activityMax)
  expect(bound('front-door', 'DoorGroups', 'groups')).toBe(DOOR_LIMITS.groupsMax)
  expect(bound('front-door', 'DoorGroup', 'members')).toBe(DOOR_LIMITS.groupMembersMax)
  expect(bound('front-door', 'Blocked', 'users')).toBe(DOOR_LIMITS.blockedMax)
  expect(bound('membership', 'Join', 'services')).toBe(JOIN_LIMITS.servicesMax)
})

test.each([
  ['blocks', BLOCKS_PROTOCOL],
  ['heads', HEADS_PROTOCOL],
  ['control', CONTROL_PROTOCOL],
  ['http', HTTP_PROTOCOL],
  ['kad', KAD_PROTOCOL],
  ['front-door', FRONT_DOOR_PROTOCOL],
  ['front-door', RELAY_PROTOCOL]
])('the page of %s names its id', (folder, { id }) => expect(page(folder)).toContain(`    ${id}\n`))

describe.each(['records', 'blocks', 'heads', 'control', 'http', 'kad', 'membership', 'front-door'])(
  'the page of %s',
  (folder) => {
    test('names no error that does not exist', () => {
      const named = [...page(folder).matchAll(/`([A-Z]+(?:_[A-Z]+)*)`/g)].map(([, code = '']) => code)
      for (const code of named.filter((name) => name.length > 3 && !['SECRET', 'GEAR_TABLE'].includes(name))) {
        expect(Object.keys(ERRORS)).toContain(code)
      }
    })

    test('leads to files that are there', () => {
      for (const [, target = ''] of page(folder).matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
        expect(text(`${folder}/${target}`).length, target).toBeGreaterThan(0)
      }
    })
  }
)

test('every kind of message of a protocol stands on its page', () => {
  for (const folder of ['blocks', 'heads', 'control', 'membership', 'front-door']) {
    const kinds = [...text(`${folder}/${folder}.proto`).matchAll(/oneof kind \{([^}]*)\}/g)]
    const names = kinds.flatMap(([, body = '']) => [...body.matchAll(/ (\w+) = \d+;/g)].map(([, name = '']) => name))
    expect(names.length).toBeGreaterThan(5)
    for (const name of names) expect(page(folder), `${folder}: ${name}`).toContain(`\`${name}\``)
  }
})

test('the words of messages and the domains of records stand on the pages', () => {
  for (const word of [...INTENTS, ...DRAIN_STATES]) expect(page('control')).toContain(word)
  for (const { type, record } of Object.values(RECORDS))
    expect(page('records')).toContain(`\`${type}\` | \`${record.domain}\``)
  expect(page('records')).toContain(`0x${RECORD_CODEC.toString(16)}`)
  expect(page('control')).toContain(`may differ by ${CLOCK_DRIFT_MAX * 100} %`)
})

test('every protocol has a page', () => {
  for (const folder of readdirSync(PROTOCOLS)) expect(page(folder).startsWith('# ')).toBe(true)
})
