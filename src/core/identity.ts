import { createHash } from 'node:crypto'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { Ed25519PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { CODE_WORDS } from './code-words.ts'
import { NodeDaemonError } from './errors.ts'
import { isPeerIdText, type PeerIdText } from './ids.ts'

/** A key of our own and the PeerId that follows from it. */
export interface Identity {
  readonly peerId: PeerIdText
  readonly privateKey: Ed25519PrivateKey
}

export async function createIdentity(): Promise<Identity> {
  return identityOf(await generateKeyPair('Ed25519'))
}

/** @throws NodeDaemonError `INTEGRITY` when the bytes are not an Ed25519 key in libp2p's protobuf form */
export function identityFromBytes(bytes: Uint8Array): Identity {
  try {
    const key = privateKeyFromProtobuf(bytes)
    if (key.type === 'Ed25519') return identityOf(key)
  } catch {
    // Told below, like a key of another kind.
  }
  throw new NodeDaemonError('INTEGRITY', 'the identity key cannot be read', {
    advice: 'put the identity.key of this data folder back from a backup, or start with an empty folder'
  })
}

export const identityToBytes = (identity: Identity): Uint8Array => privateKeyToProtobuf(identity.privateKey)

function identityOf(privateKey: Ed25519PrivateKey): Identity {
  return { peerId: peerIdFromPrivateKey(privateKey).toString() as PeerIdText, privateKey }
}

/** @throws NodeDaemonError `BAD_REQUEST` when the text is not a PeerId */
export function parsePeerId(text: string): PeerIdText {
  try {
    if (isPeerIdText(text)) return peerIdFromString(text).toString() as PeerIdText
  } catch {
    // Told below.
  }
  throw new NodeDaemonError('BAD_REQUEST', `"${text.slice(0, 80)}" is not a PeerId`)
}

/**
 * The code that a volunteer and an admin compare: four words and two digits from SHA-256 over both PeerIds, the
 * instance's first. 4 × 8 bits and a number below 100: about 38 bits.
 */
export function pairingCode(instance: PeerIdText, coordinator: PeerIdText): string {
  const digest = createHash('sha256').update(`node-daemon-code/1\n${instance}\n${coordinator}`).digest()
  const words = [0, 1, 2, 3].map((index) => CODE_WORDS[digest.readUInt8(index)])
  return `${words.join('-')}-${String(digest.readUInt32BE(4) % 100).padStart(2, '0')}`
}
