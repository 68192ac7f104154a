import { z } from 'zod'
import { NodeDaemonError } from '../core/errors.ts'
import { type GroupName, isGroupName, isServiceName, type ServiceName } from '../core/ids.ts'
import { parse } from '../core/parse.ts'
import { isComparable } from '../placement/offers.ts'
import { type AcknowledgeLevel, isServiceVersion, LEVELS } from '../wire/control.ts'
import { checkedLabels } from '../wire/membership.ts'
import { SCOPES, type ServiceScope } from './neighbours.ts'
import { parseRoute, routeText } from './service-route.ts'

/** What of a declared service may be changed later. */
export interface ServiceTerms {
  /** See `parseRoute`. */
  readonly route: string
  /** Null: as the coordinator is set, at each of its starts. */
  readonly acknowledge: AcknowledgeLevel | null
  /** Of the app: instances offer it in a version that is compatible with this one. */
  readonly version: string
  /** Labels that an instance must have to run it. */
  readonly needs: Readonly<Record<string, string>>
  /** The group whose members with the right to write may change the workspace of the whole service. Null: all users. */
  readonly writers: string | null
}

/** What is not named stays. */
export type TermsChange = { readonly [Term in keyof ServiceTerms]?: ServiceTerms[Term] | undefined }

/** A service as an admin declares it. */
export interface NewService extends ServiceTerms {
  readonly name: string
  /** It stays for ever: whoever has workspaces by one scope would not find them by another. */
  readonly scope: ServiceScope
}

export const declarationSchema = z.object({
  name: z.custom<ServiceName>((value) => typeof value === 'string' && isServiceName(value)),
  route: z.string(),
  scope: z.enum(SCOPES).default('user'),
  acknowledge: z.enum(LEVELS).nullable(),
  version: z.string(),
  needs: z.record(z.string(), z.string()).default({}),
  writers: z
    .custom<GroupName>((value) => typeof value === 'string' && isGroupName(value))
    .nullable()
    .default(null)
})

/** A service as it is kept. */
export type Declaration = z.infer<typeof declarationSchema>

/** @throws NodeDaemonError `BAD_USAGE` for a bad name, route, version, label or group, or writers of another scope */
export function checkedDeclaration(service: NewService): Declaration {
  const { name, scope, acknowledge, version, writers } = service
  const route = routeText(parseRoute(service.route))
  if (!isServiceName(name)) throw bad('name of a service', name, 'use 1 to 40 of a-z 0-9 -')
  if (!isServiceVersion(version) || !isComparable(version)) {
    throw bad('version', version, 'begin with a number, which tells what is compatible: 2.4.1')
  }
  if (writers !== null && !isGroupName(writers)) throw bad('name of a group', writers, 'use 1 to 40 of a-z 0-9 -')
  if (writers !== null && scope !== 'service') {
    throw new NodeDaemonError('BAD_USAGE', 'writers are named where the whole service is one workspace only', {
      advice: scope === 'group' ? 'say with "groups grant" who may write' : 'leave it out, or declare --scope service'
    })
  }
  return { name, route, scope, acknowledge, version, needs: checkedNeeds(service.needs), writers }
}

function checkedNeeds(needs: ServiceTerms['needs']): ServiceTerms['needs'] {
  try {
    return checkedLabels(new Map(Object.entries(needs)))
  } catch (error) {
    throw new NodeDaemonError('BAD_USAGE', 'that is not what a label can be', {
      advice: 'write what a service needs like gpu=yes, each key and value up to 63 characters',
      cause: error
    })
  }
}

const bad = (what: string, text: string, advice: string): NodeDaemonError =>
  new NodeDaemonError('BAD_USAGE', `"${parse.line(text, 80)}" cannot be the ${what}`, { advice })
