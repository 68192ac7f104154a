import { open } from 'node:fs/promises'
import { NodeDaemonError } from '../../core/errors.ts'
import { type ReceiptView, verifyCertificate } from '../../handover/certificate.ts'
import { command, group } from '../command.ts'
import { unreadable } from '../file-trouble.ts'
import { bytes, clean, count } from '../format.ts'
import { facts } from '../table.ts'

const FILE_BYTES_MAX = 512 * 1024 * 1024

async function contentOf(path: string): Promise<Uint8Array> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw new NodeDaemonError('NOT_FOUND', unreadable(path, error), {
      advice: 'give the path of a certificate: they are kept in the folder "certificates" of the data folder',
      cause: error
    })
  })
  try {
    const stats = await file.stat()
    const { size } = stats
    if (!stats.isFile())
      throw new NodeDaemonError('BAD_USAGE', `${path} is not a file`, { advice: 'give the path of a certificate' })
    if (size > FILE_BYTES_MAX) throw new NodeDaemonError('TOO_LARGE', `${path} is too large for a certificate`)
    return await file.readFile()
  } finally {
    await file.close()
  }
}

const receiptFacts = (receipt: ReceiptView): (readonly [string, unknown])[] => [
  ['Workspace', receipt.workspace],
  ['Head', `${receipt.sequence} of epoch ${receipt.epoch}, ${receipt.head}`],
  ['Root', receipt.root],
  ['Holds', `${count(receipt.blocks, 'block', 'blocks')}, ${bytes(receipt.bytes)}, ${receipt.durability}`]
]

const verify = command({
  name: 'verify',
  takes: ['<file>'],
  about: 'check a receipt or an exit certificate by its signatures alone, without a connection',
  settings: {},
  examples: [
    'node-daemon receipts verify ~/exit-certificate.json',
    'node-daemon workspaces show 7f3a --receipt ada.json && node-daemon receipts verify ada.json'
  ],
  exits: { 3: 'no such file', 7: 'something in it does not verify' },
  async run({ print }, _values, [path = '']) {
    const report = await verifyCertificate(await contentOf(path))
    const isBundle = report.kind === 'exit certificate'
    const { instance: _instance, federation: _federation, ...alone } = report
    print.machine(isBundle ? report : alone)
    print.say(
      report.ok
        ? print.styled('green', `This ${report.kind} verifies.`)
        : print.styled('red', `This ${report.kind} does NOT verify.`)
    )
    print.say(
      facts([
        ...(isBundle
          ? ([
              ['Instance', report.instance],
              ['Federation', report.federation]
            ] as const)
          : []),
        ['Issued at', report.issuedAt],
        ['Heads', report.heads],
        ...(report.receipt === null ? [] : receiptFacts(report.receipt))
      ]).trimEnd()
    )
    for (const { peer, role, heads } of report.recipients) {
      print.say(`${clean(peer)} (${clean(role)}) has signed for ${count(heads, 'head', 'heads')}.`)
    }
    for (const problem of report.problems) print.say(print.styled('red', `  ${clean(problem)}`))
    if (report.ok) return 0
    throw new NodeDaemonError('INTEGRITY', `${path}: ${count(report.problems.length, 'problem', 'problems')}`, {
      advice: 'do not rely on it; its coordinator keeps a copy, which may be whole'
    })
  }
})

export const receiptsCommand = group('receipts', 'proofs that data stands elsewhere', [verify])
