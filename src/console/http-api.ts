import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import { ChangeStreams } from './changes.ts'
import { COORDINATOR_ROUTES } from './coordinator-routes.ts'
import { readJson, reply, replyBytes, replyError, replyJson, replyLines } from './exchange.ts'
import { FRONT_DOOR_ROUTES, type FrontDoorService } from './front-door-routes.ts'
import { authenticate, checkHost, checkRole } from './gate.ts'
import { INSTANCE_ROUTES } from './instance-routes.ts'
import { Listener } from './listener.ts'
import type { Metrics } from './metrics.ts'
import { API_PREFIX, CAR_TYPE, openApi } from './openapi.ts'
import { PAGE_FILES } from './page/files.ts'
import { matchRoute, type Route } from './route.ts'
import type { AdminAccounts, Caller, CoordinatorService, InstanceService } from './service.ts'
import { serveSession } from './sign-in.ts'
import type { Role } from './views.ts'

export interface AdminServerOptions {
  /** Names, beside the listening address and localhost, by which browsers and tools reach the admin listener. */
  readonly hosts: readonly string[]
  /** The console is reached over TLS: its cookie is sent over nothing else. */
  readonly secure: boolean
}

type Exchange = (request: IncomingMessage, response: ServerResponse, url: URL) => Promise<void>

/** The admin listener: console, API, metrics, health. Everything but health and the page's own files needs a role. */
export function createAdminServer(
  deps: {
    readonly service: CoordinatorService
    readonly accounts: AdminAccounts
    readonly metrics: Metrics
    readonly clock: Clock
    readonly log: Logger
  },
  options: AdminServerOptions
): Listener {
  const { service, accounts, metrics } = deps
  const api = apiOf({
    title: 'node-daemon coordinator',
    routes: COORDINATOR_ROUTES.filter((route) => !route.socketOnly),
    ...deps,
    async admit(request, least) {
      const admin = await authenticate(request, accounts)
      checkRole(admin.role, least)
      return { actor: admin.name, role: admin.role }
    }
  })
  const paths: Readonly<Record<string, Exchange>> = {
    '/metrics': only(['GET'], async (request, response) => {
      checkRole((await authenticate(request, accounts)).role, 'metrics')
      reply(response, 200, metrics.contentType, await metrics.scrape())
    }),
    '/healthz': only(['GET'], async (_, response) => replyJson(response, 200, { ok: true })),
    '/readyz': only(['GET'], async (_, response) => {
      const ok = service.ready()
      replyJson(response, ok ? 200 : 503, { ok })
    }),
    '/session': only(['GET', 'POST', 'DELETE'], (request, response) =>
      serveSession(request, response, accounts, { secure: options.secure })
    ),
    ...Object.fromEntries(
      Object.entries(PAGE_FILES).map(([path, { type, body }]) => [
        path,
        only(['GET'], async (_, response) => reply(response, 200, type, body))
      ])
    )
  }
  return listenerOf(deps, api, async (request, response, url) => {
    checkHost(request, options.hosts)
    const exchange = Object.hasOwn(paths, url.pathname) ? paths[url.pathname] : undefined
    await (exchange ?? api.exchange)(request, response, url)
  })
}

/** The coordinator's unix socket: whoever may open it is an admin, and the actor `local`. */
export function createSocketServer(deps: {
  readonly service: CoordinatorService
  readonly clock: Clock
  readonly log: Logger
}): Listener {
  const api = apiOf({ title: 'node-daemon coordinator', routes: COORDINATOR_ROUTES, ...deps, admit: async () => LOCAL })
  return listenerOf(deps, api, api.exchange)
}

/** The instance's unix socket. */
export function createInstanceSocketServer(deps: {
  readonly service: InstanceService
  readonly clock: Clock
  readonly log: Logger
}): Listener {
  const api = apiOf({ title: 'node-daemon instance', routes: INSTANCE_ROUTES, ...deps, admit: async () => LOCAL })
  return listenerOf(deps, api, api.exchange)
}

