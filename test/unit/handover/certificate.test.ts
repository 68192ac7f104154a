import { describe, expect, test } from 'vitest'
import { seal } from '../../../src/core/envelope.ts'
import { codeOf } from '../../../src/core/errors.ts'
import { createIdentity, type Identity } from '../../../src/core/identity.ts'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import { type ExitStatement, exitRecord, headRecord, type Receipt, receiptRecord } from '../../../src/core/records.ts'
import { type ProvenHead, receiptFile, verifyCertificate, writeCertificate } from '../../../src/handover/certificate.ts'
import { receiptOf } from '../../../src/sync/receipt.ts'
import { snapshot, workspace } from '../store/support.ts'
import { ALPHA, BETA, COORDINATOR } from '../sync/support.ts'

const A = workspace('a')
const B = workspace('b')
const { root } = await snapshot({ 'a.txt': 'a' })
const { root: otherRoot } = await snapshot({ 'a.txt': 'b' })

const headOf = (id: WorkspaceId, sequence = 7): Promise<ProvenHead['head']> =>
  seal(
    headRecord,
    {
      workspace: id,
      epoch: 3,
      sequence,
      root,
      previous: null,
      createdAtMs: 1,
      files: 1,
      bytes: 1,
      unsettled: []
    },
    ALPHA
  )
const headA = await headOf(A)
const headB = await headOf(B)

const receiptFor = (head: ProvenHead['head'], by: Identity, changes: Partial<Receipt> = {}) =>
  seal(
    receiptRecord,
    {
      ...receiptOf(head, { blocks: 3, bytes: 1 }, by === COORDINATOR ? 'repository' : 'instance', by.peerId, 1),
      ...changes
    },
    by
  )

const proven: readonly ProvenHead[] = [
  { head: headA, receipts: [await receiptFor(headA, BETA), await receiptFor(headA, COORDINATOR)] },
  { head: headB, receipts: [await receiptFor(headB, COORDINATOR)] }
]
const STATEMENT: ExitStatement = {
  federation: COORDINATOR.peerId,
  instance: ALPHA.peerId,
  issuedAtMs: 1_750_000_000_000,
  heads: [
    { workspace: A, epoch: 3, sequence: 7, head: headA.cid, recipient: BETA.peerId },
    { workspace: B, epoch: 3, sequence: 7, head: headB.cid, recipient: COORDINATOR.peerId }
  ]
}
const statementOf = (changes: Partial<ExitStatement> = {}, by = COORDINATOR) =>
  seal(exitRecord, { ...STATEMENT, ...changes }, by)
const whole = writeCertificate(await statementOf(), proven)

interface File {
  format: string
  federation: string
  instance: string
  issuedAt: string
  statement: string
  heads: { workspace: string; epoch: number; sequence: number; head: string; envelope: string; receipts: string[] }[]
}

const fileOf = (bytes: Uint8Array): File => JSON.parse(Buffer.from(bytes).toString()) as File
const base64 = (signed: { bytes: Uint8Array }): string => Buffer.from(signed.bytes).toString('base64')
const with0 = (text: string, at: number): string => {
  const bytes = Buffer.from(text, 'base64')
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
  return bytes.toString('base64')
}

async function problemsOf(change: (file: File) => void | Promise<void>): Promise<readonly string[]> {
  const file = fileOf(whole)
  await change(file)
  const report = await verifyCertificate(Buffer.from(JSON.stringify(file)))
  expect(report.ok).toBe(report.problems.length === 0)
  return report.problems
}

/** The head entry that a change is about. */
function entry(file: File, index = 0): File['heads'][number] {
  const found = file.heads[index]
  if (found === undefined) throw new Error('no such entry')
  return found
}

test('an exit certificate verifies by its signatures alone, and says who holds what', async () => {
  expect(await verifyCertificate(whole)).toEqual({
    ok: true,
    kind: 'exit certificate',
    federation: COORDINATOR.peerId,
    instance: ALPHA.peerId,
    issuedAt: '2025-06-15T15:06:40.000Z',
    heads: 2,
    recipients: [
      { peer: BETA.peerId, role: 'instance', heads: 1 },
      { peer: COORDINATOR.peerId, role: 'repository', heads: 2 }
    ],
    problems: [],
    receipt: null
  })
})

