import { z } from 'zod'
import { type Route, routesOf } from './route.ts'
import type { Answer } from './service.ts'
import { text, time } from './view-parts.ts'
import { stoppedView } from './views.ts'

export const frontDoorStatusView = z.object({
  role: z.literal('front-door'),
  state: z.enum(['joining', 'pending', 'approved', 'serving', 'unreachable']),
  name: text,
  peerId: text,
  code: text.nullable().describe('while the admin decides'),
  http: text.nullable().describe('where users are let in; null: not yet'),
  addresses: z.array(text).describe('where instances connect'),
  safeToSwitchOff: z.boolean(),
  reason: text.nullable(),
  dataFolder: text,
  pid: z.int(),
  version: text,
  startedAt: time
})
export type FrontDoorStatusView = z.infer<typeof frontDoorStatusView>

/** What a front door that is a process of its own offers on its unix socket. */
export interface FrontDoorService {
  status(): Answer<FrontDoorStatusView>
  /** Begins to stop; returns before the socket closes. */
  stop(): Answer<z.infer<typeof stoppedView>>
}

const { json } = routesOf<FrontDoorService>()

/** The whole API of such a front door; on its unix socket only. */
export const FRONT_DOOR_ROUTES: readonly Route<FrontDoorService>[] = [
  json(
    'GET',
    '/status',
    { summary: 'How this front door is doing', role: 'viewer', output: frontDoorStatusView },
    (service) => service.status()
  ),
  json('POST', '/stop', { summary: 'Let nobody in any more, and end', role: 'admin', output: stoppedView }, (service) =>
    service.stop()
  )
]
