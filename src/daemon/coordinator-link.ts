import type { InstanceStatusView } from '../console/views.ts'
import type { Host } from '../network/host.ts'
import { isWebSocket } from '../network/websocket-address.ts'
import type { Pin } from './pin.ts'

/** How an instance is connected with its coordinator, for its status. */
export function coordinatorLink(host: Host, pin: Pin | null, connected: boolean): InstanceStatusView['coordinator'] {
  const link = pin === null ? undefined : host.links(pin.peer)[0]
  const by = link === undefined || !connected ? null : isWebSocket(link.remoteAddress) ? 'websocket' : 'tcp'
  return { peerId: pin?.peer ?? null, federation: pin?.federation ?? null, connected, by }
}
