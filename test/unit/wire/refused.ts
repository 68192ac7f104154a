import { DRAIN_LIMITS } from '../../../src/wire/drains.ts'
import { hex, type RefusedVector } from './vector-files.ts'

const text = (value: string): string => hex(Buffer.from(value))
/** A field of bytes, text or a message, shorter than 128 bytes. */
const field = (number: number, content: string): string => {
  const length = content.length / 2
  if (length > 127) throw new Error('too long for one byte of length')
  return hex(Uint8Array.of(number * 8 + 2, length)) + content
}
/** A number after the tag of its field. */
function varint(value: number): string {
  const bytes: number[] = []
  for (let left = BigInt(value); bytes.length === 0 || left > 0n; left >>= 7n) {
    bytes.push(Number(left & 0x7fn) | (left > 0x7fn ? 0x80 : 0))
  }
  return hex(Uint8Array.from(bytes))
}
const times = (count: number, content: string): string => content.repeat(count)
/** A message of any length in a field. */
function large(number: number, content: string): string {
  const length = content.length / 2
  return hex(Uint8Array.of(number * 8 + 2, (length & 0x7f) | 0x80, length >> 7)) + content
}

const WORKSPACE = text('00112233445566778899aabbccddeeff')
const UPPER = text('00112233445566778899AABBCCDDEEFF')

/** Of every kind of message: frames that no version reads. */
export const REFUSED_ANYWHERE: Readonly<Record<string, string>> = {
  'an empty frame': '',
  'a kind that is not known': 'fa0600',
  'a wire type that does not exist': 'ff06',
  'a field longer than the frame': '0aff7f00',
  'a length that never ends': '0affffffffffffffffffff01'
}

/** What is well-formed protobuf and yet no message of this protocol. */
export const REFUSED: Readonly<Record<string, readonly RefusedVector[]>> = {
  blocks: [
    { name: 'a workspace id in upper case', type: 'BlocksRequest', hex: field(1, UPPER) },
    { name: 'a workspace id that is too long', type: 'BlocksRequest', hex: field(1, `${WORKSPACE}30`) },
    { name: 'a content id that is none', type: 'BlocksRequest', hex: field(2, field(1, '0155')) },
    { name: 'a content id with bytes after it', type: 'BlocksRequest', hex: field(4, field(1, '015500000000')) },
    { name: 'a block without a name', type: 'BlocksRequest', hex: field(3, field(1, field(2, '00'))) },
    { name: 'a missing content id that is none', type: 'BlocksReply', hex: field(1, field(1, 'ff')) }
  ],
  heads: [
    { name: 'a request without a kind', type: 'HeadsRequest', hex: '0801' },
    { name: 'a workspace id that is too short', type: 'HeadsRequest', hex: `0801${field(4, '30')}` },
    { name: 'an inline block without a name', type: 'HeadsRequest', hex: `0801${field(2, field(2, field(2, '00')))}` },
    { name: 'an answer without a kind', type: 'HeadsReply', hex: '0801' },
    { name: '1001 missing blocks', type: 'HeadsReply', hex: `0801${large(5, times(1001, '1a00'))}` }
  ],
  control: [
    { name: 'a role that does not exist', type: 'FromInstance', hex: field(1, heldAs('owner')) },
    { name: '65 services', type: 'FromInstance', hex: large(1, times(65, field(2, text('files')))) },
    { name: 'a service with a capital letter', type: 'FromInstance', hex: field(1, field(2, text('Files'))) },
    { name: '33 labels', type: 'FromInstance', hex: large(1, labels(33)) },
    { name: 'a label that begins with a dot', type: 'FromInstance', hex: field(1, label('.a')) },
    {
      name: 'a route to a path',
      type: 'FromInstance',
      hex: field(1, `a20106${text('direct')}aa0112${text('http://a.example/x')}`)
    },
    { name: 'an intent that does not exist', type: 'FromInstance', hex: field(4, field(1, text('pause'))) },
    { name: 'a drain to what is no peer', type: 'FromInstance', hex: field(5, field(2, text('0OIl'))) },
    {
      name: 'a drain that is planned for the year 10000',
      type: 'FromInstance',
      hex: field(5, `30${varint(DRAIN_LIMITS.atMsMax + 1)}`)
    },
    { name: 'an order of no kind', type: 'ToInstance', hex: field(3, '0801') },
    { name: 'a drain state that does not exist', type: 'ToInstance', hex: field(5, field(1, text('paused'))) },
    { name: 'a welcome without an acknowledgement level', type: 'ToInstance', hex: field(1, field(1, text('Main'))) },
    { name: 'a service without a level', type: 'ToInstance', hex: field(7, field(1, field(1, text('files')))) },
    { name: 'a level that does not exist', type: 'ToInstance', hex: field(7, field(1, field(2, text('maybe')))) }
  ],
  'front-door': [
    { name: 'a beat of a workspace that is none', type: 'FromDoor', hex: field(2, field(2, field(1, UPPER))) },
    { name: 'an empty token', type: 'FromDoor', hex: field(4, field(2, '')) },
    { name: 'a question of no kind', type: 'FromDoor', hex: field(4, '0801') },
    { name: 'a place without a workspace', type: 'ToDoor', hex: field(3, field(1, field(4, text('moving')))) },
    { name: 'a hold without a place', type: 'ToDoor', hex: field(8, '0801') },
    { name: 'a blocked user that is none', type: 'ToDoor', hex: field(6, field(1, text('ada'))) },
    { name: 'rules without a key', type: 'ToDoor', hex: field(2, field(1, text('Main')) + field(8, text('{}'))) },
    { name: 'an answer of what is no user', type: 'ToDoor', hex: field(11, field(4, text('Ada'))) }
  ],
  membership: [
    { name: 'a service with a space', type: 'MembershipRequest', hex: field(2, field(7, text('a b'))) },
    { name: '33 labels', type: 'MembershipRequest', hex: large(2, labels(33)) },
    { name: 'a request of more than 16384 bytes', type: 'MembershipRequest', hex: longJoin() },
    { name: 'a standing that does not exist', type: 'MembershipReply', hex: field(2, field(1, text('maybe'))) }
  ]
}

function heldAs(role: string): string {
  return field(6, field(1, WORKSPACE) + field(3, text(role)))
}

/** Labels are field 3 of a hello and field 5 of a request to join; an unknown field in either is skipped. */
function label(key: string): string {
  const entry = field(1, text(key)) + field(2, text('v'))
  return field(3, entry) + field(5, entry)
}

function labels(count: number): string {
  return Array.from({ length: count }, (_, index) => label(`k${index}`)).join('')
}

function longJoin(): string {
  return large(2, large(4, times(16_300, '61')) + field(1, times(100, '61')))
}
