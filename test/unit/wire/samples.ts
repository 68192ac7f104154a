import { generateKeyPairFromSeed, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { blockOf, DAG_PB_CODEC, RAW_CODEC } from '../../../src/core/blocks.ts'
import type { RecordType } from '../../../src/core/envelope.ts'
import { type Identity, identityFromBytes } from '../../../src/core/identity.ts'
import type { OwnerId, PeerIdText, ServiceName, UserId, WorkspaceId } from '../../../src/core/ids.ts'
import {
  certificateRecord,
  exitRecord,
  headRecord,
  ingressProofRecord,
  memberListRecord,
  ownershipRecord,
  receiptRecord,
  sealRecord
} from '../../../src/core/records.ts'
import { blocksReply, blocksRequest, type FromBlocks, type ToBlocks } from '../../../src/wire/blocks.ts'
import { type FromInstance, fromInstance, type ToInstance, toInstance } from '../../../src/wire/control.ts'
import { type FromHeads, headsReply, headsRequest, type ToHeads } from '../../../src/wire/heads.ts'
import {
  type FromMembership,
  membershipReply,
  membershipRequest,
  type ToMembership
} from '../../../src/wire/membership.ts'
import type { WireCodec } from '../../../src/wire/protocol.ts'
import { type Report, reportCodec } from '../../../src/wire/report.ts'
import { DOOR_MESSAGES } from './front-door-samples.ts'

export const seedOf = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)

/** The identity whose Ed25519 seed is 32 times this byte. */
export async function identityFromSeed(byte: number): Promise<Identity> {
  return identityFromBytes(privateKeyToProtobuf(await generateKeyPairFromSeed('Ed25519', seedOf(byte))))
}

export const COORDINATOR = await identityFromSeed(1)
const ALPHA = (await identityFromSeed(2)).peerId
const BETA = (await identityFromSeed(3)).peerId

const WORKSPACE = '00112233445566778899aabbccddeeff' as WorkspaceId
const OTHER = 'ffeeddccbbaa99887766554433221100' as WorkspaceId
const FILES = 'files' as ServiceName
const leaf = blockOf(RAW_CODEC, Buffer.from('a leaf'))
const node = blockOf(DAG_PB_CODEC, Buffer.from('0a020801', 'hex'))
const signed = new Uint8Array(Buffer.from('0a24080112', 'hex'))
const AT = 1_750_000_000_000
const LARGEST = Number.MAX_SAFE_INTEGER

export interface MessageSamples {
  /** The name of the message in the .proto file. */
  readonly type: string
  readonly codec: WireCodec<unknown>
  readonly samples: Readonly<Record<string, unknown>>
}

const samplesOf = <T>(type: string, codec: WireCodec<T>, samples: Record<string, T>): MessageSamples => ({
  type,
  codec: { encode: (message) => codec.encode(message as T), decode: codec.decode },
  samples
})

