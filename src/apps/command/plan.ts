import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { type Located, locatePort, locateSocket } from './locate.ts'
import { type Command, HOME_INSIDE, RUN_INSIDE, type Sandbox } from './sandbox.ts'
import { type CommandSpec, filled } from './spec.ts'

/** Runs a command, and brings to its port what comes in at the socket. */
export type Relay = (socket: string, port: number, command: Command) => Command

/** What is run for one workspace, and where it answers. */
export interface Plan {
  readonly command: Command
  readonly environment: Readonly<Record<string, string>>
  readonly locate: () => Promise<Located | null>
}

export interface Placed {
  readonly folder: string
  readonly base: string
  readonly secret: string
  /** The folder of the socket, as the daemon sees it. */
  readonly run: string
}

const SOCKET = 'http.sock'
/** In a network of its own, any one is free. */
const PORT_INSIDE = 8080
const LOOPBACK = '127.0.0.1'

const isOwnNetwork = ({ kind, network }: Sandbox): boolean => kind === 'bwrap' && !network

/** Where the app, and commands beside it, find its socket. */
export const socketSeen = (sandbox: Sandbox, run: string): string =>
  join(sandbox.kind === 'bwrap' ? RUN_INSIDE : run, SOCKET)

export async function planCommand(spec: CommandSpec, sandbox: Sandbox, relay: Relay, placed: Placed): Promise<Plan> {
  const { folder, base, secret, run } = placed
  const socket = socketSeen(sandbox, run)
  const port = isOwnNetwork(sandbox) ? PORT_INSIDE : await freePort()
  const [file = '', ...args] = filled(spec.words, { port: String(port), socket, dir: folder, base, secret })
  const command: Command = [file, ...args]
  const environment = environmentOf(sandbox, placed)
  const atSocket = (): Promise<Located | null> => locateSocket(join(run, SOCKET))
  if (spec.listens === 'socket') return { command, environment, locate: atSocket }
  const told = { ...environment, NODE_DAEMON_PORT: String(port) }
  return isOwnNetwork(sandbox)
    ? { command: relay(socket, port, command), environment: told, locate: atSocket }
    : { command, environment: told, locate: () => locatePort(LOOPBACK, port) }
}

export const environmentOf = (sandbox: Sandbox, { folder, base, secret, run }: Placed): Record<string, string> => ({
  ...(sandbox.kind === 'bwrap' ? { HOME: HOME_INSIDE, USER: 'app', LOGNAME: 'app' } : {}),
  NODE_DAEMON_DIR: folder,
  NODE_DAEMON_BASE: base,
  NODE_DAEMON_SECRET: secret,
  NODE_DAEMON_SOCKET: socketSeen(sandbox, run)
})

/** One that was free a moment ago: an app that finds it taken is started again. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, LOOPBACK)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
