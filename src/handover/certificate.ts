import { z } from 'zod'
import { open, type Signed } from '../core/envelope.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import { parse } from '../core/parse.ts'
import {
  type ExitStatement,
  exitRecord,
  headRecord,
  type Receipt,
  receiptRecord,
  type SignedHead
} from '../core/records.ts'

const FORMAT = 'node-daemon-exit-certificate/1'
const RECEIPT_FORMAT = 'node-daemon-receipt/1'
const MAX_BYTES = 512 * 1024 * 1024

/** An exit certificate as it stands in a file: JSON, signed records in base64. */
const certificateFile = z.object({
  format: z.literal(FORMAT),
  federation: z.string(),
  instance: z.string(),
  issuedAt: z.string(),
  statement: z.base64(),
  heads: z.array(
    z.object({
      workspace: z.string(),
      epoch: z.number(),
      sequence: z.number(),
      head: z.string(),
      envelope: z.base64(),
      receipts: z.array(z.base64()).max(64)
    })
  )
})

const receiptSchema = z.object({ format: z.literal(RECEIPT_FORMAT), receipt: z.base64() })

export interface ProvenHead {
  readonly head: SignedHead
  readonly receipts: readonly Signed<Receipt>[]
}

/** Writes the bundle of an instance that handed over all it was home of. */
export function writeCertificate(statement: Signed<ExitStatement>, heads: readonly ProvenHead[]): Uint8Array {
  const { value } = statement
  const file: z.infer<typeof certificateFile> = {
    format: FORMAT,
    federation: value.federation,
    instance: value.instance,
    issuedAt: new Date(value.issuedAtMs).toISOString(),
    statement: base64(statement.bytes),
    heads: heads.map(({ head, receipts }) => ({
      workspace: head.value.workspace,
      epoch: head.value.epoch,
      sequence: head.value.sequence,
      head: head.cid.toString(),
      envelope: base64(head.bytes),
      receipts: receipts.map((receipt) => base64(receipt.bytes))
    }))
  }
  return Buffer.from(`${JSON.stringify(file, null, 2)}\n`)
}

/** A signed receipt as it stands in a file of its own: what `verifyCertificate` reads. */
export function receiptFile(envelope: Uint8Array): Uint8Array {
  const file: z.infer<typeof receiptSchema> = { format: RECEIPT_FORMAT, receipt: base64(envelope) }
  return Buffer.from(`${JSON.stringify(file, null, 2)}\n`)
}

/** What a receipt on its own says. */
export interface ReceiptView {
  readonly workspace: WorkspaceId
  readonly epoch: number
  readonly sequence: number
  readonly head: string
  readonly root: string
  readonly blocks: number
  readonly bytes: number
  readonly durability: Receipt['durability']
}

export interface CertificateReport {
  readonly ok: boolean
  readonly kind: 'exit certificate' | 'receipt'
  readonly federation: string
  readonly instance: string
  readonly issuedAt: string
  readonly heads: number
  /** Who holds how many of the heads. */
  readonly recipients: readonly { readonly peer: PeerIdText; readonly role: string; readonly heads: number }[]
  /** What does not verify, each with the record that it is about. */
  readonly problems: readonly string[]
  /** Of a receipt whose signature verifies; null for a bundle. */
  readonly receipt: ReceiptView | null
}

/**
 * Recomputes an exit certificate or a receipt from its signatures alone, without any connection.
 *
 * @throws NodeDaemonError `INTEGRITY` when the bytes are neither
 */
export async function verifyCertificate(bytes: Uint8Array): Promise<CertificateReport> {
  const json = parseJson(bytes)
  const receipt = receiptSchema.safeParse(json)
  if (receipt.success) return verifyReceipt(receipt.data.receipt)
  const file = certificateFile.safeParse(json)
  if (!file.success) throw notACertificate()
  return verifyBundle(file.data)
}

/**
 * What an exit certificate states, for whoever checks it against something else that is known.
 *
 * @throws NodeDaemonError `INTEGRITY` when it is none, `BAD_SIGNATURE` when this federation did not sign it
 */
export async function statementOf(bytes: Uint8Array, federation: PeerIdText): Promise<ExitStatement> {
  const file = certificateFile.safeParse(parseJson(bytes))
  if (!file.success) throw notACertificate()
  return (await open(exitRecord, bytesOf(file.data.statement), federation)).value
}

const notACertificate = (): NodeDaemonError =>
  new NodeDaemonError('INTEGRITY', 'this is neither an exit certificate nor a receipt', {
    advice: 'certificates are kept in the folder "certificates" of an instance and of its coordinator'
  })

function parseJson(bytes: Uint8Array): unknown {
  if (bytes.length > MAX_BYTES) throw new NodeDaemonError('TOO_LARGE', 'the file is too large for a certificate')
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch {
    throw notACertificate()
  }
}

