import { NodeDaemonError } from '../core/errors.ts'
import { cidBytes, parse } from '../core/parse.ts'
import type { Order, ReportOrder } from './control.ts'
import type { ToInstance as RawToInstance } from './generated/control.ts'
import { unknownKind } from './protocol.ts'

const SECRET_BYTES = 32

function secretOf(bytes: Uint8Array): Uint8Array {
  if (bytes.length === SECRET_BYTES) return bytes
  throw new NodeDaemonError('BAD_REQUEST', 'a record or message has a bad secret')
}

const own = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => bytes as Uint8Array<ArrayBuffer>

export function encodeOrder(order: Order | ReportOrder): Omit<NonNullable<RawToInstance['order']>, 'id'> {
  switch (order.kind) {
    case 'assume':
      return { assume: own(order.ownership), ...(order.secret === undefined ? {} : { secret: own(order.secret) }) }
    case 'follow':
      return { follow: own(order.ownership) }
    case 'freeze':
      return { freeze: order.workspace }
    case 'thaw':
      return { thaw: own(order.ownership) }
    case 'release':
      return { release: own(order.ownership) }
    case 'restore':
      return { restore: { workspace: order.workspace, root: cidBytes(order.root), base: cidBytes(order.base) } }
    case 'report':
      return { report: order.after ?? '' }
  }
}

export function decodeOrder(raw: NonNullable<RawToInstance['order']>): Order | ReportOrder {
  if (raw.assume !== undefined) {
    return {
      kind: 'assume',
      ownership: raw.assume,
      ...(raw.secret === undefined ? {} : { secret: secretOf(raw.secret) })
    }
  }
  if (raw.follow !== undefined) return { kind: 'follow', ownership: raw.follow }
  if (raw.freeze !== undefined) return { kind: 'freeze', workspace: parse.workspace(raw.freeze) }
  if (raw.thaw !== undefined) return { kind: 'thaw', ownership: raw.thaw }
  if (raw.release !== undefined) return { kind: 'release', ownership: raw.release }
  if (raw.restore !== undefined) {
    const { workspace, root, base } = raw.restore
    return { kind: 'restore', workspace: parse.workspace(workspace), root: parse.cid(root), base: parse.cid(base) }
  }
  if (raw.report !== undefined) {
    return { kind: 'report', after: raw.report === '' ? null : parse.workspace(raw.report) }
  }
  throw unknownKind()
}
