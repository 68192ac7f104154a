import type { z } from 'zod'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { ControlChange, ControlStore } from '../store/control-store.ts'

/** A value of the control store as JSON. */
export const toDocument = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value), 'utf8')

/** @throws NodeDaemonError `INTEGRITY` when the bytes are not what this program wrote under that key */
export function fromDocument<T>(schema: z.ZodType<T>, key: string, bytes: Uint8Array): T {
  try {
    return schema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
  } catch (error) {
    throw new NodeDaemonError('INTEGRITY', `"${key}" in the control store cannot be read: ${messageOf(error)}`, {
      advice: "put the coordinator's state folder back from a backup",
      cause: error
    })
  }
}

/** Everything below a prefix. Same errors. */
export async function loadDocuments<T>(store: ControlStore, prefix: string, schema: z.ZodType<T>): Promise<T[]> {
  const found: T[] = []
  for await (const { key, value } of store.list(prefix)) found.push(fromDocument(schema, key, value))
  return found
}

/** Changes by the one part that owns a key, made one after the other: nothing else can have changed it. */
export const putOwn = (key: string, value: unknown): ControlChange => ({
  kind: 'put',
  key,
  value: toDocument(value),
  ifRevision: 'any'
})

export const removeOwn = (key: string): ControlChange => ({ kind: 'remove', key, ifRevision: 'any' })
