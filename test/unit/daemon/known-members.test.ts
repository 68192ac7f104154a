import { expect, test } from 'vitest'
import { type Signed, seal } from '../../../src/core/envelope.ts'
import type { Identity } from '../../../src/core/identity.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { type Certificate, certificateRecord, type MemberList, memberListRecord } from '../../../src/core/records.ts'
import { KnownMembers } from '../../../src/daemon/known-members.ts'
import { type Pin, pinFirst, readPin, removePin } from '../../../src/daemon/pin.ts'
import { HIGHEST_KEY } from '../../../src/handover/resident.ts'
import { ALPHA, BETA, COORDINATOR } from '../sync/support.ts'

const listOf = (number: number, coordinator: Identity = COORDINATOR): Promise<Signed<MemberList>> =>
  seal(
    memberListRecord,
    {
      federation: coordinator.peerId,
      number,
      issuedAtMs: 0,
      members: [{ peer: ALPHA.peerId, name: 'alpha', state: 'approved', role: 'instance' }]
    },
    coordinator
  )

const certificateOf = (coordinator: Identity): Promise<Signed<Certificate>> =>
  seal(
    certificateRecord,
    { federation: coordinator.peerId, peer: ALPHA.peerId, name: 'alpha', number: 1, issuedAtMs: 0, role: 'instance' },
    coordinator
  )

/** What stays over a restart of an instance that has heard of its members. */
async function stateOf(number: number) {
  const state = memoryKeyValue()
  const known = await KnownMembers.open(state, COORDINATOR.peerId)
  await known.note((await listOf(number)).bytes)
  await known.noteCertificate((await certificateOf(COORDINATOR)).bytes)
  return state
}

const PIN: Pin = {
  peer: COORDINATOR.peerId,
  addresses: [],
  typed: 'https://main.example.org',
  federation: 'main',
  name: 'alpha',
  acceptedTerms: ''
}

test('the newest list and the certificate stay over a restart', async () => {
  const known = await KnownMembers.open(await stateOf(7), COORDINATOR.peerId)
  expect([known.number, known.peers(), known.certificate?.length]).toEqual([7, [ALPHA.peerId], expect.any(Number)])
  expect(await known.note((await listOf(6)).bytes)).toBe(false)
  expect(known.number).toBe(7)
})

test('what another coordinator has signed counts for nothing', async () => {
  const known = await KnownMembers.open(await stateOf(7), BETA.peerId)
  expect([known.number, known.peers(), known.list, known.certificate]).toEqual([0, [], null, null])
  expect(await known.note((await listOf(1, BETA)).bytes)).toBe(true)
  await known.noteCertificate((await certificateOf(BETA)).bytes)
  expect(known.certificate).not.toBeNull()
})

test('what does not verify is no list of anybody', async () => {
  const state = memoryKeyValue()
  await state.write({ put: [['member-list', Uint8Array.of(1, 2, 3)]] }, { durable: true })
  await expect(KnownMembers.open(state, COORDINATOR.peerId)).rejects.toMatchObject({ code: 'BAD_SIGNATURE' })
})

test.each([
  ['a leave', removePin],
  ['a first pin', (state: Awaited<ReturnType<typeof stateOf>>) => pinFirst(state, { ...PIN, peer: BETA.peerId })]
])('%s leaves nothing of the federation before', async (_what, change) => {
  const state = await stateOf(7)
  await pinFirst(state, PIN)
  await (await KnownMembers.open(state, COORDINATOR.peerId)).note((await listOf(8)).bytes)
  await state.write({ put: [[`resident/${HIGHEST_KEY}`, Buffer.from('9')]] }, { durable: true })
  await change(state)
  expect((await readPin(state))?.peer).toBe(change === removePin ? undefined : BETA.peerId)
  const known = await KnownMembers.open(state, COORDINATOR.peerId)
  expect([known.number, known.list, known.certificate]).toEqual([0, null, null])
  expect(await state.get(`resident/${HIGHEST_KEY}`)).toBeNull()
})