test('an instance that was home of nothing has a certificate of nothing', async () => {
  const empty = writeCertificate(await statementOf({ heads: [] }), [])
  expect(await verifyCertificate(empty)).toMatchObject({ ok: true, heads: 0 })
})

describe('what was changed is named', () => {
  test.each<[string, (file: File) => void | Promise<void>, string]>([
    ['another instance', (file) => void Object.assign(file, { instance: BETA.peerId }), 'names another instance'],
    ['another federation', (file) => void Object.assign(file, { federation: BETA.peerId }), 'statement:'],
    [
      'another time',
      (file) => void Object.assign(file, { issuedAt: '2025-06-15T15:06:41.000Z' }),
      'issued at another time'
    ],
    [
      'a byte of the statement',
      (file) => void Object.assign(file, { statement: with0(file.statement, 60) }),
      'statement:'
    ],
    [
      'a statement that somebody else signed',
      async (file) => void Object.assign(file, { statement: base64(await statementOf({}, BETA)) }),
      'statement:'
    ],
    [
      'a byte of a head',
      (file) => void Object.assign(entry(file), { envelope: with0(entry(file).envelope, 60) }),
      'head:'
    ],
    ['the epoch of a head', (file) => void Object.assign(entry(file), { epoch: 4 }), 'another one than the file says'],
    [
      'the sequence of a head',
      (file) => void Object.assign(entry(file), { sequence: 8 }),
      'another one than the file says'
    ],
    [
      'the name of a head',
      (file) => void Object.assign(entry(file), { head: headB.cid.toString() }),
      'another name than the file says'
    ],
    [
      'a statement of a lower sequence',
      async (file) => {
        const [first, second] = STATEMENT.heads
        if (first === undefined || second === undefined) throw new Error('no such head')
        file.statement = base64(await statementOf({ heads: [{ ...first, sequence: 6 }, second] }))
      },
      'the statement names another epoch or sequence'
    ],
    [
      'a statement that names a workspace twice',
      async (file) => {
        const { heads } = STATEMENT
        file.statement = base64(await statementOf({ heads: [...heads, ...heads.slice(0, 1)] }))
      },
      'names a workspace twice'
    ],
    [
      'an older head in place of the last',
      async (file) => {
        const older = await headOf(A, 6)
        Object.assign(entry(file), { sequence: 6, head: older.cid.toString(), envelope: base64(older) })
        entry(file).receipts = [base64(await receiptFor(older, BETA))]
      },
      'the statement names another head'
    ],
    ['a head that was left out', (file) => void file.heads.pop(), `${B}: the statement names it, but there is no head`],
    ['a head that is there twice', (file) => void file.heads.push(entry(file)), 'the statement does not name it'],
    [
      'a byte of a receipt',
      (file) => void entry(file).receipts.splice(0, 1, with0(entry(file).receipts[0] ?? '', 60)),
      'receipt:'
    ],
    ['a receipt that was left out', (file) => void entry(file).receipts.shift(), 'no valid receipt of'],
    [
      'the receipts of two heads exchanged',
      (file) => {
        const [first, second] = [entry(file).receipts, entry(file, 1).receipts]
        Object.assign(entry(file), { receipts: second })
        Object.assign(entry(file, 1), { receipts: first })
      },
      'is for another head'
    ],
    [
      'a receipt of the leaving instance for itself',
      async (file) => void Object.assign(entry(file), { receipts: [base64(await receiptFor(headA, ALPHA))] }),
      'the leaving instance signed for itself'
    ],
    [
      'an instance that signs as the main repository',
      async (file) =>
        void Object.assign(entry(file), { receipts: [base64(await receiptFor(headA, BETA, { role: 'repository' }))] }),
      'is not the coordinator'
    ],
    [
      'a receipt that another one than its recipient signed',
      async (file) =>
        void Object.assign(entry(file), {
          receipts: [base64(await receiptFor(headA, ALPHA, { recipient: BETA.peerId }))]
        }),
      'is signed by'
    ],
    [
      'a receipt of another root',
      async (file) =>
        void Object.assign(entry(file), { receipts: [base64(await receiptFor(headA, BETA, { root: otherRoot }))] }),
      'names another root'
    ],
    [
      'a receipt of another epoch',
      async (file) =>
        void Object.assign(entry(file), { receipts: [base64(await receiptFor(headA, BETA, { epoch: 2 }))] }),
      'names another epoch or sequence'
    ],
    [
      'a receipt of another workspace',
      async (file) =>
        void Object.assign(entry(file), { receipts: [base64(await receiptFor(headA, BETA, { workspace: B }))] }),
      'is for another workspace'
    ]
  ])('%s', async (_, change, problem) => {
    expect((await problemsOf(change)).join('\n')).toContain(problem)
  })

  test('and nothing else is', async () => {
    expect(await problemsOf(() => undefined)).toEqual([])
    expect(await problemsOf((file) => void entry(file).receipts.reverse())).toEqual([])
    expect(await problemsOf((file) => void file.heads.reverse())).toEqual([])
  })
})

