import { NodeDaemonError } from '../core/errors.ts'
import { parse } from '../core/parse.ts'
import { Report as RawReport } from './generated/control.ts'
import { unknownKind, type WireCodec, wireCodec } from './protocol.ts'

export const REPORT_LIMITS = {
  /** Workspaces of one page. */
  workspacesMax: 500,
  /** A page ends with the workspace that brings its records to so many bytes. */
  pageBytes: 1024 * 1024
} as const

const ROLES = ['home', 'standby', 'kept'] as const

export interface ReportedWorkspace {
  /** The newest ownership record that the instance applied, as the coordinator signed it. */
  readonly ownership: Uint8Array
  /** The newest head that it published or applied, as its writer signed it; null before the first. */
  readonly head: Uint8Array | null
  /** The repository's receipt for that head, where it was published from here; null: there is none. */
  readonly receipt: Uint8Array | null
  readonly role: (typeof ROLES)[number]
}

/** What a coordinator has signed for an instance: the answer to its order `report`, in pages. */
export interface Report {
  /** On the first page only; null where it has none. */
  readonly certificate: Uint8Array | null
  readonly memberList: Uint8Array | null
  /** By id, rising. */
  readonly workspaces: readonly ReportedWorkspace[]
  /** Another page follows after the last of these workspaces. */
  readonly more: boolean
}

const own = (bytes: Uint8Array | null): Uint8Array<ArrayBuffer> => new Uint8Array(bytes ?? [])
const orNull = (bytes: Uint8Array): Uint8Array | null => (bytes.length === 0 ? null : bytes)

export const reportCodec: WireCodec<Report> = wireCodec(
  ({ certificate, memberList, workspaces, more }) =>
    RawReport.encode({
      certificate: own(certificate),
      memberList: own(memberList),
      workspaces: workspaces.map(({ ownership, head, receipt, role }) => ({
        ownership: own(ownership),
        head: own(head),
        receipt: own(receipt),
        role
      })),
      ...(more ? { more } : { last: true })
    }),
  (frame) => {
    const raw = RawReport.decode(frame)
    const more = raw.more === true
    if (!more && raw.last !== true) throw unknownKind()
    if (more && raw.workspaces.length === 0) {
      throw new NodeDaemonError('PROTOCOL_VIOLATION', 'an empty page that is not the last one')
    }
    return {
      certificate: orNull(raw.certificate),
      memberList: orNull(raw.memberList),
      workspaces: raw.workspaces.map(({ ownership, head, receipt, role }) => ({
        ownership,
        head: orNull(head),
        receipt: orNull(receipt),
        role: parse.word(role, ROLES, 'role')
      })),
      more
    }
  }
)
