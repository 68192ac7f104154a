import type { Exchange } from './exchange.ts'
import { Refusal } from './refusal.ts'
import type { Reply } from './reply.ts'

const TOKEN = /^<([^<>]{1,200})>$/

/** Gives up a lock in whose scope the path is. */
export async function unlock({ request, remembered, target, context }: Exchange): Promise<Reply> {
  const token = TOKEN.exec(String(request.headers['lock-token'] ?? '').trim())?.[1]
  if (token === undefined) throw new Refusal(400, 'the Lock-Token header is missing or is no token')
  const lock = remembered.locks.find(target.path, token)
  if (lock === null) return NO_SUCH_LOCK
  if (lock.user !== context.user) throw new Refusal(403, 'this lock belongs to somebody else')
  remembered.locks.remove(lock)
  return { status: 204 }
}

/** RFC 4918, section 9.11.1. */
const NO_SUCH_LOCK: Reply = {
  status: 409,
  headers: { 'Content-Type': 'application/xml; charset=utf-8' },
  body: '<?xml version="1.0" encoding="UTF-8"?><error xmlns="DAV:"><lock-token-matches-request-uri/></error>'
}
