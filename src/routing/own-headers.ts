import type { Claim } from './claim.ts'
import type { Client } from './client.ts'
import type { Visitor } from './identify.ts'
import type { ServiceRoute } from './neighbours.ts'

/** The lines that an instance may believe. */
export function addOwnHeaders(
  lines: string[],
  from: {
    readonly client: Client
    readonly service: ServiceRoute
    readonly visitor: Visitor
    readonly claim: Claim
  }
): void {
  const { client, service, visitor, claim } = from
  lines.push(
    'x-node-daemon-service',
    service.name,
    'x-forwarded-for',
    client.addresses,
    'x-forwarded-proto',
    client.scheme,
    'x-forwarded-host',
    client.host
  )
  if (claim.prefix !== '') lines.push('x-forwarded-prefix', claim.prefix)
  if (service.scope !== 'user') lines.push('x-workspace-rights', claim.rights)
  if (visitor.user !== null) lines.push('x-remote-user', visitor.user)
}
