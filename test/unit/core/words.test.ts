import { CID } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import { blockOf, MAX_BLOCK_BYTES, matches, RAW_CODEC, sha256, verifyBlock } from '../../../src/core/blocks.ts'
import { CODE_WORDS } from '../../../src/core/code-words.ts'
import { codeOf, ERRORS, hasCode, isErrorCode, messageOf, NodeDaemonError } from '../../../src/core/errors.ts'
import { isGroupName, isOwnerId, isServiceName, isUserId, isWorkspaceId, workspaceId } from '../../../src/core/ids.ts'
import { memoryKeyValue, prefixed } from '../../../src/core/key-value.ts'
import { cidBytes, parse } from '../../../src/core/parse.ts'

describe('names', () => {
  test.each<[string, (text: string) => boolean, readonly string[], readonly string[]]>([
    [
      'workspace',
      isWorkspaceId,
      ['0'.repeat(32)],
      ['', '0'.repeat(31), '0'.repeat(33), 'A'.repeat(32), `${'0'.repeat(32)}\n`]
    ],
    [
      'service',
      isServiceName,
      ['files', 'a', '9-x', 'a'.repeat(40)],
      ['', '-a', 'A', 'a b', 'a/b', 'a'.repeat(41), 'a\n']
    ],
    [
      'user',
      isUserId,
      ['user:ada', 'user:ada@example.org', `guest:${'f'.repeat(32)}`],
      [
        'ada',
        'user:',
        'user:Ada',
        'user:a/b',
        'guest:1',
        `user:${'a'.repeat(65)}`,
        'user:ada\n',
        'admin:ada',
        'group:lab'
      ]
    ],
    ['group', isGroupName, ['lab', 'lab-2', '2'], ['', '-lab', 'Lab', 'lab.x', 'lab/x', 'a'.repeat(41), 'lab\n']],
    [
      'owner',
      isOwnerId,
      ['user:ada', `guest:${'f'.repeat(32)}`, 'group:lab', 'service:wiki'],
      ['', 'lab', 'group:', 'group:Lab', 'group:a/b', 'group:-a', 'service:', 'service:a.b', 'group:lab\n', 'team:lab']
    ]
  ])('of a %s', (_, is, good, bad) => {
    for (const text of good) expect(is(text), JSON.stringify(text)).toBe(true)
    for (const text of bad) expect(is(text), JSON.stringify(text)).toBe(false)
  })

  test('a workspace id is made of the 16 bytes given, wherever they lie', () => {
    const bytes = Uint8Array.from({ length: 40 }, (_, index) => index)
    expect(workspaceId(bytes.subarray(8, 24))).toBe('08090a0b0c0d0e0f1011121314151617')
  })

  test('the words of pairing codes are 256 different ones', () => {
    expect(new Set(CODE_WORDS).size).toBe(256)
    expect(CODE_WORDS).toHaveLength(256)
  })
})

describe('what is read from outside', () => {
  test('a text for people loses what could deceive, and is cut', () => {
    expect(parse.line(' a\u0000b\r\nc\u202ed\u2028e ', 100)).toBe('a b c d e')
    expect(parse.line('x'.repeat(20), 5)).toBe('xxxxx')
  })

  test('an error code that is not known counts as unexpected', () => {
    expect(parse.errorCode('SEALED')).toBe('SEALED')
    for (const text of ['', 'sealed', 'toString', '__proto__']) expect(parse.errorCode(text)).toBe('UNEXPECTED')
  })

  test('a content id is whole or refused; none stands for null', () => {
    const { cid } = blockOf(RAW_CODEC, Buffer.from('a'))
    expect(parse.cid(cid.bytes).equals(cid)).toBe(true)
    expect(parse.cidOrNull(cidBytes(null))).toBeNull()
    for (const bytes of [cid.bytes.subarray(1), cid.bytes.subarray(0, 10), Buffer.concat([cid.bytes, Buffer.of(0)])]) {
      expect(codeOf(caught(() => parse.cid(bytes)))).toBe('BAD_REQUEST')
    }
  })

  test('a word that is not among the known ones is refused', () => {
    expect(parse.word('b', ['a', 'b'], 'letter')).toBe('b')
    expect(codeOf(caught(() => parse.word('c', ['a', 'b'], 'letter')))).toBe('BAD_REQUEST')
  })
})

