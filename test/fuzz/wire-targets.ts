import { isDeepStrictEqual } from 'node:util'
import { buildFile, buildLink } from '../../src/content/file.ts'
import { buildFolder } from '../../src/content/folder.ts'
import { childrenOf, readNode } from '../../src/content/nodes.ts'
import { type Block, blockOf, DAG_PB_CODEC, RAW_CODEC } from '../../src/core/blocks.ts'
import { open, type RecordType } from '../../src/core/envelope.ts'
import { identityFromBytes, identityToBytes, parsePeerId } from '../../src/core/identity.ts'
import {
  certificateRecord,
  exitRecord,
  headRecord,
  memberListRecord,
  ownershipRecord,
  receiptRecord,
  sealRecord
} from '../../src/core/records.ts'
import { receiptFile, statementOf, verifyCertificate } from '../../src/handover/certificate.ts'
import { CAR_HEADER, markersIn, parseSection, sectionHead } from '../../src/store/car.ts'
import { decodeEntry } from '../../src/worktree/entry-record.ts'
import { COORDINATOR, MESSAGES } from '../unit/wire/samples.ts'
import { plain, type RecordVectors, readVectors, unhex } from '../unit/wire/vector-files.ts'
import { type FuzzTarget, textTarget } from './target.ts'

/** What decodes must mean the same once it was encoded again. */
const messages: readonly FuzzTarget[] = Object.entries(MESSAGES).flatMap(([protocol, types]) =>
  types.map(({ type, codec, samples }) => ({
    name: `${protocol}: ${type}`,
    samples: Object.values(samples).map((sample) => codec.encode(sample)),
    take(input: Uint8Array): void {
      const message = codec.decode(input)
      const again = codec.decode(codec.encode(message))
      if (!isDeepStrictEqual(plain(again), plain(message)))
        throw new Error('it means something else when encoded again')
    }
  }))
)

const vectors = readVectors<RecordVectors>('records', 'records')

const TYPES: readonly RecordType<unknown>[] = [
  headRecord,
  receiptRecord,
  sealRecord,
  ownershipRecord,
  certificateRecord,
  memberListRecord,
  exitRecord
] as never

const records: readonly FuzzTarget[] = TYPES.map((type) => ({
  name: `record: ${type.domain}`,
  samples: vectors.records.filter(({ domain }) => domain === type.domain).map(({ envelope }) => unhex(envelope)),
  async take(input: Uint8Array): Promise<void> {
    const { cid } = await open(type, input)
    if (!vectors.records.some((one) => one.cid === cid.toString())) throw new Error('what nobody signed is accepted')
  }
}))

const leaf = blockOf(RAW_CODEC, Buffer.from('a leaf'))
/** Real nodes: of a file of several leaves, of a small folder, of a sharded one, and of a link. */
const blocks: Block[] = []
const keepBlock = (block: Block): void => void blocks.push(block)
const METADATA = { mode: 0o640, mtime: { secs: 1_700_000_000n, nsecs: 123_456_000 } }
const file = await buildFile(ReadableStream.from([Buffer.alloc(600_000, 'a')]), METADATA, keepBlock)
const entry = (name: string) => ({ name, cid: file.cid, totalBytes: 600_000 })
await buildFolder([entry('a'), entry('b')], METADATA, keepBlock)
await buildFolder(
  Array.from({ length: 1_000 }, (_, index) => entry(`entry ${index}`)),
  METADATA,
  keepBlock
)
keepBlock(buildLink('a/b', METADATA))

const nodes: FuzzTarget = {
  name: 'a node of a tree',
  samples: blocks.filter(({ cid }) => cid.code === DAG_PB_CODEC).map(({ bytes }) => bytes),
  take(input) {
    const block = blockOf(DAG_PB_CODEC, input)
    readNode(block)
    childrenOf(block)
  }
}

const car: FuzzTarget = {
  name: 'a CAR file',
  samples: [Buffer.concat([CAR_HEADER, sectionHead(leaf), leaf.bytes]), sectionHead(leaf)],
  take(input) {
    for (const at of markersIn(input)) parseSection(input, at)
    for (let offset = 0; offset < input.length; ) {
      const parsed = parseSection(input, offset)
      if (parsed.kind !== 'section') return
      if (parsed.end <= offset) throw new Error('a section that does not go on')
      offset = parsed.end
    }
  }
}

const envelopeOf = (type: string): Uint8Array => unhex(vectors.records.find((one) => one.type === type)?.envelope ?? '')
const receipt = envelopeOf('Receipt')
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
const exitFile = Buffer.from(
  JSON.stringify({
    format: 'node-daemon-exit-certificate/1',
    federation: COORDINATOR.peerId,
    instance: COORDINATOR.peerId,
    issuedAt: '2026-01-01T00:00:00.000Z',
    statement: base64(envelopeOf('ExitStatement')),
    heads: [
      {
        workspace: '00112233445566778899aabbccddeeff',
        epoch: 1,
        sequence: 1,
        head: leaf.cid.toString(),
        envelope: base64(envelopeOf('Head')),
        receipts: [base64(receipt)]
      }
    ]
  })
)

export const WIRE_TARGETS: readonly FuzzTarget[] = [
  ...messages,
  ...records,
  nodes,
  car,
  { name: 'an entry of the index', samples: [Buffer.alloc(80)], take: (input) => void decodeEntry(input) },
  { name: 'a private key', samples: [identityToBytes(COORDINATOR)], take: (input) => void identityFromBytes(input) },
  textTarget('a PeerId', [COORDINATOR.peerId], parsePeerId),
  ...(['a certificate of exit', 'a statement of exit'] as const).map((name) => ({
    name,
    samples: [receiptFile(receipt), exitFile],
    async take(input: Uint8Array): Promise<void> {
      if (name === 'a statement of exit') await statementOf(input, COORDINATOR.peerId)
      else await verifyCertificate(input)
    }
  }))
]
