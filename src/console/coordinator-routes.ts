import { z } from 'zod'
import { NodeDaemonError } from '../core/errors.ts'
import { HANDOVER_ROUTES } from './handover-routes.ts'
import * as input from './inputs.ts'
import { REPOSITORY_ROUTES } from './repository-routes.ts'
import { type Route, routesOf } from './route.ts'
import { type CoordinatorService, TOPICS } from './service.ts'
import { GROUP_ROUTES, SERVICE_ROUTES } from './service-routes.ts'
import * as view from './views.ts'
import { WORKSPACE_ROUTES } from './workspace-routes.ts'

const { json, file, changes } = routesOf<CoordinatorService>()

/** The whole API of a coordinator. */
export const COORDINATOR_ROUTES: readonly Route<CoordinatorService>[] = [
  json(
    'GET',
    '/status',
    { summary: 'How the coordinator and its federation are doing', role: 'viewer', output: view.statusView },
    (service) => service.status()
  ),
  ...peers(),
  ...invites(),
  ...SERVICE_ROUTES,
  ...GROUP_ROUTES,
  ...WORKSPACE_ROUTES,
  ...HANDOVER_ROUTES,
  ...users(),
  ...admins(),
  ...REPOSITORY_ROUTES,
  json(
    'GET',
    '/audit',
    {
      summary: 'The newest entries of the audit log',
      role: 'viewer',
      input: input.auditRange,
      output: z.array(view.auditEntryView)
    },
    (service, call) => service.audit(call.input.limit)
  ),
  json(
    'GET',
    '/audit/verify',
    { summary: 'Is the chain of the audit log whole?', role: 'viewer', output: view.auditCheckView },
    (service) => service.verifyAudit()
  ),
  changes(
    '/events',
    {
      summary: 'Tells, at most four times a second, what has changed',
      role: 'viewer',
      output: z.object({ topics: z.array(z.enum(TOPICS)) })
    },
    (service) => (listener) => service.watch(listener)
  ),
  json(
    'POST',
    '/stop',
    { summary: 'Stop the coordinator cleanly', role: 'admin', output: view.done, socketOnly: true },
    (service, call) => service.stop(call.caller)
  )
]

function peers(): Route<CoordinatorService>[] {
  return [
    json(
      'GET',
      '/peers',
      { summary: 'All peers, whatever their state', role: 'viewer', output: z.array(view.peerView) },
      (service) => service.peers()
    ),
    json(
      'GET',
      '/peers/:peer',
      { summary: 'One peer in full', role: 'viewer', output: view.peerDetailView },
      (service, call) => service.peer(call.target)
    ),
    json(
      'POST',
      '/peers/:peer/approve',
      {
        summary: 'Admit a peer; with a code, only if it is that peer’s',
        role: 'operator',
        input: input.approval,
        output: view.peerView
      },
      (service, call) => service.approve(call.caller, call.target, call.input)
    ),
    json(
      'POST',
      '/peers/:peer/deny',
      { summary: 'Refuse a pending peer', role: 'operator', input: input.reason, output: view.peerView },
      (service, call) => service.deny(call.caller, call.target, call.input.reason)
    ),
    json(
      'POST',
      '/peers/:peer/revoke',
      { summary: 'Shut a member out at once', role: 'admin', input: input.reason, output: view.peerView },
      (service, call) => service.revoke(call.caller, call.target, call.input.reason)
    ),
    json(
      'POST',
      '/peers/:peer/label',
      { summary: 'Set labels; null removes one', role: 'operator', input: input.relabel, output: view.peerView },
      (service, call) => service.label(call.caller, call.target, call.input.labels)
    ),
    json(
      'POST',
      '/peers/:peer/drain',
      {
        summary: 'Have a member hand over what it is home of, now or later, or plan that',
        role: 'operator',
        input: input.drain,
        output: view.drainView
      },
      (service, call) => service.drain(call.caller, call.target, call.input)
    ),
    json(
      'GET',
      '/peers/:peer/drain',
      { summary: 'How the drain is doing', role: 'viewer', output: view.drainView },
      async (service, call) => (await service.drainOf(call.target)) ?? notFound(`no drain of ${call.target}`)
    ),
    json(
      'POST',
      '/peers/:peer/drain/cancel',
      { summary: 'Cancel a drain that runs or is planned', role: 'operator', output: view.drainView },
      (service, call) => service.cancelDrain(call.caller, call.target)
    ),
    json(
      'POST',
      '/peers/:peer/resume',
      {
        summary: 'Cancel a drain, or take back that it is drained; the member serves on',
        role: 'operator',
        output: view.peerView
      },
      (service, call) => service.resume(call.caller, call.target)
    ),
    file(
      '/peers/:peer/certificate',
      {
        summary: 'The exit certificate of the last drain, as a file',
        role: 'viewer',
        output: z.unknown(),
        fileName: (target) => `exit-certificate-${target.replaceAll(/[^A-Za-z0-9-]/g, '_')}.json`
      },
      async (service, call) =>
        (await service.drainOf(call.target))?.certificate ?? notFound(`no exit certificate of ${call.target}`)
    )
  ]
}

