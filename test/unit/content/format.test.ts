import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { GEAR_TABLE } from 'gearhash-jit'
import { expect, test } from 'vitest'
import { BOUNDARY_MASKS, CHUNK, chunks } from '../../../src/content/chunker.ts'
import { buildFile, GROUP, MAX_LEVELS } from '../../../src/content/file.ts'
import { buildFolder, SHARD_THRESHOLD } from '../../../src/content/folder.ts'
import { FANOUT, HASH_TYPE, MAX_DEPTH } from '../../../src/content/hamt.ts'
import { MAX_NAME_BYTES } from '../../../src/content/names.ts'
import { MAX_LINK_TARGET_BYTES } from '../../../src/content/nodes.ts'
import { MAX_BLOCK_BYTES } from '../../../src/core/blocks.ts'
import { collected, entriesNamed, FOLDER_METADATA, METADATA, noise, sliced } from './support.ts'

const page = readFileSync(new URL('../../../protocols/content/README.md', import.meta.url), 'utf8').replaceAll(
  /\s+/g,
  ' '
)

const table = createHash('sha256')
for (const value of GEAR_TABLE) {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  table.update(bytes)
}

test.each([
  `largest block | ${MAX_BLOCK_BYTES} bytes`,
  `may be shorter) | ${CHUNK.minBytes} |`,
  `(\`averageBytes\`) | ${CHUNK.averageBytes} |`,
  `(\`maxBytes\`) | ${CHUNK.maxBytes} |`,
  `below \`averageBytes\` | 0x${BOUNDARY_MASKS.rare.toString(16)} |`,
  `from \`averageBytes\` on | 0x${BOUNDARY_MASKS.frequent.toString(16)} |`,
  `64-bit numbers | ${table.digest('hex')} |`,
  `at least its ${GROUP.min}th, and the last byte of whose digest, ANDed with ${GROUP.boundaryMask}, is 0`,
  `that is its ${GROUP.max}th`,
  `at most ${MAX_LEVELS} levels`,
  `1 to ${MAX_LINK_TARGET_BYTES} bytes of UTF-8`,
  `name is 1 to ${MAX_NAME_BYTES} bytes`,
  `at most ${SHARD_THRESHOLD} together`,
  `(\`fanout\`) | ${FANOUT} |`,
  `(\`hashType\`) | 0x${HASH_TYPE.toString(16)}:`,
  `more than ${MAX_DEPTH} levels`,
  `Level ${MAX_DEPTH - 1} uses the last byte`
])('the page on the format says: %s', (text) => expect(page).toContain(text))

const input = (length: number): AsyncGenerator<Uint8Array> => sliced(noise(length, 'node-daemon content'), [1_000_000])

async function answerTo(question: string): Promise<string> {
  const count = Number(/\d+/.exec(question)?.[0])
  const ignore = (): void => undefined
  if (question.startsWith('chunks')) {
    return (await collected(chunks(input(count)))).map(({ length }) => length).join(' ')
  }
  if (question.startsWith('file')) return (await buildFile(input(count), METADATA, ignore)).cid.toString()
  return (await buildFolder(entriesNamed(count), FOLDER_METADATA, ignore)).cid.toString()
}

const answers = [...page.matchAll(/\| ((?:chunks|file|folder) of \d+ (?:bytes|entries)) \| ([a-z0-9 ]+?) \|/g)]

test('the page has answers for chunks, files and folders', () => expect(answers).toHaveLength(7))

test.each(answers.map(([, question = '', answer = '']) => [question, answer]))('%s: %s', async (question, answer) => {
  expect(await answerTo(question)).toBe(answer)
})
