import { expect, test } from 'vitest'
import { blockOf, DAG_PB_CODEC } from '../../../src/core/blocks.ts'
import { open, RECORD_CODEC, recordCid, seal } from '../../../src/core/envelope.ts'
import { codeOf } from '../../../src/core/errors.ts'
import {
  createIdentity,
  identityFromBytes,
  identityToBytes,
  pairingCode,
  parsePeerId
} from '../../../src/core/identity.ts'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import { type Head, headRecord, receiptRecord, sealRecord } from '../../../src/core/records.ts'

const identity = await createIdentity()
const other = await createIdentity()
const HEAD: Head = {
  workspace: '0'.repeat(32) as WorkspaceId,
  epoch: 1,
  sequence: 1,
  root: blockOf(DAG_PB_CODEC, Buffer.from('root')).cid,
  previous: null,
  createdAtMs: 1,
  files: 0,
  bytes: 0,
  unsettled: []
}

test('a record is opened as it was sealed, and named by its bytes', async () => {
  const sealed = await seal(headRecord, HEAD, identity)
  const opened = await open(headRecord, sealed.bytes, identity.peerId)
  expect(opened.signer).toBe(identity.peerId)
  expect(opened.value.root.equals(HEAD.root)).toBe(true)
  expect(opened.cid.equals(sealed.cid)).toBe(true)
  expect(sealed.cid.equals(recordCid(sealed.bytes))).toBe(true)
  expect(sealed.cid.code).toBe(RECORD_CODEC)
})

test('a signature is valid for its own type of record only', async () => {
  const sealed = await seal(sealRecord, { workspace: HEAD.workspace, epoch: 1, head: null, sealedAtMs: 1 }, identity)
  for (const type of [headRecord, receiptRecord]) {
    expect(await open<unknown>(type, sealed.bytes).then(() => 'opened', codeOf)).toBe('BAD_SIGNATURE')
  }
  const domain = { ...sealRecord, domain: 'node-daemon-seal/2' }
  expect(await open(domain, sealed.bytes).then(() => 'opened', codeOf)).toBe('BAD_SIGNATURE')
})

test('a record that somebody else signed is refused', async () => {
  const { bytes } = await seal(headRecord, HEAD, other)
  expect((await open(headRecord, bytes)).signer).toBe(other.peerId)
  expect(await open(headRecord, bytes, identity.peerId).then(() => 'opened', codeOf)).toBe('BAD_SIGNATURE')
})

test('a key survives being stored, and anything else is told as damage', async () => {
  expect(identityFromBytes(identityToBytes(identity)).peerId).toBe(identity.peerId)
  const bytes = identityToBytes(identity)
  for (const damaged of [new Uint8Array(0), bytes.subarray(1), bytes.subarray(0, 20)]) {
    expect(codeOf(caught(() => identityFromBytes(damaged)))).toBe('INTEGRITY')
  }
})

test('a peer id is read from its text, and nothing else is', () => {
  expect(parsePeerId(identity.peerId)).toBe(identity.peerId)
  for (const text of ['', 'alpha', `${identity.peerId}/`, identity.peerId.slice(1), '1'.repeat(50), 'O'.repeat(52)]) {
    expect(codeOf(caught(() => parsePeerId(text))), text).toBe('BAD_REQUEST')
  }
})

test('the pairing code is the same for both, four words and two digits, and differs for others', () => {
  const code = pairingCode(identity.peerId, other.peerId)
  expect(code).toMatch(/^[a-z]+-[a-z]+-[a-z]+-[a-z]+-\d\d$/)
  expect(pairingCode(identity.peerId, other.peerId)).toBe(code)
  expect(pairingCode(other.peerId, identity.peerId)).not.toBe(code)
})

test('the pairing code of two given keys never changes', () => {
  const instance = parsePeerId('12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo')
  const coordinator = parsePeerId('12D3KooWLJtG8fd2hkQzTn96MrLvThmnNQjTUFZwGEsLRz5EmSzc')
  expect(pairingCode(instance, coordinator)).toBe('comet-velvet-flint-baker-96')
})

function caught(work: () => unknown): unknown {
  try {
    work()
    return null
  } catch (error) {
    return error
  }
}
