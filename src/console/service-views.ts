import { z } from 'zod'
import { RIGHTS } from '../membership/groups.ts'
import { SCOPES } from '../routing/neighbours.ts'
import { LEVELS } from '../wire/control.ts'
import { count, labels, text, time, type View } from './view-parts.ts'

export const serviceView = z.object({
  name: text,
  route: text,
  scope: z.enum(SCOPES).describe('who has a workspace: each user, each group, or the service as a whole'),
  acknowledge: z.enum(LEVELS).describe('when a change is answered'),
  version: text,
  needs: labels.describe('that an instance must have'),
  writers: text.nullable().describe('the group whose members may change the workspace of the whole service; null: all'),
  workspaces: count,
  instances: count.describe('that offer it in a compatible version and have what it needs'),
  warnings: z.array(text).describe('what keeps it from being safe, for people')
})
export type ServiceView = View<typeof serviceView>

export const groupView = z.object({
  name: text,
  createdAt: time,
  members: z.array(z.object({ user: text, rights: z.enum(RIGHTS) })),
  workspaces: count
})
export type GroupView = View<typeof groupView>
