import { ERRORS, type ErrorCode, messageOf, NodeDaemonError } from '../../core/errors.ts'

/** HTTP statuses with which the files app says no, and the code of the table that each stands for. */
const CODES = {
  400: 'BAD_REQUEST',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  405: 'CONFLICT',
  409: 'CONFLICT',
  412: 'CONFLICT',
  413: 'TOO_LARGE',
  414: 'BAD_REQUEST',
  415: 'BAD_REQUEST',
  416: 'BAD_REQUEST',
  423: 'CONFLICT',
  499: 'ABORTED',
  500: 'UNEXPECTED',
  502: 'BAD_REQUEST',
  503: 'BUSY',
  507: 'NO_SPACE'
} as const satisfies Record<number, ErrorCode>

export type RefusalStatus = keyof typeof CODES

/** A request that is not carried out, with the status that HTTP has for the reason. Nothing was changed. */
export class Refusal extends NodeDaemonError {
  readonly status: RefusalStatus

  constructor(status: RefusalStatus, message: string, cause?: unknown) {
    super(CODES[status], message, { cause })
    this.status = status
  }
}

const DISK_FULL: readonly [RefusalStatus, string] = [507, 'there is no room left on the disk; nothing was changed']
const OVERLOADED: readonly [RefusalStatus, string] = [503, 'this server is at its limits; try again in a moment']
const NOT_ALLOWED: readonly [RefusalStatus, string] = [403, 'this server may not do that with this file']

/** What the system's error numbers mean to somebody who works with files. */
const SYSTEM: Readonly<Record<string, readonly [RefusalStatus, string]>> = {
  ENOSPC: DISK_FULL,
  EDQUOT: DISK_FULL,
  EFBIG: DISK_FULL,
  EMFILE: OVERLOADED,
  ENFILE: OVERLOADED,
  EAGAIN: OVERLOADED,
  ENOMEM: OVERLOADED,
  EBUSY: OVERLOADED,
  EROFS: [503, 'the disk of this server takes no changes at the moment'],
  ENOENT: [404, 'there is no such file or folder'],
  ENOTDIR: [409, 'a part of this path is a file, not a folder'],
  EISDIR: [409, 'this is a folder, not a file'],
  ENOTEMPTY: [409, 'the folder was changed meanwhile; try again'],
  EEXIST: [409, 'there is something of that name already'],
  ENAMETOOLONG: [400, 'this name or path is too long'],
  EINVAL: [400, 'this name cannot be used'],
  EILSEQ: [400, 'this name cannot be used'],
  ELOOP: [403, 'links are not followed'],
  EACCES: NOT_ALLOWED,
  EPERM: NOT_ALLOWED
}

/** Did a system call fail, and with which number? */
export function systemCode(error: unknown): string | null {
  return error instanceof Error && 'syscall' in error && 'code' in error ? String(error.code) : null
}

const CUT: readonly unknown[] = ['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE']
const isCut = (error: unknown): boolean => error instanceof Error && 'code' in error && CUT.includes(error.code)

/** The refusal that stands for any thrown value. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  const code = systemCode(error)
  if (isCut(error)) return new Refusal(499, 'the connection was cut', error)
  const known = code === null ? undefined : SYSTEM[code]
  if (known !== undefined) return new Refusal(known[0], known[1], error)
  if (code !== null) return new Refusal(500, `the disk reported ${code}`, error)
  if (!(error instanceof NodeDaemonError)) return new Refusal(500, 'something unexpected went wrong', error)
  const status = ERRORS[error.code].http
  const text = error.advice === undefined ? messageOf(error) : `${messageOf(error)}\n${error.advice}`
  return new Refusal(status in CODES ? (status as RefusalStatus) : 503, text, error)
}