test('no byte of a certificate can be changed unseen', async () => {
  const [head] = STATEMENT.heads
  if (head === undefined) throw new Error('no such head')
  const small = writeCertificate(await statementOf({ heads: [head] }), [proven[0] ?? { head: headA, receipts: [] }])
  // What the file says, whatever its white space and the spare bits of its base64 are.
  const meaning = (bytes: Uint8Array): string => {
    const { statement, heads, ...rest } = fileOf(bytes)
    const plain = (text: string): string => Buffer.from(text, 'base64').toString('hex')
    const opened = heads.map(({ envelope, receipts, ...other }) => [other, plain(envelope), receipts.map(plain)])
    return JSON.stringify([rest, plain(statement), opened])
  }
  const unseen: number[] = []
  for (let at = 0; at < small.length; at++) {
    const changed = Uint8Array.from(small)
    changed[at] = (changed[at] ?? 0) ^ 1
    const verdict = await verifyCertificate(changed).then(
      ({ ok }) => ok,
      (error: unknown) => codeOf(error) !== 'INTEGRITY'
    )
    if (verdict && meaning(changed) !== meaning(small)) unseen.push(at)
  }
  expect(unseen).toEqual([])
  expect((await verifyCertificate(small)).ok).toBe(true)
})

describe('a single receipt', () => {
  const fileFor = (receipt: string): Uint8Array =>
    Buffer.from(JSON.stringify({ format: 'node-daemon-receipt/1', receipt }))

  test('verifies alone, and says what it is for', async () => {
    const receipt = await receiptFor(headA, BETA)
    const report = await verifyCertificate(receiptFile(receipt.bytes))
    expect(report).toMatchObject({ ok: true, kind: 'receipt', recipients: [{ peer: BETA.peerId, role: 'instance' }] })
    const { workspace, sequence, root } = headA.value
    expect(report.receipt).toMatchObject({ workspace, sequence, root: String(root), head: String(headA.cid) })
    expect(report.receipt).toMatchObject({ blocks: receipt.value.blocks, durability: 'fsynced' })
  })

  test('that was changed, or signed for somebody else, does not', async () => {
    const changed = with0(base64(await receiptFor(headA, BETA)), 60)
    expect(await verifyCertificate(fileFor(changed))).toMatchObject({ ok: false, recipients: [] })
    const other = await receiptFor(headA, await createIdentity(), { recipient: BETA.peerId })
    expect(await verifyCertificate(fileFor(base64(other)))).toMatchObject({ ok: false })
    expect(await verifyCertificate(fileFor(base64(headA)))).toMatchObject({ ok: false })
  })
})

test.each([
  '',
  'text',
  '{}',
  '[]',
  'null',
  '{"format":"node-daemon-exit-certificate/2"}',
  Buffer.from(whole).toString().slice(0, -9)
])('what is no certificate is told as that: %.30s', async (text) => {
  expect(await verifyCertificate(Buffer.from(text)).then(() => 'verified', codeOf)).toBe('INTEGRITY')
})
