import { expect, test } from 'vitest'
import { open, seal } from '../../../src/core/envelope.ts'
import { codeOf } from '../../../src/core/errors.ts'
import type { PeerIdText } from '../../../src/core/ids.ts'
import { schemaOf } from '../../tools/protobuf.ts'
import { COORDINATOR, identityFromSeed, RECORDS, seedOf } from './samples.ts'
import { hex, plain, type RecordVectors, readVectors, unhex, writeVectors } from './vector-files.ts'

const PAYLOAD_TYPE = '8180c001'
const schema = await schemaOf('records')

/** The parts of an envelope that a forger would exchange, written by hand: key, domain, payload, signature. */
function envelopeOf(key: string, type: string, payload: string, signature: string): string {
  const field = (number: number, content: string): string => {
    const length = content.length / 2
    const size = length < 128 ? [length] : [(length & 0x7f) | 0x80, length >> 7]
    return hex(Uint8Array.of(number * 8 + 2, ...size)) + content
  }
  return field(1, key) + field(2, type) + field(3, payload) + field(5, signature)
}

/** Every record type, with the signed bytes of each sample. */
async function sealed(): Promise<RecordVectors['records']> {
  return Promise.all(
    Object.entries(RECORDS).map(async ([name, { type, record, signer, value }]) => {
      const identity = await identityFromSeed(signer)
      const signed = await seal(record, value, identity)
      const payload = record.encode(value)
      return {
        name,
        type,
        domain: record.domain,
        seed: hex(seedOf(signer)),
        signer: identity.peerId,
        fields: schema.fieldsOf(type, payload),
        payload: hex(payload),
        envelope: hex(signed.bytes),
        cid: signed.cid.toString()
      }
    })
  )
}

async function refused(records: RecordVectors['records']): Promise<RecordVectors['refused']> {
  const head = records.find(({ type }) => type === 'Head')
  const seal = records.find(({ type }) => type === 'Seal')
  if (head === undefined || seal === undefined) throw new Error('no samples')
  const badPayload = async (payload: string): Promise<string> => {
    const raw = { domain: 'node-daemon-head/1', encode: () => unhex(payload), decode: () => null }
    return hex((await sealRaw(raw)).bytes)
  }
  const flipped = Buffer.from(head.envelope, 'hex')
  flipped.writeUInt8(flipped.readUInt8(flipped.length - 1) ^ 1, flipped.length - 1)
  const parts = schemaParts(head.envelope)
  const type = { type: 'Head' as const }
  return [
    { name: 'no envelope', ...type, code: 'BAD_SIGNATURE', envelope: '00' },
    { name: 'an empty file', ...type, code: 'BAD_SIGNATURE', envelope: '' },
    { name: 'a cut envelope', ...type, code: 'BAD_SIGNATURE', envelope: head.envelope.slice(0, -2) },
    { name: 'a changed signature', ...type, code: 'BAD_SIGNATURE', envelope: hex(flipped) },
    { name: 'a seal in place of a head', ...type, code: 'BAD_SIGNATURE', envelope: seal.envelope },
    {
      name: 'another key beside the signature',
      ...type,
      code: 'BAD_SIGNATURE',
      envelope: envelopeOf(schemaParts(seal.envelope).key, parts.type, parts.payload, parts.signature)
    },
    {
      name: 'another payload beside the signature',
      ...type,
      code: 'BAD_SIGNATURE',
      envelope: envelopeOf(parts.key, parts.type, `${parts.payload.slice(0, -2)}00`, parts.signature)
    },
    {
      name: 'a head without a sequence',
      ...type,
      code: 'BAD_REQUEST',
      envelope: await badPayload(head.payload.replace('10011801', '1001'))
    },
    {
      name: 'a head without a root',
      ...type,
      code: 'BAD_REQUEST',
      envelope: await badPayload(hex(schema.bytesOf('Head', { ...head.fields, root: '' })))
    },
    {
      name: 'a head that names 101 unsettled paths',
      ...type,
      code: 'BAD_REQUEST',
      envelope: await badPayload(head.payload + '4a00'.repeat(101))
    },
    { name: 'a cut head', ...type, code: 'BAD_REQUEST', envelope: await badPayload(head.payload.slice(0, -2)) },
    {
      name: 'a head of a workspace that cannot be',
      ...type,
      code: 'BAD_REQUEST',
      envelope: await badPayload(hex(schema.bytesOf('Head', { ...head.fields, workspace: '..' })))
    }
  ]
}

const sealRaw = (record: Parameters<typeof seal<null>>[0]): ReturnType<typeof seal<null>> =>
  seal(record, null, COORDINATOR)

function schemaParts(envelope: string): { key: string; type: string; payload: string; signature: string } {
  const bytes = unhex(envelope)
  const found: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at + 1] ?? 0
    const length = first < 128 ? first : (first & 0x7f) | ((bytes[at + 2] ?? 0) << 7)
    const start = at + (first < 128 ? 2 : 3)
    found[(bytes[at] ?? 0) >> 3] = hex(bytes.subarray(start, start + length))
    at = start + length
  }
  return { key: found[1] ?? '', type: found[2] ?? '', payload: found[3] ?? '', signature: found[5] ?? '' }
}

// See vectors.test.ts on when to make them anew.
if (process.env.WRITE_VECTORS === '1') {
  const records = await sealed()
  writeVectors('records', 'records', { payloadType: PAYLOAD_TYPE, records, refused: await refused(records) })
}
const vectors = readVectors<RecordVectors>('records', 'records')

test('there is a vector for each sample and for each type of record', () => {
  expect(vectors.records.map(({ name }) => name)).toEqual(Object.keys(RECORDS))
  expect(new Set(Object.values(RECORDS).map(({ record }) => record.domain)).size).toBe(8)
  expect(vectors.payloadType).toBe(PAYLOAD_TYPE)
})

test.each(vectors.records)('$name is sealed and opened as its vector says', async (vector) => {
  const sample = RECORDS[vector.name]
  if (sample === undefined) throw new Error('no sample')
  expect(await sealed()).toContainEqual(vector)
  const opened = await open(sample.record, unhex(vector.envelope), vector.signer as PeerIdText)
  expect(plain(opened.value)).toEqual(plain(sample.value))
  expect(opened.cid.toString()).toBe(vector.cid)
  expect(schemaParts(vector.envelope)).toMatchObject({ type: vectors.payloadType, payload: vector.payload })
})

test.each(vectors.records)(
  '$name is written by another implementation with the same bytes',
  ({ type, fields, payload }) => {
    expect(hex(schema.bytesOf(type, fields))).toBe(payload)
  }
)

test.each(vectors.refused)('$name is refused with $code', async ({ type, code, envelope }) => {
  const record = Object.values(RECORDS).find((sample) => sample.type === type)?.record
  if (record === undefined) throw new Error('no such record')
  expect(await open(record, unhex(envelope)).then(() => 'accepted', codeOf)).toBe(code)
})

test('no byte of a signed record can be changed unseen', async () => {
  for (const vector of vectors.records) {
    const record = RECORDS[vector.name]?.record
    if (record === undefined) throw new Error('no sample')
    const bytes = unhex(vector.envelope)
    for (let at = 0; at < bytes.length; at++) {
      const changed = new Uint8Array(bytes)
      changed[at] = (bytes[at] ?? 0) ^ 0x01
      const code = await open(record, changed, vector.signer as PeerIdText).then(() => 'accepted', codeOf)
      expect(code, `${vector.name}: byte ${at}`).toBe('BAD_SIGNATURE')
    }
  }
})
