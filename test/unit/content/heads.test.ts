import { expect, test } from 'vitest'
import { judgeHead, type OwnershipView, type Tip } from '../../../src/content/heads.ts'
import { blockOf, RAW_CODEC } from '../../../src/core/blocks.ts'
import type { PeerIdText, WorkspaceId } from '../../../src/core/ids.ts'
import type { Head, SignedHead } from '../../../src/core/records.ts'

const cid = (text: string): SignedHead['cid'] => blockOf(RAW_CODEC, Buffer.from(text)).cid
const HOME = 'home' as PeerIdText
const OTHER = 'other' as PeerIdText

const head = (fields: Partial<Head>, signer = HOME, name = 'new'): SignedHead => ({
  value: {
    workspace: '0'.repeat(32) as WorkspaceId,
    epoch: 1,
    sequence: 1,
    root: cid('root'),
    previous: null,
    createdAtMs: 0,
    files: 0,
    bytes: 0,
    unsettled: [],
    ...fields
  },
  signer,
  bytes: new Uint8Array(0),
  cid: cid(name)
})
const tip = (epoch: number, sequence: number): Tip => ({ cid: cid('tip'), epoch, sequence, root: cid('old root') })
const owned = (fields: Partial<OwnershipView> = {}): OwnershipView => ({
  epoch: 1,
  home: HOME,
  base: null,
  sealedEpoch: 0,
  ...fields
})
const SECOND = owned({ epoch: 2, base: cid('tip'), sealedEpoch: 1 })
const AFTER_TIP = { previous: cid('tip'), sequence: 8 }

test.each<[string, SignedHead, Tip | null, OwnershipView, string]>([
  ['the first head of all', head({}), null, owned(), 'accept'],
  ['the next head of an epoch', head(AFTER_TIP), tip(1, 7), owned(), 'accept'],
  ['the first head of the next epoch, on the base', head({ ...AFTER_TIP, epoch: 2 }), tip(1, 7), SECOND, 'accept'],
  [
    'a later head of the next epoch',
    head({ ...AFTER_TIP, epoch: 2 }),
    tip(2, 7),
    { ...SECOND, base: cid('older') },
    'accept'
  ],
  [
    'the first head of an epoch after one without heads',
    head({ epoch: 3 }),
    null,
    owned({ epoch: 3, sealedEpoch: 2 }),
    'accept'
  ],
  ['the tip itself', head({ sequence: 7 }, HOME, 'tip'), tip(1, 7), owned(), 'again'],
  ['the tip itself after its epoch was sealed', head({ sequence: 7 }, HOME, 'tip'), tip(1, 7), SECOND, 'again'],
  ['a head of an epoch that is over', head(AFTER_TIP), tip(1, 7), SECOND, 'STALE_EPOCH'],
  ['a head of an epoch before that of the tip', head(AFTER_TIP), tip(2, 7), owned(), 'STALE_EPOCH'],
  ['a head of a sealed epoch', head(AFTER_TIP), tip(1, 7), owned({ sealedEpoch: 1 }), 'SEALED'],
  [
    'a sealed epoch that has not begun',
    head({ ...AFTER_TIP, epoch: 2 }),
    tip(1, 7),
    owned({ sealedEpoch: 2 }),
    'SEALED'
  ],
  ['an epoch that has not begun', head({ ...AFTER_TIP, epoch: 2 }), tip(1, 7), owned(), 'NOT_HOME'],
  ['another signer', head(AFTER_TIP, OTHER), tip(1, 7), owned(), 'NOT_HOME'],
  ['a workspace without a home', head(AFTER_TIP), tip(1, 7), owned({ home: null }), 'NOT_HOME'],
  ['the former home in the new epoch', head({ ...AFTER_TIP, epoch: 2 }, OTHER), tip(1, 7), SECOND, 'NOT_HOME'],
  ['a fork', head({ previous: cid('elsewhere'), sequence: 8 }), tip(1, 7), owned(), 'CONFLICT'],
  ['a second first head', head({}), tip(1, 1), owned(), 'CONFLICT'],
  ['a head whose previous one is missing', head({ previous: cid('tip'), sequence: 2 }), null, owned(), 'CONFLICT'],
  ['a skipped sequence', head({ ...AFTER_TIP, sequence: 9 }), tip(1, 7), owned(), 'CONFLICT'],
  ['a repeated sequence', head({ ...AFTER_TIP, sequence: 7 }), tip(1, 7), owned(), 'CONFLICT'],
  ['a first head that is not number one', head({ sequence: 2 }), null, owned(), 'CONFLICT'],
  [
    'an epoch on another base than the tip',
    head({ ...AFTER_TIP, epoch: 2 }),
    tip(1, 7),
    { ...SECOND, base: cid('x') },
    'CONFLICT'
  ],
  ['an epoch whose base is not kept here', head({ epoch: 2 }), null, SECOND, 'CONFLICT'],
  [
    'an epoch that forgets what was before',
    head({ ...AFTER_TIP, epoch: 2 }),
    tip(1, 7),
    { ...SECOND, base: null },
    'CONFLICT'
  ]
])('%s: judged as it must be', (_, given, before, ownership, expected) => {
  const verdict = judgeHead(given, before, ownership)
  expect(verdict.kind === 'refuse' ? verdict.code : verdict.kind).toBe(expected)
})
