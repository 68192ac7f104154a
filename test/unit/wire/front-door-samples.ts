import type { GroupName, OwnerId, PeerIdText, ServiceName, UserId, WorkspaceId } from '../../../src/core/ids.ts'
import { type DoorPlace, type FromDoor, fromDoor, type ToDoor, toDoor } from '../../../src/wire/front-door.ts'
import type { MessageSamples } from './samples.ts'

const WORKSPACE = '00112233445566778899aabbccddeeff' as WorkspaceId
const OTHER = 'ffeeddccbbaa99887766554433221100' as WorkspaceId
const FILES = 'files' as ServiceName
const ADA = 'user:ada' as UserId
const GUEST = `guest:${'5'.repeat(32)}` as UserId
const ALPHA = '12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq' as PeerIdText
const signed = new Uint8Array(Buffer.from('0a24080112', 'hex'))
const key = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)

const serving: DoorPlace = {
  workspace: WORKSPACE,
  service: FILES,
  owner: ADA,
  state: 'serving',
  epoch: 7,
  home: ALPHA,
  homeName: 'alpha',
  limitBytes: 10_000_000_000
}
const nowhere = { service: FILES, epoch: 0, home: null, homeName: '', limitBytes: null } as const
const moving: DoorPlace = { ...nowhere, workspace: OTHER, owner: 'group:lab' as OwnerId, state: 'moving' }

const from: Record<string, FromDoor> = {
  hello: { kind: 'hello', version: '0.1.0', addresses: ['/ip4/192.0.2.1/tcp/9472'], revision: 2 },
  beat: {
    kind: 'beat',
    sequence: 3,
    activity: [
      { workspace: WORKSPACE, inFlight: true, long: false, sockets: true, quietMs: 0 },
      { workspace: OTHER, inFlight: false, long: false, sockets: false, quietMs: 1200 }
    ]
  },
  'a beat of nothing': { kind: 'beat', sequence: 4, activity: [] },
  quiet: { kind: 'quiet', hold: 9 },
  'ask for a token': { kind: 'ask', id: 1, question: { kind: 'token', token: 'ndu_c2VjcmV0' } },
  'ask for a session': { kind: 'ask', id: 2, question: { kind: 'session', session: '5'.repeat(32) } },
  'ask for a name': { kind: 'ask', id: 3, question: { kind: 'sign-on', name: 'Ada' } },
  create: { kind: 'ask', id: 4, question: { kind: 'create', service: FILES, owner: ADA } }
}

const to: Record<string, ToDoor> = {
  welcome: { kind: 'welcome', name: 'north', certificate: signed, memberList: signed, beatMs: 500, revision: 2 },
  rules: {
    kind: 'rules',
    rules: {
      federation: 'Main',
      anonymous: true,
      holdMs: 30_000,
      secure: true,
      userHeader: 'x-user',
      cookieKeys: { current: key(1), previous: [key(2), key(3)] },
      facts: '{}',
      rates: { requestsPerS: 200, guestsPerHour: null }
    }
  },
  places: { kind: 'places', places: [serving, moving], gone: [], whole: false },
  'the last places': { kind: 'places', places: [], gone: [], whole: true },
  'a workspace that is no more': { kind: 'places', places: [], gone: [OTHER], whole: false },
  instances: { kind: 'instances', instances: [{ peer: ALPHA, name: 'alpha', services: [FILES] }] },
  services: {
    kind: 'services',
    services: [
      { name: FILES, host: '', prefix: '', scope: 'user', writers: '' },
      { name: 'wiki' as ServiceName, host: 'wiki.example.org', prefix: '', scope: 'service', writers: 'editors' }
    ]
  },
  groups: {
    kind: 'groups',
    groups: [
      {
        name: 'lab' as GroupName,
        members: [
          { user: 'ada', write: true },
          { user: 'bob', write: false }
        ]
      }
    ],
    first: true
  },
  blocked: { kind: 'blocked', users: [ADA, GUEST], first: true },
  'nobody is blocked': { kind: 'blocked', users: [], first: true },
  lease: { kind: 'lease', sequence: 3, leaseMs: 2500 },
  hold: { kind: 'hold', id: 9, place: moving },
  'break off what takes long': { kind: 'break-off', workspace: WORKSPACE, which: 'long' },
  'break all off': { kind: 'break-off', workspace: WORKSPACE, which: 'all' },
  'drop a home': { kind: 'drop-home', peer: ALPHA },
  'told a user': { kind: 'told', id: 1, answer: { kind: 'user', user: ADA } },
  'told of nobody': { kind: 'told', id: 1, answer: { kind: 'user', user: null } },
  'told of one who is blocked': { kind: 'told', id: 2, answer: { kind: 'user', user: 'blocked' } },
  'told a place': { kind: 'told', id: 4, answer: { kind: 'place', place: serving } },
  'told a failure': { kind: 'told', id: 4, answer: { kind: 'failure', code: 'BUSY', message: 'no instance has room' } },
  members: { kind: 'members', memberList: signed },
  goodbye: { kind: 'goodbye', code: 'REVOKED', message: 'a disk of it was stolen' }
}

export const DOOR_MESSAGES: readonly MessageSamples[] = [
  {
    type: 'FromDoor',
    codec: { encode: (one) => fromDoor.encode(one as FromDoor), decode: fromDoor.decode },
    samples: from
  },
  { type: 'ToDoor', codec: { encode: (one) => toDoor.encode(one as ToDoor), decode: toDoor.decode }, samples: to }
]
