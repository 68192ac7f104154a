import * as input from './inputs.ts'
import { type Route, routesOf } from './route.ts'
import type { CoordinatorService } from './service.ts'
import * as view from './views.ts'

const { json, lines, car } = routesOf<CoordinatorService>()

/** The main repository. */
export const REPOSITORY_ROUTES: readonly Route<CoordinatorService>[] = [
  json(
    'GET',
    '/repo/stats',
    { summary: 'The main repository in figures', role: 'viewer', output: view.repositoryView },
    (service) => service.repository()
  ),
  lines(
    '/repo/verify',
    {
      summary: 'Read the repository again, and repair what is damaged; a line each half second, the outcome last',
      role: 'operator',
      input: input.verifyOrder,
      output: view.verifyView
    },
    (service, call) => service.upkeep.verify(call.caller, call.input, call.signal)
  ),
  lines(
    '/repo/gc',
    {
      summary: 'Thin the history by the retention policy and give back room; the outcome is the last line',
      role: 'admin',
      input: input.gcOrder,
      output: view.gcView
    },
    (service, call) => service.upkeep.gc(call.caller, call.input)
  ),
  lines(
    '/repo/reindex',
    {
      summary: 'Build the index anew from the packs; the outcome is the last line',
      role: 'admin',
      output: view.reindexView
    },
    (service, call) => service.upkeep.reindex(call.caller)
  ),
  car(
    '/repo/export',
    {
      summary: 'The newest snapshots of all workspaces and their signed heads, as a CAR file',
      role: 'admin',
      output: view.carFile,
      fileName: () => 'repository.car'
    },
    (service, call) => service.upkeep.export(call.caller)
  )
]
