import { aborted } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { Access } from './access.ts'
import { repairRecord } from './damage.ts'
import type { VerifyOptions, VerifyReport } from './repository.ts'
import * as rows from './rows.ts'

const BATCH_BLOCKS = 256
const DAMAGED_TOLD = 1000

interface Batch {
  readonly blocks: number
  readonly bytes: number
  readonly damaged: readonly string[]
  readonly repaired: number
  /** The key of the last one; null at the end. */
  readonly last: string | null
}

/** See `MainRepository.verify`. Blocks are read in the order of their names. */
export async function verify(access: Access, options: VerifyOptions): Promise<VerifyReport> {
  const { maxBytes, signal, onProgress } = options
  if (maxBytes !== undefined && !(maxBytes > 0)) throw new NodeDaemonError('BAD_REQUEST', 'a share has some bytes')
  await access.writing(({ shelf }) => shelf.settle())
  const begin = maxBytes === undefined ? '' : await savedPlace(access)
  const total = { blocks: 0, bytes: 0, repaired: 0 }
  const damaged: string[] = []
  let after: string | null = begin
  let wrapped = begin === ''
  while (after !== null && total.bytes < (maxBytes ?? Number.POSITIVE_INFINITY)) {
    if (signal?.aborted) throw aborted(signal)
    const batch: Batch = await verifyBatch(access, after, {
      until: wrapped && begin !== '' ? begin : null,
      bytes: (maxBytes ?? Number.POSITIVE_INFINITY) - total.bytes
    })
    total.blocks += batch.blocks
    total.bytes += batch.bytes
    total.repaired += batch.repaired
    damaged.push(...batch.damaged.slice(0, DAMAGED_TOLD - damaged.length))
    onProgress?.({ blocks: total.blocks, bytes: total.bytes })
    after = batch.last
    if (maxBytes !== undefined) await savePlace(access, after ?? '')
    if (after === null && !wrapped) {
      wrapped = true
      after = ''
    }
  }
  return { ...total, damaged }
}

function verifyBatch(
  access: Access,
  after: string,
  bounds: { readonly until: string | null; readonly bytes: number }
): Promise<Batch> {
  return access.writing(async (parts) => {
    const { shelf, level } = parts
    const damaged: string[] = []
    const sum = { blocks: 0, bytes: 0, repaired: 0 }
    let last: string | null = null
    const range = { prefix: rows.BLOCK_ROWS, limit: BATCH_BLOCKS, ...(after !== '' && { after }) }
    for await (const [key, row] of level.entries(range)) {
      if (sum.bytes >= bounds.bytes) break
      if (bounds.until !== null && key > bounds.until) return { ...sum, damaged, last: null }
      const cid = rows.cidOfBlockKey(key)
      if ((await shelf.read(cid)) === null) {
        if (await repairRecord(parts, cid)) sum.repaired++
        else damaged.push(cid.toString())
      }
      sum.blocks++
      sum.bytes += rows.decodeLocation(row).length
      last = key
    }
    return { ...sum, damaged, last }
  })
}

async function savedPlace(access: Access): Promise<string> {
  const row = await access.reading(({ level }) => level.get(rows.VERIFIED_KEY))
  return row === null ? '' : Buffer.from(row).toString()
}

async function savePlace(access: Access, place: string): Promise<void> {
  const put = [[rows.VERIFIED_KEY, Buffer.from(place)]] as const
  await access.writing(({ level }) => level.write({ put }, { durable: false }))
}
