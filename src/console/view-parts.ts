import { z } from 'zod'
import { MEMBER_ROLES } from '../core/records.ts'
import { ROUTE_KINDS } from '../wire/ingress.ts'

type Frozen<T> = T extends readonly (infer Item)[]
  ? readonly Frozen<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: Frozen<T[Key]> }
    : T
/** The value that a schema describes, deeply read-only. */
export type View<Schema extends z.ZodType> = Frozen<z.infer<Schema>>

export const count = z.int().min(0)
export const bytes = z.int().min(0)
export const durationMs = z.number().min(0)
export const time = z.string().describe('RFC 3339')
export const text = z.string()
export const labels = z.record(z.string(), z.string())
export const progress = z.object({ done: count, total: count })
/** An instance serves workspaces; a front door lets users in. */
export const peerRole = z.enum(MEMBER_ROLES)

/** How users' requests reach an instance that offers more than the tunnel. */
export const routeView = z.object({
  asked: z.enum(ROUTE_KINDS),
  url: text,
  inUse: z.enum(ROUTE_KINDS),
  reason: text.nullable().describe('why another route is in use than was asked for')
})

/** How an instance stands with its coordinator. */
export const coordinatorLink = z.object({
  peerId: text.nullable(),
  federation: text.nullable(),
  connected: z.boolean(),
  by: z.enum(['tcp', 'websocket']).nullable()
})
