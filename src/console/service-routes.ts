import { z } from 'zod'
import * as input from './inputs.ts'
import { type Route, routesOf } from './route.ts'
import type { CoordinatorService } from './service.ts'
import { groupView, serviceView } from './service-views.ts'
import { done } from './views.ts'

const { json } = routesOf<CoordinatorService>()

/** What the federation runs. */
export const SERVICE_ROUTES: readonly Route<CoordinatorService>[] = [
  json(
    'GET',
    '/services',
    { summary: 'What the federation runs', role: 'viewer', output: z.array(serviceView) },
    (service) => service.catalogue.list()
  ),
  json(
    'POST',
    '/services',
    { summary: 'Declare a service', role: 'admin', input: input.newService, output: serviceView },
    (service, call) => service.catalogue.add(call.caller, call.input)
  ),
  json(
    'POST',
    '/services/:name',
    {
      summary: 'Change what is said of a service; what is not named stays',
      role: 'admin',
      input: input.serviceChange,
      output: serviceView
    },
    (service, call) => service.catalogue.change(call.caller, call.target, call.input)
  ),
  json(
    'DELETE',
    '/services/:name',
    { summary: 'Take a service away that has no workspaces', role: 'admin', output: done },
    (service, call) => service.catalogue.remove(call.caller, call.target)
  )
]

/** Users who share workspaces. */
export const GROUP_ROUTES: readonly Route<CoordinatorService>[] = [
  json(
    'GET',
    '/groups',
    { summary: 'Groups and their members', role: 'viewer', output: z.array(groupView) },
    (service) => service.groups.list()
  ),
  json(
    'POST',
    '/groups',
    { summary: 'Add a group without members', role: 'admin', input: input.newGroup, output: groupView },
    (service, call) => service.groups.add(call.caller, call.input.name)
  ),
  json(
    'DELETE',
    '/groups/:name',
    { summary: 'Take a group away that has no workspaces', role: 'admin', output: done },
    (service, call) => service.groups.remove(call.caller, call.target)
  ),
  json(
    'POST',
    '/groups/:name/grant',
    { summary: 'Make a user a member, or change their rights', role: 'admin', input: input.grant, output: groupView },
    (service, call) => service.groups.grant(call.caller, call.target, call.input)
  ),
  json(
    'POST',
    '/groups/:name/revoke',
    { summary: 'Take a user out of a group', role: 'admin', input: input.revocation, output: groupView },
    (service, call) => service.groups.revoke(call.caller, call.target, call.input.user)
  )
]
