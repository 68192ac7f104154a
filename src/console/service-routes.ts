import { z } from 'zod'
import * as input from './inputs.ts'
import { type Route, routesOf } from './route.ts'
import type { CoordinatorService } from './service.ts'
import * as view from './views.ts'

const { json } = routesOf<CoordinatorService>()

/** What the federation runs. */
export const SERVICE_ROUTES: readonly Route<CoordinatorService>[] = [
  json(
    'GET',
    '/services',
    { summary: 'What the federation runs', role: 'viewer', output: z.array(view.serviceView) },
    (service) => service.catalogue.list()
  ),
  json(
    'POST',
    '/services',
    { summary: 'Declare a service', role: 'admin', input: input.newService, output: view.serviceView },
    (service, call) => service.catalogue.add(call.caller, call.input)
  ),
  json(
    'DELETE',
    '/services/:name',
    { summary: 'Take a service away that has no workspaces', role: 'admin', output: view.done },
    (service, call) => service.catalogue.remove(call.caller, call.target)
  )
]
