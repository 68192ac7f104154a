import { z } from 'zod'
import * as input from './inputs.ts'
import { type Route, routesOf } from './route.ts'
import type { CoordinatorService } from './service.ts'
import * as view from './views.ts'

const { json, lines, car } = routesOf<CoordinatorService>()

/** Users' workspaces, and their past. */
export const WORKSPACE_ROUTES: readonly Route<CoordinatorService>[] = [
  json(
    'GET',
    '/workspaces',
    {
      summary: 'Workspaces by id, all or those that a search finds',
      role: 'viewer',
      input: input.workspaceSearch,
      output: z.array(view.workspaceView)
    },
    (service, call) => service.workspaces(call.input)
  ),
  json(
    'GET',
    '/workspaces/:id',
    { summary: 'One workspace in full', role: 'viewer', output: view.workspaceDetailView },
    (service, call) => service.workspace(call.target)
  ),
  json(
    'POST',
    '/workspaces/:id/move',
    {
      summary: 'Give a workspace another home',
      role: 'operator',
      input: input.move,
      output: view.moveView
    },
    (service, call) => service.move(call.caller, call.target, call.input.to)
  ),
  json(
    'DELETE',
    '/workspaces/:id',
    { summary: 'Remove a workspace for good: its files, its copies, its history', role: 'admin', output: view.done },
    (service, call) => service.removeWorkspace(call.caller, call.target)
  ),
  json(
    'GET',
    '/workspaces/:id/history',
    {
      summary: 'The retained heads, newest first, and those that diverged',
      role: 'viewer',
      input: input.historyRange,
      output: z.array(view.headView)
    },
    (service, call) => service.past.history(call.caller, call.target, call.input.limit)
  ),
  json(
    'GET',
    '/workspaces/:id/snapshot',
    {
      summary: 'Which head a moment means, and what stood at a path in it',
      role: 'admin',
      input: input.snapshotAt,
      output: view.snapshotView
    },
    (service, call) => service.past.snapshot(call.target, call.input)
  ),
  car(
    '/workspaces/:id/export',
    {
      summary: 'A snapshot, or what stood at a path in it, as a CAR file with one root',
      role: 'admin',
      input: input.snapshotAt,
      output: view.carFile,
      fileName: (target) => `${target.replaceAll(/[^A-Za-z0-9-]/g, '_')}.car`
    },
    (service, call) => service.past.export(call.caller, call.target, call.input)
  ),
  lines(
    '/workspaces/:id/restore',
    {
      summary: 'Go back to a snapshot, or a path of it, at the home while it is in use; the outcome is the last line',
      role: 'admin',
      input: input.snapshotAt,
      output: view.restoreView
    },
    (service, call) => service.past.restore(call.caller, call.target, call.input)
  )
]
