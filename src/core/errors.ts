/**
 * The one table of errors. A code is stable; a text is not. Each code is translated at the edges (command line, HTTP)
 * by the numbers that stand here, and crosses the wire as its name.
 */
export const ERRORS = {
  UNEXPECTED: { exit: 1, http: 500 },
  BAD_USAGE: { exit: 2, http: 400 },
  BAD_CONFIG: { exit: 2, http: 400 },
  BAD_REQUEST: { exit: 2, http: 400 },
  DATA_FOLDER_IN_USE: { exit: 2, http: 409 },
  DATA_FOLDER_UNUSABLE: { exit: 2, http: 500 },
  DATA_FOLDER_NEWER: { exit: 2, http: 500 },
  PORT_IN_USE: { exit: 2, http: 500 },
  NAME_TAKEN: { exit: 2, http: 409 },
  CODE_REQUIRED: { exit: 2, http: 400 },
  NOT_FOUND: { exit: 3, http: 404 },
  AMBIGUOUS: { exit: 3, http: 409 },
  NOT_RUNNING: { exit: 5, http: 503 },
  UNAUTHENTICATED: { exit: 4, http: 401 },
  FORBIDDEN: { exit: 4, http: 403 },
  NOT_A_MEMBER: { exit: 4, http: 403 },
  DENIED: { exit: 4, http: 403 },
  REVOKED: { exit: 4, http: 403 },
  TERMS_NOT_ACCEPTED: { exit: 4, http: 403 },
  REFUSED_BY_POLICY: { exit: 4, http: 409 },
  OUT_OF_REACH: { exit: 5, http: 502 },
  TIMED_OUT: { exit: 5, http: 504 },
  BUSY: { exit: 5, http: 503 },
  CLOSED: { exit: 5, http: 503 },
  INCOMPLETE: { exit: 6, http: 409 },
  INTEGRITY: { exit: 7, http: 500 },
  BAD_SIGNATURE: { exit: 7, http: 400 },
  WRONG_COORDINATOR: { exit: 7, http: 400 },
  ROLLBACK: { exit: 7, http: 409 },
  NO_SPACE: { exit: 1, http: 507 },
  TOO_LARGE: { exit: 2, http: 413 },
  PROTOCOL_VIOLATION: { exit: 1, http: 502 },
  STALE_EPOCH: { exit: 4, http: 409 },
  SEALED: { exit: 4, http: 409 },
  NOT_HOME: { exit: 4, http: 421 },
  CONFLICT: { exit: 1, http: 409 },
  ILLEGAL_TRANSITION: { exit: 4, http: 409 },
  ABORTED: { exit: 130, http: 499 }
} as const

export type ErrorCode = keyof typeof ERRORS

/** An error that a caller may act on: its code says what kind, `advice` what a person can do. */
export class NodeDaemonError extends Error {
  override readonly name = 'NodeDaemonError'
  readonly code: ErrorCode
  /** One line that says what to do. */
  readonly advice: string | undefined
  readonly data: Readonly<Record<string, unknown>> | undefined

  constructor(
    code: ErrorCode,
    message: string,
    options: { advice?: string; cause?: unknown; data?: Readonly<Record<string, unknown>> } = {}
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.advice = options.advice
    this.data = options.data
  }
}

export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(ERRORS, text)

/** The code of any thrown value; `UNEXPECTED` for what is not ours. */
export function codeOf(error: unknown): ErrorCode {
  if (error instanceof NodeDaemonError) return error.code
  if (error instanceof Error && error.name === 'AbortError') return 'ABORTED'
  return 'UNEXPECTED'
}

/** The message of any thrown value, on one line. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, ' ')
}

/** Is this one of ours, with one of these codes? */
export function hasCode(error: unknown, ...codes: readonly ErrorCode[]): error is NodeDaemonError {
  return error instanceof NodeDaemonError && codes.includes(error.code)
}