describe('a block', () => {
  test('is named by its bytes', () => {
    const block = blockOf(RAW_CODEC, Buffer.from('hello'))
    expect(block.cid.toString()).toBe('bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq')
    expect(matches(block)).toBe(true)
    expect(caught(() => verifyBlock(block))).toBeNull()
  })

  test('with other bytes, another hash or an older name does not verify', () => {
    const { cid, bytes } = blockOf(RAW_CODEC, Buffer.from('hello'))
    const identityHash = CID.createV1(RAW_CODEC, { ...cid.multihash, code: 0 })
    const old = CID.createV0(blockOf(0x70, bytes).cid.multihash as CID<unknown, 0x70, 0x12, 0>['multihash'])
    for (const wrong of [
      { cid, bytes: Buffer.from('hellp') },
      { cid: identityHash, bytes },
      { cid: old, bytes }
    ]) {
      expect(codeOf(caught(() => verifyBlock(wrong)))).toBe('INTEGRITY')
    }
  })

  test('is refused above its largest size', () => {
    const bytes = new Uint8Array(MAX_BLOCK_BYTES)
    expect(caught(() => verifyBlock(blockOf(RAW_CODEC, bytes)))).toBeNull()
    const larger = blockOf(RAW_CODEC, new Uint8Array(MAX_BLOCK_BYTES + 1))
    expect(codeOf(caught(() => verifyBlock(larger)))).toBe('TOO_LARGE')
    expect(sha256(bytes)).toHaveLength(32)
  })
})

describe('an error', () => {
  test('has a code that says how a command and an answer end', () => {
    expect(ERRORS.INCOMPLETE.exit).toBe(6)
    expect(ERRORS.BAD_SIGNATURE.exit).toBe(7)
    expect(ERRORS.NOT_HOME.http).toBe(421)
    const exits = new Set(Object.values(ERRORS).map(({ exit }) => exit))
    expect([...exits].sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 130])
    for (const { http } of Object.values(ERRORS)) expect(http).toBeGreaterThanOrEqual(400)
  })

  test('of any origin has a code and a message on one line', () => {
    const ours = new NodeDaemonError('SEALED', 'epoch 1\n is sealed', { advice: 'wait', data: { epoch: 1 } })
    expect([codeOf(ours), codeOf(new Error('x')), codeOf('x'), codeOf(new DOMException('x', 'AbortError'))]).toEqual([
      'SEALED',
      'UNEXPECTED',
      'UNEXPECTED',
      'ABORTED'
    ])
    expect(messageOf(ours)).toBe('epoch 1 is sealed')
    expect(messageOf('text')).toBe('text')
    expect(hasCode(ours, 'BUSY', 'SEALED')).toBe(true)
    expect(hasCode(ours, 'BUSY')).toBe(false)
    expect(hasCode(new Error('SEALED'), 'SEALED')).toBe(false)
    expect(isErrorCode('constructor')).toBe(false)
  })
})

test('a prefixed store sees its own keys only, under their own names', async () => {
  const all = memoryKeyValue()
  const inner = prefixed(all, 'inner/')
  await all.write({ put: [['other', Buffer.from('o')]] }, { durable: false })
  await inner.write({ put: ['a', 'b/1', 'b/2', 'c'].map((key) => [key, Buffer.from(key)] as const) }, { durable: true })
  await inner.write({ remove: ['c', 'other'] }, { durable: true })
  expect(Buffer.from((await all.get('inner/a')) ?? []).toString()).toBe('a')
  expect(await inner.get('other')).toBeNull()
  expect(await all.get('other')).not.toBeNull()
  const keys = async (range: Parameters<typeof inner.entries>[0]): Promise<string[]> => {
    const found: string[] = []
    for await (const [key] of inner.entries(range)) found.push(key)
    return found
  }
  expect(await keys({ prefix: '' })).toEqual(['a', 'b/1', 'b/2'])
  expect(await keys({ prefix: 'b/', after: 'b/1' })).toEqual(['b/2'])
  expect(await keys({ prefix: '', limit: 1 })).toEqual(['a'])
})

function caught(work: () => unknown): unknown {
  try {
    work()
    return null
  } catch (error) {
    return error
  }
}
