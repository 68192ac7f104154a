import { z } from 'zod'
import { count, text, time, type View } from './view-parts.ts'

export const ROLES = ['metrics', 'viewer', 'operator', 'admin'] as const
/** What an admin may do; each role may do what those before it may. */
export type Role = (typeof ROLES)[number]

export const userView = z.object({
  name: text,
  blocked: z.boolean(),
  createdAt: time,
  workspaces: count,
  quotaBytes: count,
  source: text.describe('token, sign-on, the name of a sign-in provider, or guest')
})
export type UserView = View<typeof userView>

export const newUserView = z.object({ name: text, token: text.describe('shown once') })
export type NewUserView = View<typeof newUserView>

export const adminView = z.object({ name: text, role: z.enum(ROLES), createdAt: time })
export type AdminView = View<typeof adminView>

export const newAdminView = z.object({ name: text, role: z.enum(ROLES), token: text.describe('shown once') })
export type NewAdminView = View<typeof newAdminView>

export const consoleLinkView = z.object({ link: text.describe('good for one sign-in'), expiresAt: time })
export type ConsoleLinkView = View<typeof consoleLinkView>
