import { createHash } from 'node:crypto'
import type { PublicKey } from '@libp2p/interface'
import { peerIdFromPublicKey } from '@libp2p/peer-id'
import { RecordEnvelope } from '@libp2p/peer-record'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { readyToSign, readyToVerify } from './ed25519.ts'
import { messageOf, NodeDaemonError } from './errors.ts'
import type { Identity } from './identity.ts'
import type { PeerIdText } from './ids.ts'

/** The multicodec (private-use range) of a signed envelope that is kept as a block. */
export const RECORD_CODEC = 0x300001
const SHA2_256 = 0x12
const MAX_ENVELOPE_BYTES = 64 * 1024 * 1024

/** One type of signed record: its domain keeps a signature from being valid as another type. */
export interface RecordType<T> {
  readonly domain: string
  encode(value: T): Uint8Array
  decode(payload: Uint8Array): T
}

/** A record whose signature was checked. `cid` names the signed bytes. */
export interface Signed<T> {
  readonly value: T
  readonly signer: PeerIdText
  readonly bytes: Uint8Array
  readonly cid: CID
}

const PAYLOAD_TYPE = Uint8Array.of(0x81, 0x80, 0xc0, 0x01)

/** Signs a record as a libp2p signed envelope (libp2p RFC 0002). */
export async function seal<T>(type: RecordType<T>, value: T, identity: Identity): Promise<Signed<T>> {
  const record = {
    domain: type.domain,
    codec: PAYLOAD_TYPE,
    marshal: () => type.encode(value),
    equals: () => false
  }
  const envelope = await RecordEnvelope.seal(record, readyToSign(identity.privateKey))
  const bytes = envelope.marshal()
  return { value, signer: identity.peerId, bytes, cid: recordCid(bytes) }
}

/**
 * Checks the signature and decodes the record.
 *
 * @throws NodeDaemonError `BAD_SIGNATURE` when the bytes are no envelope, not in the form that `seal` writes, of
 *   another domain, or wrongly signed; `BAD_REQUEST` when what was signed is no such record
 */
export async function open<T>(type: RecordType<T>, bytes: Uint8Array, from?: PeerIdText): Promise<Signed<T>> {
  if (bytes.length > MAX_ENVELOPE_BYTES) throw new NodeDaemonError('TOO_LARGE', 'a signed record is too large')
  const { payload, publicKey } = await certified(type.domain, bytes)
  const signer = peerIdFromPublicKey(publicKey).toString() as PeerIdText
  if (from !== undefined && signer !== from) {
    throw new NodeDaemonError('BAD_SIGNATURE', `a ${type.domain} record is signed by ${signer}, not by ${from}`)
  }
  return { value: decoded(type, payload), signer, bytes, cid: recordCid(bytes) }
}

function decoded<T>(type: RecordType<T>, payload: Uint8Array): T {
  try {
    return type.decode(payload)
  } catch (error) {
    if (error instanceof NodeDaemonError) throw error
    throw new NodeDaemonError('BAD_REQUEST', `a ${type.domain} record cannot be read: ${messageOf(error)}`)
  }
}

async function certified(domain: string, bytes: Uint8Array): Promise<{ payload: Uint8Array; publicKey: PublicKey }> {
  try {
    const envelope = RecordEnvelope.createFromProtobuf(bytes)
    const { publicKey } = envelope
    envelope.publicKey = readyToVerify(publicKey)
    if (!(await envelope.validate(domain))) throw new Error('the signature is wrong')
    // Else one signature would have many envelopes, each with a name of its own.
    if (!Buffer.from(envelope.marshal()).equals(bytes)) throw new Error('the envelope is not in its canonical form')
    return { payload: envelope.payload.subarray(), publicKey }
  } catch (error) {
    throw new NodeDaemonError('BAD_SIGNATURE', `a ${domain} record does not verify: ${messageOf(error)}`)
  }
}

/** The name of a signed record: CIDv1 over the SHA-256 of its envelope. */
export function recordCid(bytes: Uint8Array): CID {
  return CID.createV1(RECORD_CODEC, createDigest(SHA2_256, createHash('sha256').update(bytes).digest()))
}
