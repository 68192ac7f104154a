import * as input from './inputs.ts'
import { type Route, routesOf } from './route.ts'
import type { InstanceService } from './service.ts'
import * as view from './views.ts'

const { json, lines } = routesOf<InstanceService>()

/** The whole API of an instance; on its unix socket only. */
export const INSTANCE_ROUTES: readonly Route<InstanceService>[] = [
  json(
    'GET',
    '/status',
    { summary: 'How this instance is doing', role: 'viewer', output: view.instanceStatusView },
    (service) => service.status()
  ),
  lines(
    '/drain',
    {
      summary: 'Hand over everything this instance is home of; one line per change',
      role: 'operator',
      input: input.instanceDrain,
      output: view.drainView
    },
    (service, call) => service.drain(call.input, call.signal)
  ),
  json(
    'POST',
    '/drain/cancel',
    { summary: 'Cancel the drain; this instance serves on', role: 'operator', output: view.drainView },
    (service) => service.cancelDrain()
  ),
  json(
    'POST',
    '/stop',
    { summary: 'Flush and stop, to be back soon', role: 'admin', output: view.stoppedView },
    (service) => service.stop()
  ),
  lines(
    '/leave',
    {
      summary: 'Drain, give up membership, remove users’ files; one line per change',
      role: 'admin',
      input: input.leave,
      output: view.leaveView
    },
    (service, call) => service.leave(call.input, call.signal)
  ),
  json(
    'GET',
    '/settings',
    { summary: 'The limits of this instance', role: 'viewer', output: view.settingsView },
    (service) => service.settings()
  ),
  json(
    'PATCH',
    '/settings',
    { summary: 'Change limits', role: 'admin', input: input.settings, output: view.settingsView },
    (service, call) => service.changeSettings(call.input)
  )
]
