import type { IncomingMessage } from 'node:http'
import { setsSession } from '../../wire/cookies.ts'
import { connectionNames, HOP_BY_HOP, type RawHeaders } from '../../wire/http.ts'
import type { AppRequestContext } from '../app.ts'

const isOurs = (name: string): boolean => name.startsWith('x-workspace-') || name.startsWith('x-node-daemon-')

/** The lines of a request for an app: what the front door let pass, and where the user's files are. */
export function requestLines(request: IncomingMessage, { workspace, folder }: AppRequestContext): string[] {
  const lines = kept(request.rawHeaders, request.headers.connection, (name) => name !== 'expect' && !isOurs(name))
  if (request.headers['transfer-encoding'] !== undefined) lines.push('transfer-encoding', 'chunked')
  if (workspace !== null) lines.push('x-workspace-id', workspace, 'x-workspace-dir', folder)
  return lines
}

/**
 * The lines of an app's answer for the user. What an instance says to the front door, who it is, and the sessions of users are
 * not for an app to say: past the front door nobody else would take it out.
 */
export const answerLines = (incoming: IncomingMessage): string[] =>
  kept(
    incoming.rawHeaders,
    incoming.headers.connection,
    (name, value) =>
      !name.startsWith('x-node-daemon-') && name !== 'x-served-by' && !(name === 'set-cookie' && setsSession(value))
  )

/** Is it plain where the answer ends? An encoding that we cannot undo would reach the user without its name. */
export const isFramed = ({ headers }: IncomingMessage): boolean =>
  (headers['transfer-encoding'] ?? 'chunked').toLowerCase() === 'chunked'

function kept(
  raw: RawHeaders,
  connection: string | undefined,
  wanted: (name: string, value: string) => boolean
): string[] {
  const named = connectionNames(connection)
  const lines: string[] = []
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? ''
    const value = raw[index + 1] ?? ''
    const lower = name.toLowerCase()
    if (!HOP_BY_HOP.has(lower) && !named?.has(lower) && wanted(lower, value)) lines.push(name, value)
  }
  return lines
}

/** Does the header section announce a body? */
export const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0

export function trailerPairs(raw: RawHeaders): [string, string][] {
  const pairs: [string, string][] = []
  for (let index = 0; index + 1 < raw.length; index += 2) pairs.push([raw[index] ?? '', raw[index + 1] ?? ''])
  return pairs
}