async function verifyReceipt(text: string): Promise<CertificateReport> {
  const report = { kind: 'receipt' as const, federation: '', instance: '', issuedAt: '', heads: 1 }
  try {
    const { value, signer } = await open(receiptRecord, bytesOf(text))
    const problems =
      signer === value.recipient ? [] : [`the receipt names ${value.recipient} but is signed by ${signer}`]
    const recipients = [{ peer: signer, role: value.role, heads: 1 }]
    const { workspace, epoch, sequence, head, root, blocks, bytes, durability } = value
    const receipt = { workspace, epoch, sequence, head: `${head}`, root: `${root}`, blocks, bytes, durability }
    return { ...report, ok: problems.length === 0, issuedAt: time(value.issuedAtMs), recipients, problems, receipt }
  } catch (error) {
    return { ...report, ok: false, recipients: [], problems: [messageOf(error)], receipt: null }
  }
}

async function verifyBundle(file: z.infer<typeof certificateFile>): Promise<CertificateReport> {
  const problems: string[] = []
  const counts = new Map<string, { peer: PeerIdText; role: string; heads: number }>()
  const statement = await verifyStatement(file, problems)
  const stated = new Map(statement?.heads.map((head) => [head.workspace, head]))
  if (statement !== null && stated.size < statement.heads.length) {
    problems.push('the statement names a workspace twice')
  }
  for (const entry of file.heads) {
    const expected = stated.get(entry.workspace as WorkspaceId)
    stated.delete(entry.workspace as WorkspaceId)
    const found = await verifyHead(entry, statement, expected, problems)
    for (const receipt of found) {
      const key = `${receipt.recipient} ${receipt.role}`
      const count = counts.get(key) ?? { peer: receipt.recipient, role: receipt.role, heads: 0 }
      counts.set(key, { ...count, heads: count.heads + 1 })
    }
  }
  for (const workspace of stated.keys())
    problems.push(`workspace ${workspace}: the statement names it, but there is no head`)
  return {
    ok: problems.length === 0,
    kind: 'exit certificate',
    federation: file.federation,
    instance: file.instance,
    issuedAt: file.issuedAt,
    heads: file.heads.length,
    recipients: [...counts.values()],
    problems,
    receipt: null
  }
}

async function verifyStatement(
  file: z.infer<typeof certificateFile>,
  problems: string[]
): Promise<ExitStatement | null> {
  try {
    const { value } = await open(exitRecord, bytesOf(file.statement), parse.peer(file.federation))
    if (value.federation !== file.federation) problems.push('the statement names another federation')
    if (value.instance !== file.instance) problems.push('the statement names another instance')
    if (time(value.issuedAtMs) !== file.issuedAt) problems.push('the statement was issued at another time')
    return value
  } catch (error) {
    problems.push(`statement: ${messageOf(error)}`)
    return null
  }
}

type StatedHead = ExitStatement['heads'][number]

async function verifyHead(
  entry: z.infer<typeof certificateFile>['heads'][number],
  statement: ExitStatement | null,
  expected: StatedHead | undefined,
  problems: string[]
): Promise<Receipt[]> {
  const wrong = (text: string): void => {
    problems.push(`workspace ${entry.workspace}: ${text}`)
  }
  let head: SignedHead
  try {
    head = await open(headRecord, bytesOf(entry.envelope))
  } catch (error) {
    wrong(`head: ${messageOf(error)}`)
    return []
  }
  const { value } = head
  if (value.workspace !== entry.workspace || value.epoch !== entry.epoch || value.sequence !== entry.sequence) {
    wrong('the signed head is another one than the file says')
  }
  if (head.cid.toString() !== entry.head) wrong('the head has another name than the file says')
  if (expected === undefined) wrong('the statement does not name it')
  else if (!expected.head.equals(head.cid)) wrong('the statement names another head')
  else if (expected.epoch !== value.epoch || expected.sequence !== value.sequence) {
    wrong('the statement names another epoch or sequence')
  }
  const receipts: Receipt[] = []
  for (const text of entry.receipts) {
    try {
      const receipt = await open(receiptRecord, bytesOf(text))
      const problem = receiptProblem(receipt, head, statement)
      if (problem === null) receipts.push(receipt.value)
      else wrong(problem)
    } catch (error) {
      wrong(`receipt: ${messageOf(error)}`)
    }
  }
  if (expected !== undefined && !receipts.some((receipt) => receipt.recipient === expected.recipient)) {
    wrong(`no valid receipt of ${expected.recipient}, who is named as the recipient`)
  }
  return receipts
}

/** Why this receipt does not prove that somebody else than the leaving instance holds the head; null if it does. */
export function receiptProblem(
  receipt: Signed<Receipt>,
  head: SignedHead,
  statement: Pick<ExitStatement, 'instance' | 'federation'> | null
): string | null {
  const { value, signer } = receipt
  if (signer !== value.recipient) return `a receipt names ${value.recipient} but is signed by ${signer}`
  if (!value.head.equals(head.cid)) return `the receipt of ${signer} is for another head`
  if (value.workspace !== head.value.workspace) return `the receipt of ${signer} is for another workspace`
  if (value.epoch !== head.value.epoch || value.sequence !== head.value.sequence) {
    return `the receipt of ${signer} names another epoch or sequence`
  }
  if (!value.root.equals(head.value.root)) return `the receipt of ${signer} names another root`
  if (statement !== null && signer === statement.instance) return 'the leaving instance signed for itself'
  if (value.role === 'repository' && statement !== null && signer !== statement.federation) {
    return `${signer} signs as the main repository but is not the coordinator`
  }
  return null
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))
const time = (ms: number): string => new Date(ms).toISOString()