export const MESSAGES = {
  'front-door': DOOR_MESSAGES,
  blocks: [
    samplesOf<ToBlocks>('BlocksRequest', blocksRequest, {
      open: { kind: 'open', workspace: WORKSPACE },
      'have two': { kind: 'have', cids: [leaf.cid, node.cid] },
      'have none': { kind: 'have', cids: [] },
      put: { kind: 'put', blocks: [leaf, node] },
      'put an empty block': { kind: 'put', blocks: [blockOf(RAW_CODEC, new Uint8Array(0))] },
      want: { kind: 'want', cids: [node.cid] }
    }),
    samplesOf<FromBlocks>('BlocksReply', blocksReply, {
      opened: { kind: 'opened' },
      missing: { kind: 'missing', cids: [leaf.cid] },
      'missing none': { kind: 'missing', cids: [] },
      blocks: { kind: 'blocks', blocks: [leaf] },
      'the end of the blocks': { kind: 'blocks', blocks: [] },
      kept: { kind: 'kept' },
      failure: { kind: 'failure', code: 'FORBIDDEN', message: 'none of yours' }
    })
  ],
  heads: [
    samplesOf<ToHeads>('HeadsRequest', headsRequest, {
      'publish, with a block': { id: 1, kind: 'publish', head: signed, blocks: [leaf] },
      'publish, blocks sent before': { id: 2, kind: 'publish', head: signed, blocks: [] },
      diverged: { id: 3, kind: 'diverged', head: signed, blocks: [node] },
      tip: { id: 4, kind: 'tip', workspace: WORKSPACE },
      follow: { id: 4_294_967_296, kind: 'follow', workspace: WORKSPACE },
      unfollow: { id: LARGEST, kind: 'unfollow', workspace: OTHER },
      holding: { id: 7, kind: 'holding', receipt: signed }
    }),
    samplesOf<FromHeads>('HeadsReply', headsReply, {
      receipt: { id: 1, kind: 'receipt', receipt: signed },
      'head, answering': { id: 4, kind: 'head', head: signed },
      'head, told to a follower': { id: 0, kind: 'head', head: signed },
      nothing: { id: 4, kind: 'nothing' },
      incomplete: { id: 2, kind: 'failure', code: 'INCOMPLETE', message: 'blocks are missing', missing: [leaf.cid] },
      sealed: { id: 2, kind: 'failure', code: 'SEALED', message: 'epoch 1 is sealed', missing: [] }
    })
  ],
  control: [
    samplesOf<FromInstance>('FromInstance', fromInstance, {
      hello: {
        kind: 'hello',
        hello: {
          version: '0.1.0',
          services: [FILES],
          versions: { files: '2.4.1' },
          labels: { country: 'se' },
          capacityBytes: 50_000_000_000,
          clockMs: AT,
          workspaces: [
            { workspace: WORKSPACE, epoch: 3, role: 'home', number: 17, root: node.cid, sequence: 7 },
            { workspace: OTHER, epoch: 1, role: 'standby', number: 4, root: null, sequence: 0 }
          ],
          ownershipNumber: 17,
          memberListNumber: 5,
          addresses: ['/ip4/192.0.2.7/tcp/9470', '/dns/alpha.example.org/tcp/9470'],
          revision: 1,
          awaitsDrain: true,
          route: { kind: 'redirect', url: 'https://alpha.example.org' }
        }
      },
      'hello of a new instance': {
        kind: 'hello',
        hello: {
          version: '0.1.0',
          services: [],
          versions: {},
          labels: {},
          capacityBytes: 0,
          clockMs: 0,
          workspaces: [],
          ownershipNumber: 0,
          memberListNumber: 0,
          addresses: [],
          revision: 0,
          awaitsDrain: false,
          route: null
        }
      },
      heartbeat: {
        kind: 'heartbeat',
        heartbeat: {
          sequence: 9,
          diskTotalBytes: LARGEST,
          diskFreeBytes: 4_294_967_296,
          memoryBytes: 150_000_000,
          loadPermille: 250,
          ownershipNumber: 17,
          usage: [{ workspace: WORKSPACE, usedBytes: 1000, files: 3, unsyncedBytes: 0, unsyncedAgeMs: 0 }],
          pendingWork: 1,
          busy: [WORKSPACE],
          arrived: [{ workspace: OTHER, bytes: 1_048_576 }],
          uploadLimit: 10_000_000
        }
      },
      'done, with a receipt': { kind: 'done', order: 3, failure: null, receipt: signed },
      'done, without a receipt': { kind: 'done', order: 4, failure: null, receipt: new Uint8Array(0) },
      'not done': {
        kind: 'done',
        order: 5,
        failure: { code: 'TIMED_OUT', message: 'requests did not end' },
        receipt: new Uint8Array(0)
      },
      stopping: { kind: 'stopping', intent: 'restart' },
      drain: {
        kind: 'drain',
        request: { deadlineMs: 600_000, to: BETA, toRepository: false, planOnly: false, leave: true, atMs: null }
      },
      'drain, wherever there is room': {
        kind: 'drain',
        request: { deadlineMs: 600_000, to: null, toRepository: true, planOnly: true, leave: false, atMs: null }
      },
      'drain, later': {
        kind: 'drain',
        request: { deadlineMs: 600_000, to: null, toRepository: false, planOnly: false, leave: false, atMs: AT }
      },
      'drain-cancel': { kind: 'drain-cancel' }
    }),
    samplesOf<ToInstance>('ToInstance', toInstance, {
      welcome: {
        kind: 'welcome',
        welcome: {
          federation: 'Main',
          name: 'alpha',
          leaseMs: 10_000,
          heartbeatMs: 500,
          acknowledge: 'replicated',
          clockMs: AT,
          certificate: signed,
          memberList: signed,
          services: [
            { name: FILES, acknowledge: 'replicated' },
            { name: 'notes' as ServiceName, acknowledge: 'local' }
          ],
          revision: 1
        }
      },
      services: { kind: 'services', services: [{ name: FILES, acknowledge: 'local' }] },
      ingress: {
        kind: 'ingress',
        news: {
          route: 'redirect',
          key: '0011223344556677',
          secret: seedOf(7),
          frontDoor: 'https://main.example.org',
          alone: false,
          user: null
        }
      },
      'ingress, of one user': {
        kind: 'ingress',
        news: {
          route: 'redirect',
          key: '0011223344556677',
          secret: seedOf(7),
          frontDoor: '',
          alone: false,
          user: 'user:ada' as UserId
        }
      },
      beat: { kind: 'beat', sequence: 9, leaseMs: 10_000 },
      assume: { kind: 'order', id: 1, order: { kind: 'assume', ownership: signed } },
      'assume, with a secret for apps': {
        kind: 'order',
        id: 1,
        order: { kind: 'assume', ownership: signed, secret: new Uint8Array(32).fill(7) }
      },
      follow: { kind: 'order', id: 2, order: { kind: 'follow', ownership: signed } },
      freeze: { kind: 'order', id: 3, order: { kind: 'freeze', workspace: WORKSPACE } },
      thaw: { kind: 'order', id: 4, order: { kind: 'thaw', ownership: signed } },
      release: { kind: 'order', id: 5, order: { kind: 'release', ownership: signed } },
      restore: {
        kind: 'order',
        id: 6,
        order: { kind: 'restore', workspace: WORKSPACE, root: node.cid, base: leaf.cid }
      },
      'report, from the first': { kind: 'order', id: 7, order: { kind: 'report', after: null } },
      'report, the next page': { kind: 'order', id: 8, order: { kind: 'report', after: WORKSPACE } },
      members: { kind: 'members', memberList: signed },
      neighbours: {
        kind: 'neighbours',
        news: {
          whole: true,
          zone: 'hall',
          neighbours: [
            { peer: ALPHA, zone: 'cellar', addresses: ['/ip4/192.0.2.7/tcp/9470'] },
            { peer: BETA, zone: null, addresses: ['/ip6/2001:db8::7/tcp/9470', '/dns/beta.example.org/tcp/1'] }
          ]
        }
      },
      'a neighbour that listens no more': {
        kind: 'neighbours',
        news: { whole: false, zone: null, neighbours: [{ peer: ALPHA, zone: null, addresses: [] }] }
      },
      'a drain under way': {
        kind: 'drain',
        report: {
          state: 'draining',
          workspaces: { done: 1, total: 2 },
          bytes: { done: 10, total: 30 },
          etaMs: 1200,
          reason: '',
          certificate: new Uint8Array(0),
          plan: [
            { workspace: WORKSPACE, to: BETA, toName: 'beta', bytes: 20, etaMs: 400, busy: false },
            { workspace: OTHER, to: null, toName: 'the main repository', bytes: 0, etaMs: 600, busy: true }
          ],
          waiting: [OTHER],
          unproven: [],
          exits: true,
          plannedAtMs: null
        }
      },
      'an expired drain': {
        kind: 'drain',
        report: {
          state: 'expired',
          workspaces: { done: 0, total: 0 },
          bytes: { done: 0, total: 0 },
          etaMs: 0,
          reason: 'the deadline is over',
          certificate: new Uint8Array(0),
          plan: [],
          waiting: [],
          unproven: [OTHER],
          exits: false,
          plannedAtMs: AT
        }
      },
      goodbye: { kind: 'goodbye', code: 'REVOKED', message: 'this instance is no member any more' }
    }),
    samplesOf<Report>('Report', reportCodec, {
      'the first page': {
        certificate: signed,
        memberList: signed,
        workspaces: [
          { ownership: signed, head: signed, receipt: signed, role: 'home' },
          { ownership: signed, head: null, receipt: null, role: 'standby' }
        ],
        more: true
      },
      'the last page': { certificate: null, memberList: null, workspaces: [], more: false }
    })
  ],
  membership: [
    samplesOf<ToMembership>('MembershipRequest', membershipRequest, {
      describe: { kind: 'describe' },
      join: {
        kind: 'join',
        join: {
          name: 'alpha',
          contact: 'ada@example.org',
          site: 'Uppsala',
          message: 'ours is idle at night',
          labels: { country: 'se' },
          capacityBytes: 50_000_000_000,
          services: [FILES],
          version: '0.1.0',
          invite: 'c2VjcmV0',
          acceptedTerms: 'https://main.example.org/terms',
          role: 'instance'
        }
      },
      'join as a front door': {
        kind: 'join',
        join: {
          name: 'door',
          contact: '',
          site: '',
          message: '',
          labels: {},
          capacityBytes: 0,
          services: [],
          version: '0.1.0',
          invite: '',
          acceptedTerms: '',
          role: 'front-door'
        }
      },
      standing: { kind: 'standing', waitMs: 6000 },
      'standing at once': { kind: 'standing', waitMs: 0 },
      resign: { kind: 'resign' },
      present: { kind: 'present', certificate: signed }
    }),
    samplesOf<FromMembership>('MembershipReply', membershipReply, {
      description: {
        kind: 'description',
        description: { name: 'Main', terms: '', services: ['files'], version: '0.1.0', clockMs: AT, revision: 1 }
      },
      approved: {
        kind: 'standing',
        standing: {
          state: 'approved',
          name: 'alpha',
          reason: '',
          certificate: signed,
          memberList: signed,
          clockMs: AT
        }
      },
      denied: {
        kind: 'standing',
        standing: {
          state: 'denied',
          name: 'alpha',
          reason: 'not known to us',
          certificate: new Uint8Array(0),
          memberList: new Uint8Array(0),
          clockMs: AT
        }
      },
      failure: { kind: 'failure', code: 'NAME_TAKEN', message: 'another instance has the name' }
    })
  ]
} as const satisfies Record<string, readonly MessageSamples[]>

