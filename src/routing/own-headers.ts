import type { Client } from './client.ts'
import type { Visitor } from './identify.ts'
import type { ServiceRoute } from './neighbours.ts'

/** The lines that an instance may believe. */
export function addOwnHeaders(
  lines: string[],
  from: { readonly client: Client; readonly service: ServiceRoute; readonly visitor: Visitor }
): void {
  const { client, service, visitor } = from
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
  if (service.route.kind === 'path' && service.route.prefix !== '') {
    lines.push('x-forwarded-prefix', service.route.prefix)
  }
  if (visitor.user !== null) lines.push('x-remote-user', visitor.user)
}
