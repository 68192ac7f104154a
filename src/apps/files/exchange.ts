import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { Clock } from '../../core/clock.ts'
import { messageOf, NodeDaemonError } from '../../core/errors.ts'
import type { Logger } from '../../core/log.ts'
import type { KeyedMutex } from '../../core/mutex.ts'
import type { AppRequestContext } from '../app.ts'
import { isUnchanged } from './conditions.ts'
import { holds, parseIf, type ResourceState, submittedTokens } from './if-header.ts'
import type { FilesLimits } from './limits.ts'
import type { Reach } from './locks.ts'
import type { Remembered } from './memory.ts'
import { type FilePath, parseTarget, type Target } from './path.ts'
import { Refusal } from './refusal.ts'
import type { Staging, Stamps } from './staging.ts'
import { type Found, lookup } from './tree.ts'

/** What all requests share. */
export interface Services {
  readonly clock: Clock
  readonly log: Logger
  readonly limits: FilesLimits
  readonly staging: Staging
  readonly stamps: Stamps
  /** One change of a workspace at a time, each from its last check to its rename; never held while a body arrives. */
  readonly commits: KeyedMutex<string>
}

/** One request on its way through the app. */
export interface Exchange extends Services {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly context: AppRequestContext
  readonly target: Target
  readonly remembered: Remembered
}

export const diskPath = ({ context }: Exchange, path: FilePath): string => join(context.folder, path)

/** Runs the last checks and the change itself with no other change of the workspace in between. */
export function commit<T>(exchange: Exchange, work: () => Promise<T>): Promise<T> {
  return exchange.commits.run(exchange.context.folder, async () => {
    requirePresence(exchange)
    return work()
  })
}

/** A client that is gone changes nothing any more. */
export function requirePresence({ response }: Exchange): void {
  if (response.destroyed) throw new Refusal(499, 'the connection was cut')
}

/**
 * Checks that a change of what was found is wanted (conditional headers, If header) and allowed (locks).
 *
 * @throws Refusal 412 or 423
 */
export async function admit(exchange: Exchange, found: Found, reach: Reach): Promise<void> {
  await requireConditions(exchange, found)
  requireUnlocked(exchange, found.path, reach)
}

/** @throws Refusal 412 */
export async function requireConditions(exchange: Exchange, found: Found): Promise<void> {
  isUnchanged(exchange.request.headers, found, false)
  await requireIf(exchange)
}

export async function requireIf(exchange: Exchange): Promise<void> {
  const header = exchange.request.headers.if
  if (header === undefined) return
  const stateOf = (resource: string | null): Promise<ResourceState> => stateOfResource(exchange, resource)
  if (!(await holds(parseIf(String(header)), stateOf))) throw new Refusal(412, 'the If header does not hold')
}

async function stateOfResource(exchange: Exchange, resource: string | null): Promise<ResourceState> {
  const path = resource === null ? exchange.target.path : pathOrNull(exchange, resource)
  if (path === null) return { etag: null, tokens: new Set() }
  const found = await lookup(exchange.context, path)
  return { etag: found.kind === 'absent' ? null : found.etag, tokens: exchange.remembered.locks.tokensOn(path) }
}

function pathOrNull({ context }: Exchange, resource: string): FilePath | null {
  try {
    return parseTarget(resource, context.base).path
  } catch (error) {
    if (error instanceof Refusal) return null
    throw error
  }
}

/** @throws Refusal 423 */
export function requireUnlocked({ remembered, request, context }: Exchange, path: FilePath, reach: Reach): void {
  if (remembered.locks.empty) return
  const header = request.headers.if
  const tokens = header === undefined ? new Set<string>() : submittedTokens(parseIf(String(header)))
  remembered.locks.require(path, reach, context.user, tokens)
}

/**
 * Waits until a change is acknowledged.
 *
 * @throws Refusal 503 where it cannot be; it stays on this server's disk
 */
export async function acknowledge(exchange: Exchange, paths: readonly FilePath[]): Promise<void> {
  try {
    await exchange.context.wrote(paths)
  } catch (error) {
    const reason = error instanceof NodeDaemonError ? messageOf(error) : 'it could not be saved elsewhere'
    const text = `not saved safely yet: ${reason}\nthe change is kept on this server and is saved as soon as possible`
    throw new Refusal(503, text, error)
  }
}