function invites(): Route<CoordinatorService>[] {
  return [
    json(
      'POST',
      '/invites',
      {
        summary: 'A link with which peers are approved in advance',
        role: 'admin',
        input: input.invite,
        output: view.newInviteView
      },
      (service, call) => service.createInvite(call.caller, call.input)
    ),
    json(
      'GET',
      '/invites',
      { summary: 'Invites that are still good', role: 'viewer', output: z.array(view.inviteView) },
      (service) => service.invites()
    ),
    json(
      'DELETE',
      '/invites/:id',
      { summary: 'Take an invite back', role: 'admin', output: view.done },
      (service, call) => service.removeInvite(call.caller, call.target)
    )
  ]
}

function users(): Route<CoordinatorService>[] {
  return [
    json('GET', '/users', { summary: 'Named users', role: 'viewer', output: z.array(view.userView) }, (service) =>
      service.users()
    ),
    json(
      'POST',
      '/users',
      { summary: 'Add a user; the token is shown once', role: 'admin', input: input.newUser, output: view.newUserView },
      (service, call) => service.addUser(call.caller, call.input)
    ),
    json(
      'POST',
      '/users/:name/token',
      { summary: 'Give a user a new token, shown once', role: 'admin', output: view.newUserView },
      (service, call) => service.renewUserToken(call.caller, call.target)
    ),
    json('DELETE', '/users/:name', { summary: 'Remove a user', role: 'admin', output: view.done }, (service, call) =>
      service.removeUser(call.caller, call.target)
    ),
    json(
      'POST',
      '/users/:name/block',
      { summary: 'Block a user, or let them in again', role: 'admin', input: input.block, output: view.userView },
      (service, call) => service.blockUser(call.caller, call.target, call.input.blocked)
    ),
    json(
      'POST',
      '/users/:name/quota',
      {
        summary: 'Say how much a user may hold, over all services',
        role: 'admin',
        input: input.quota,
        output: view.userView
      },
      (service, call) => service.setQuota(call.caller, call.target, call.input.quotaBytes)
    )
  ]
}

function admins(): Route<CoordinatorService>[] {
  return [
    json(
      'GET',
      '/admins',
      { summary: 'Admins and their roles', role: 'viewer', output: z.array(view.adminView) },
      (service) => service.admins()
    ),
    json(
      'POST',
      '/admins',
      {
        summary: 'Add an admin; the token is shown once',
        role: 'admin',
        input: input.newAdmin,
        output: view.newAdminView
      },
      (service, call) => service.addAdmin(call.caller, call.input)
    ),
    json('DELETE', '/admins/:name', { summary: 'Remove an admin', role: 'admin', output: view.done }, (service, call) =>
      service.removeAdmin(call.caller, call.target)
    ),
    json(
      'POST',
      '/admins/link',
      { summary: 'A one-use link to the console', role: 'admin', output: view.consoleLinkView },
      (service, call) => service.createConsoleLink(call.caller)
    )
  ]
}

function notFound(what: string): never {
  throw new NodeDaemonError('NOT_FOUND', what)
}