/** The unix socket of a front door that is a process of its own. */
export function createFrontDoorSocketServer(deps: {
  readonly service: FrontDoorService
  readonly clock: Clock
  readonly log: Logger
}): Listener {
  const api = apiOf({ title: 'node-daemon front door', routes: FRONT_DOOR_ROUTES, ...deps, admit: async () => LOCAL })
  return listenerOf(deps, api, api.exchange)
}

const LOCAL: Caller = { actor: 'local', role: 'admin' }

interface Api {
  readonly exchange: Exchange
  close(): void
}

function listenerOf(deps: { readonly clock: Clock; readonly log: Logger }, api: Api, exchange: Exchange): Listener {
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      await exchange(request, response, urlOf(request))
    } catch (error) {
      replyError(response, error, deps.log)
    }
  }
  return new Listener(deps, {
    handle: (request, response) => void handle(request, response),
    onClose: () => api.close()
  })
}

function apiOf<Service>(api: {
  readonly title: string
  readonly service: Service
  readonly routes: readonly Route<Service>[]
  readonly clock: Clock
  readonly log: Logger
  /** Who asks. @throws NodeDaemonError where they may not */
  admit(request: IncomingMessage, least: Role): Promise<Caller>
}): Api {
  const streams = new ChangeStreams(api.clock)
  const description = openApi(api.title, api.routes)

  async function exchange(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const path = url.pathname.startsWith(`${API_PREFIX}/`) ? url.pathname.slice(API_PREFIX.length) : ''
    const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '')
    if (path === '/openapi.json' && method === 'GET') {
      await api.admit(request, 'viewer')
      return replyJson(response, 200, description)
    }
    const match = matchRoute(api.routes, method, path)
    if (match.kind === 'none') throw new NodeDaemonError('NOT_FOUND', 'there is nothing at this path')
    if (match.kind === 'other-method') return refuseMethod(response, match.allow)
    const caller = await api.admit(request, match.route.role)
    const input = method === 'GET' ? Object.fromEntries(url.searchParams) : await readJson(request)
    await run(match.route, { caller, target: match.target, input, signal: goneSignal(response) }, request, response)
  }

  async function run(
    route: Route<Service>,
    call: { caller: Caller; target: string; input: unknown; signal: AbortSignal },
    request: IncomingMessage,
    response: ServerResponse
  ): Promise<void> {
    if (route.kind === 'lines') return replyLines(response, route.run(api.service, call), api.log)
    if (route.kind === 'changes') {
      const watch = route.run(api.service, call)
      if (request.method === 'HEAD') return reply(response, 200, 'text/event-stream', '')
      return streams.serve(response, watch)
    }
    if (route.kind === 'car') {
      const headers = attachment(route.fileName(call.target))
      if (request.method === 'HEAD') return reply(response, 200, CAR_TYPE, '', headers)
      return replyBytes(request, response, CAR_TYPE, route.run(api.service, call), headers)
    }
    const value = await route.run(api.service, call)
    if (route.kind === 'json') return replyJson(response, 200, value)
    replyJson(response, 200, value, attachment(route.fileName(call.target)))
  }

  return { exchange, close: () => streams.close() }
}

const attachment = (fileName: string): Record<string, string> => ({
  'content-disposition': `attachment; filename="${fileName}"`
})

function only(methods: readonly string[], exchange: Exchange): Exchange {
  return async (request, response, url) => {
    const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '')
    if (!methods.includes(method)) return refuseMethod(response, methods)
    await exchange(request, response, url)
  }
}

/** 405, which the table of errors has no code of its own for. */
function refuseMethod(response: ServerResponse, allow: readonly string[]): void {
  const body = { error: { code: 'BAD_REQUEST', message: 'not with this method', advice: `use ${allow.join(' or ')}` } }
  replyJson(response, 405, body, { allow: allow.join(', ') })
}

function urlOf(request: IncomingMessage): URL {
  const url = URL.parse(request.url ?? '', 'http://console')
  if (url === null || !request.url?.startsWith('/')) throw new NodeDaemonError('BAD_REQUEST', 'the path is none')
  return url
}

function goneSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  response.once('close', () => controller.abort())
  return controller.signal
}
