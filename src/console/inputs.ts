import { z } from 'zod'
import { RIGHTS } from '../membership/groups.ts'
import { SCOPES } from '../routing/neighbours.ts'
import { HOURS_MAX } from '../sync/limit-schedule.ts'
import { LEVELS } from '../wire/control.ts'
import { limitHours, ROLES } from './views.ts'

/** What the API accepts. Every text, number and list has its bound here, before anything else sees it. */

const DAY_MS = 24 * 60 * 60 * 1000
const NAME_MAX = 64
const SUBJECT_MAX = 255
const REASON_MAX = 500
const LABELS_MAX = 32
/** A path parameter: a name, an id, or the start of one. */
const TARGET_MAX = 128

const line = (max: number): z.ZodString =>
  z
    .string()
    .min(1, 'must not be empty')
    .max(max, `may have ${max} characters`)
    .regex(/^\P{Cc}*$/u, 'must not hold control characters')
const milliseconds = (max: number): z.ZodInt => z.int().min(0).max(max)
const bytes = z.int().min(0).nullable()
const labelKey = line(NAME_MAX)
const labels = <Value extends z.ZodType>(value: Value) =>
  z.record(labelKey, value).refine((given) => Object.keys(given).length <= LABELS_MAX, `at most ${LABELS_MAX} labels`)

export const target = line(TARGET_MAX)
export const nothing = z.strictObject({})

export const approval = z.strictObject({ code: line(NAME_MAX).optional(), name: line(NAME_MAX).optional() })
export const reason = z.strictObject({
  reason: z
    .string()
    .max(REASON_MAX)
    .regex(/^\P{Cc}*$/u, 'must not hold control characters')
    .default('')
})
export const relabel = z.strictObject({ labels: labels(line(128).nullable()) })
export const drain = z.strictObject({
  deadlineMs: milliseconds(30 * DAY_MS).optional(),
  to: target.optional(),
  toRepository: z.boolean().optional(),
  at: z.iso.datetime({ offset: true }).optional().describe('not now, but then'),
  plan: z.boolean().optional()
})
export const instanceDrain = drain.extend({
  keepMs: milliseconds(365 * DAY_MS).optional()
})
export const leave = z.strictObject({ deadlineMs: milliseconds(30 * DAY_MS).optional() })
export const invite = z.strictObject({
  expiresMs: z
    .int()
    .min(60_000)
    .max(365 * DAY_MS)
    .optional(),
  uses: z.int().min(1).max(10_000).optional(),
  labels: labels(line(128)).optional()
})
export const move = z.strictObject({ to: target })
/** With `provider` and `subject`, the user signs in there and has no token. */
export const newUser = z.strictObject({
  name: line(NAME_MAX),
  provider: line(NAME_MAX).optional(),
  subject: z.string().min(1).max(SUBJECT_MAX).optional()
})
export type NewUser = z.infer<typeof newUser>
export const block = z.strictObject({ blocked: z.boolean() })
export const quota = z.strictObject({ quotaBytes: bytes.describe('null: as everybody') })
export const newService = z.strictObject({
  name: line(NAME_MAX),
  route: line(300).describe('/prefix or host:NAME'),
  acknowledge: z.enum(LEVELS).optional().describe('as the coordinator is set, where it is left out'),
  version: line(NAME_MAX).optional(),
  scope: z.enum(SCOPES).optional(),
  needs: labels(line(128)).optional(),
  writers: line(NAME_MAX).optional().describe('a group')
})
export const serviceChange = z.strictObject({
  route: line(300).optional(),
  acknowledge: z.enum(LEVELS).nullable().optional().describe('null: as the coordinator is set'),
  version: line(NAME_MAX).optional(),
  needs: labels(line(128)).optional().describe('in the place of those of before'),
  writers: line(NAME_MAX).nullable().optional()
})
export const newGroup = z.strictObject({ name: line(NAME_MAX) })
export const grant = z.strictObject({ user: line(NAME_MAX), rights: z.enum(RIGHTS) })
export const revocation = z.strictObject({ user: line(NAME_MAX) })
export const newAdmin = z.strictObject({ name: line(NAME_MAX), role: z.enum(ROLES) })
export const settings = z.strictObject({
  uploadLimit: bytes.optional(),
  uploadHours: z.array(limitHours).max(HOURS_MAX).optional(),
  downloadLimit: bytes.optional(),
  downloadHours: z.array(limitHours).max(HOURS_MAX).optional(),
  capacity: bytes.optional()
})
/** Of a URL's query, where everything is text. */
export const auditRange = z.strictObject({ limit: z.coerce.number().int().min(1).max(10_000).default(100) })
export const workspaceSearch = z.strictObject({
  search: z.string().max(TARGET_MAX).default(''),
  after: z.string().max(TARGET_MAX).default(''),
  limit: z.coerce.number().int().min(1).max(100_000).default(100_000)
})
const PATH_MAX = 4096
/** Which head of a workspace is meant; none of them: the newest. */
const moment = {
  at: z.iso.datetime({ offset: true }).optional().describe('the newest head that is not later'),
  sequence: z.coerce.number().int().min(1).optional(),
  head: z
    .string()
    .min(1)
    .max(TARGET_MAX)
    .optional()
    .describe('its CID, or an unambiguous start of it; also of a diverged one')
}
const path = z
  .string()
  .max(PATH_MAX)
  .refine((text) => !text.includes('\0'), 'must not hold NUL')
  .default('')
export const historyRange = z.strictObject({ limit: z.coerce.number().int().min(1).max(10_000).default(1000) })
export const snapshotAt = z.strictObject({ ...moment, path })
export const verifyOrder = z.strictObject({
  maxBytes: z.int().min(1).optional().describe('read only the next share, of this many bytes')
})
export const rebalance = z.strictObject({ plan: z.boolean().optional() })
export const gcOrder = z.strictObject({
  full: z.boolean().default(false).describe('rewrite every pack with anything to give back')
})
export const signIn = z.union([
  z.strictObject({ token: z.string().min(1).max(256) }),
  z.strictObject({ link: z.string().min(1).max(256) })
])

export type Approval = z.infer<typeof approval>
export type Relabel = z.infer<typeof relabel>
export type DrainOrder = z.infer<typeof drain>
export type InstanceDrainOrder = z.infer<typeof instanceDrain>
export type LeaveOrder = z.infer<typeof leave>
export type InviteOrder = z.infer<typeof invite>
export type ServiceOrder = z.infer<typeof newService>
export type ServiceChange = z.infer<typeof serviceChange>
export type Grant = z.infer<typeof grant>
export type NewAdmin = z.infer<typeof newAdmin>
export type SettingsChange = z.infer<typeof settings>
export type SnapshotAt = z.infer<typeof snapshotAt>
export type VerifyOrder = z.infer<typeof verifyOrder>
export type RebalanceOrder = z.infer<typeof rebalance>
export type GcOrder = z.infer<typeof gcOrder>
export type WorkspaceSearch = z.infer<typeof workspaceSearch>
