import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, request, type Server, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'
import { NOTHING_USED } from '../../../../src/apps/allowance.ts'
import type { AppRequestContext } from '../../../../src/apps/app.ts'
import { commandApp } from '../../../../src/apps/command/command.ts'
import { CommandApps, type CommandAppsDeps } from '../../../../src/apps/command/command-apps.ts'
import type { Sandbox } from '../../../../src/apps/command/sandbox.ts'
import { parseCommand } from '../../../../src/apps/command/spec.ts'
import type { HookPlace } from '../../../../src/apps/hooks.ts'
import { systemClock } from '../../../../src/core/clock.ts'
import { codeOf, ERRORS } from '../../../../src/core/errors.ts'
import type { ServiceName, WorkspaceId } from '../../../../src/core/ids.ts'
import { type Logger, silent } from '../../../../src/core/log.ts'
import { APP_TOOLS, relayed, sendSignal } from '../../../../src/daemon/app-machine.ts'
import { SCRIPT, workspaceNumber } from './names.ts'

export const SERVICE = 'notes' as ServiceName
const NODE = '/run/node-daemon/node'

export const BWRAP: Sandbox = {
  kind: 'bwrap',
  network: false,
  limits: { memoryBytes: 512 * 1024 ** 2, processes: 64, openFiles: 256 },
  tools: APP_TOOLS
}
export const NONE: Sandbox = { ...BWRAP, kind: 'none', network: true }

export interface BenchOptions extends Partial<Omit<CommandAppsDeps, 'services'>> {
  readonly command?: string
  readonly readable?: readonly string[]
  readonly isReady?: (place: HookPlace, signal: AbortSignal) => Promise<boolean>
  readonly isAtWork?: (place: HookPlace, signal: AbortSignal) => Promise<boolean>
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export interface AppsBench {
  readonly root: string
  readonly apps: CommandApps
  /** Why apps have ended by themselves. */
  readonly failures: readonly string[]
  readonly address: { readonly host: string; readonly port: number }
  place(number?: number): Promise<HookPlace>
  ask(
    path?: string,
    options?: { method?: string; body?: string; headers?: Record<string, string>; workspace?: number }
  ): Promise<Answer>
  /** A connection that speaks another protocol: what is sent comes back. */
  upgrade(workspace?: number): Promise<Socket>
  /** What a script, run by the app of a workspace, comes to. */
  run(script: string, workspace?: number): Promise<unknown>
}

/** Command apps on this machine, with an HTTP server in front that lets each request into the workspace that it names. */
export async function appsBench(options: BenchOptions = {}): Promise<AppsBench> {
  const { command, readable = [SCRIPT], isReady = null, isAtWork = null, sandbox = BWRAP, ...changes } = options
  const root = await realpath(await mkdtemp(join(tmpdir(), 'node-daemon-apps-')))
  const node = sandbox.kind === 'bwrap' ? NODE : process.execPath
  const failures: string[] = []
  const log: Logger = {
    ...silent,
    warn: (fields) => {
      if ('reason' in fields) failures.push(String(fields.reason))
    },
    child: () => log
  }
  const spec = parseCommand(command ?? `${node} ${SCRIPT} {port}`)
  const apps = await CommandApps.open({
    folder: join(root, 'apps'),
    workspaces: join(root, 'workspaces'),
    services: new Map([[SERVICE, { spec, readable, isReady, isAtWork }]]),
    sandbox,
    relay: relayed,
    environment: { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8' },
    appsMax: 8,
    idleMs: 3_600_000,
    startMs: 20_000,
    reserveBytes: 0,
    freeBytes: async () => 1e12,
    secretOf: (workspace) => `secret of ${workspace}`,
    send: sendSignal,
    clock: systemClock(),
    log,
    ...changes
  })
  const app = commandApp(apps)
  const places = new Map<WorkspaceId, HookPlace>()
  const contextOf = (incoming: IncomingMessage): AppRequestContext => {
    const place = places.get(String(incoming.headers['x-test-workspace']) as WorkspaceId)
    const context = { user: 'user:ada', userLabel: 'ada', served: 'alpha', base: '/notes' }
    const settled = async (): Promise<void> => undefined
    const where = { workspace: place?.workspace ?? null, folder: place?.folder ?? '', staging: '' }
    return { ...context, ...where, settled, wrote: settled, allowance: NOTHING_USED }
  }
  const server: Server = createServer((incoming, response) => {
    app.handle(incoming, response, contextOf(incoming)).catch((error: unknown) => {
      response.writeHead(ERRORS[codeOf(error)].http).end(codeOf(error))
    })
  })
  server.on('upgrade', (incoming, socket, head) => {
    const decline = (): ServerResponse => new ServerResponse(incoming)
    app.upgrade?.(incoming, { socket, head, decline }, contextOf(incoming)).catch(() => socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    server.closeAllConnections()
    server.close()
    await apps.close()
    await rm(root, { recursive: true, force: true })
  })
  const { port } = server.address() as AddressInfo
  const address = { host: '127.0.0.1', port }
  const place: AppsBench['place'] = async (number = 1) => {
    const workspace = workspaceNumber(number)
    const known = places.get(workspace)
    if (known !== undefined) return known
    const made = { workspace, service: SERVICE, epoch: 1, folder: join(root, 'workspaces', workspace) }
    mkdirSync(made.folder, { recursive: true })
    places.set(workspace, made)
    apps.of(made)
    return made
  }
  const ask: AppsBench['ask'] = async (
    path = '/notes/',
    { method = 'GET', body, headers = {}, workspace = 1 } = {}
  ) => {
    const named = workspace === 0 ? '' : (await place(workspace)).workspace
    const outgoing = request({ ...address, path, method, headers: { ...headers, 'x-test-workspace': named } })
    outgoing.end(body)
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
    return { status: incoming.statusCode ?? 0, headers: incoming.headers, body: await text(incoming) }
  }
  const upgrade: AppsBench['upgrade'] = async (workspace = 1) => {
    const headers = { connection: 'Upgrade', upgrade: 'echo', 'x-test-workspace': (await place(workspace)).workspace }
    const outgoing = request({ ...address, path: '/notes/', headers })
    outgoing.end()
    const [, socket] = (await once(outgoing, 'upgrade')) as [IncomingMessage, Socket]
    return socket
  }
  const run: AppsBench['run'] = async (script, workspace = 1) => {
    const { status, body } = await ask('/notes/', { method: 'POST', body: script, workspace })
    if (status !== 200) throw new Error(`${status} ${body}`)
    const { value, error } = JSON.parse(body) as { value?: unknown; error?: string }
    return error === undefined ? value : { error }
  }
  return { root, apps, failures, address, place, ask, upgrade, run }
}