export interface RecordSample<T = unknown> {
  /** The name of the payload in records.proto. */
  readonly type: string
  readonly record: RecordType<T>
  /** The signer's seed is 32 times this byte. */
  readonly signer: number
  readonly value: T
}

const recordOf = <T>(type: string, record: RecordType<T>, signer: number, value: T): RecordSample => ({
  type,
  record: record as RecordType<unknown>,
  signer,
  value
})

const HEAD = {
  workspace: WORKSPACE,
  epoch: 1,
  sequence: 1,
  root: node.cid,
  previous: null,
  createdAtMs: AT,
  files: 0,
  bytes: 0,
  unsettled: []
}

export const RECORDS: Readonly<Record<string, RecordSample>> = {
  'the first head of a workspace': recordOf('Head', headRecord, 2, HEAD),
  'a later head': recordOf('Head', headRecord, 2, {
    ...HEAD,
    epoch: 3,
    sequence: 4_294_967_296,
    previous: leaf.cid,
    files: 12,
    bytes: LARGEST,
    unsettled: ['data/busy.db', 'ö']
  }),
  'a receipt of the repository': recordOf('Receipt', receiptRecord, 1, {
    workspace: WORKSPACE,
    epoch: 3,
    sequence: 7,
    head: leaf.cid,
    root: node.cid,
    blocks: 2,
    bytes: 10,
    durability: 'fsynced',
    role: 'repository',
    issuedAtMs: AT,
    recipient: COORDINATOR.peerId
  }),
  'a seal': recordOf('Seal', sealRecord, 1, { workspace: WORKSPACE, epoch: 3, head: leaf.cid, sealedAtMs: AT }),
  'a seal without a base': recordOf('Seal', sealRecord, 1, {
    workspace: OTHER,
    epoch: 1,
    head: null,
    sealedAtMs: AT
  }),
  'an ownership': recordOf('Ownership', ownershipRecord, 1, {
    federation: COORDINATOR.peerId,
    workspace: WORKSPACE,
    service: FILES,
    owner: 'user:ada' as UserId,
    epoch: 4,
    base: leaf.cid,
    home: BETA,
    standbys: [ALPHA],
    number: 18
  }),
  'an ownership without a home': recordOf('Ownership', ownershipRecord, 1, {
    federation: COORDINATOR.peerId,
    workspace: OTHER,
    service: FILES,
    owner: `guest:${'5'.repeat(32)}` as UserId,
    epoch: 2,
    base: null,
    home: null,
    standbys: [],
    number: 19
  }),
  'an ownership of a group': recordOf('Ownership', ownershipRecord, 1, {
    federation: COORDINATOR.peerId,
    workspace: WORKSPACE,
    service: FILES,
    owner: 'group:lab' as OwnerId,
    epoch: 1,
    base: null,
    home: ALPHA,
    standbys: [],
    number: 20
  }),
  'the last ownership of a workspace': recordOf('Ownership', ownershipRecord, 1, {
    federation: COORDINATOR.peerId,
    workspace: OTHER,
    service: FILES,
    owner: `guest:${'5'.repeat(32)}` as UserId,
    epoch: 3,
    base: null,
    home: null,
    standbys: [],
    number: 21,
    removed: true
  }),
  'a certificate of membership': recordOf('Certificate', certificateRecord, 1, {
    federation: COORDINATOR.peerId,
    peer: ALPHA,
    name: 'alpha',
    number: 2,
    issuedAtMs: AT,
    role: 'instance'
  }),
  'a member list': recordOf('MemberList', memberListRecord, 1, {
    federation: COORDINATOR.peerId,
    number: 5,
    issuedAtMs: AT,
    members: [
      { peer: ALPHA, name: 'alpha', state: 'approved', role: 'instance' },
      { peer: BETA, name: 'beta', state: 'approved', role: 'front-door' }
    ]
  }),
  'an exit statement': recordOf('ExitStatement', exitRecord, 1, {
    federation: COORDINATOR.peerId,
    instance: ALPHA,
    issuedAtMs: AT,
    heads: [{ workspace: WORKSPACE, epoch: 3, sequence: 7, head: leaf.cid, recipient: BETA as PeerIdText }]
  }),
  'an ingress proof': recordOf('IngressProof', ingressProofRecord, 2, {
    url: 'https://alpha.example.org',
    nonce: seedOf(9),
    key: '0011223344556677'
  })
}
