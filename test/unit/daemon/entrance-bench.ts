import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { createServer, type IncomingMessage, type RequestListener, request, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import { type Duplex, duplexPair } from 'node:stream'
import { text } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'
import { type Clock, systemClock } from '../../../src/core/clock.ts'
import type { Identity } from '../../../src/core/identity.ts'
import type { ServiceName } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { httpEntrance } from '../../../src/daemon/entrance.ts'
import type { Resident } from '../../../src/handover/resident.ts'
import type { Premises } from '../../../src/handover/resident-deps.ts'
import type { Host } from '../../../src/network/host.ts'
import type { AcknowledgeLevel } from '../../../src/wire/control.ts'
import { inlineReader } from '../../../src/worktree/inline-reader.ts'
import { nodeFileSystem } from '../../../src/worktree/node-file-system.ts'
import { watchFolder } from '../../../src/worktree/watch.ts'
import { type WatchPath, watchPath } from '../../../src/worktree/watch-queue.ts'
import { Worktree } from '../../../src/worktree/worktree.ts'
import { openResident, ownershipOf } from '../handover/home.ts'
import { ALPHA, COORDINATOR, type NearRepository, temporaryFolder, WORKSPACE } from '../sync/support.ts'

export const NOTES = 'notes' as ServiceName

/** An app of an operator, on a free port of this machine. */
export interface TestApp {
  readonly port: number
  readonly server: Server
}

export async function appThat(answers: RequestListener, port = 0): Promise<TestApp> {
  const server = createServer(answers)
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, server }
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export interface Way {
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** The home of one workspace of the service `notes`, with its entrance, as the coordinator reaches it. */
export interface EntranceBench {
  readonly folder: string
  readonly resident: Resident
  readonly level: { now: AcknowledgeLevel }
  readonly leased: { valid: boolean }
  /** A request as the front door sends it, before anything of it is sent. */
  open(way?: Way): ReturnType<typeof request>
  ask(way?: Way): Promise<Answer>
}

export interface BenchOptions {
  readonly identity?: Identity
  readonly clock?: Clock
  readonly level?: AcknowledgeLevel
  readonly epoch?: number
  readonly space?: { readonly totalBytes: number; readonly freeBytes: number }
  /** How long the kernel takes to tell of a change, in milliseconds. */
  readonly eventsLateMs?: number
}

const lateWatch =
  (ms: number): WatchPath =>
  (path, onEvent) =>
    watchPath(path, (type, name) => void setTimeout(() => onEvent(type, name), ms))

export async function entranceBench(
  near: NearRepository,
  port: number,
  options: BenchOptions = {}
): Promise<EntranceBench> {
  const { identity = ALPHA, clock = systemClock(), epoch = 1, eventsLateMs } = options
  const base = await temporaryFolder()
  const folder = join(base, 'files')
  const parts = { clock: systemClock(), random: systemRandom(), log: silent }
  const worktree = new Worktree({
    ...parts,
    files: nodeFileSystem,
    folder,
    staging: join(base, 'incoming'),
    index: memoryKeyValue(),
    reader: inlineReader()
  })
  const premises: Premises = {
    worktree,
    files: nodeFileSystem,
    folder,
    staging: join(base, 'staging'),
    async watch(onDirty) {
      await mkdir(folder, { recursive: true })
      const late = eventsLateMs === undefined ? {} : { watch: lateWatch(eventsLateMs) }
      return watchFolder({ ...parts, ...late, folder, cookies: join(base, 'cookies') }, onDirty)
    }
  }
  const level = { now: options.level ?? 'replicated' }
  const leased = { valid: true }
  const resident = await openResident({
    premises: async () => premises,
    remote: async () => near,
    identity,
    clock,
    acknowledge: () => level.now,
    leaseValid: () => leased.valid
  })
  const ownership = await ownershipOf({ ...near.ownership, service: NOTES, number: epoch })
  await resident.order({ kind: 'assume', ownership: ownership.bytes })
  let accept: (stream: Duplex) => void = () => undefined
  const host: Pick<Host, 'handleBytes'> = {
    async handleBytes(_protocol, handler) {
      accept = (stream) => handler(stream, { peer: COORDINATOR.peerId } as never)
    }
  }
  const entrance = await httpEntrance(
    {
      ...parts,
      host: host as Host,
      mayOpen: (peer) => peer === COORDINATOR.peerId,
      offers: [{ name: NOTES, upstream: { host: '127.0.0.1', port }, command: null }],
      commands: null,
      door: null,
      empty: { folder: join(base, 'empty'), staging: join(base, 'staging') },
      space: async () => options.space ?? { totalBytes: 1e12, freeBytes: 1e12 }
    },
    { name: 'alpha', enter: (workspace, number) => resident.enter(workspace, number), folderLost: () => undefined }
  )
  onTestFinished(async () => {
    await entrance.stop()
    await entrance.close()
  })
  const open: EntranceBench['open'] = ({ method = 'GET', path = '/notes/', headers = {} } = {}) => {
    const [here, there] = duplexPair() as [Duplex, Duplex]
    here.once('close', () => there.destroy())
    accept(there)
    const lines = {
      host: 'main.example.org',
      'x-node-daemon-service': NOTES,
      'x-workspace-id': WORKSPACE,
      'x-node-daemon-epoch': String(near.ownership.epoch),
      'x-remote-user': 'user:ada',
      ...headers
    }
    const present = Object.fromEntries(Object.entries(lines).filter(([, value]) => value !== ''))
    return request({ createConnection: () => here as Socket, method, path, headers: present })
  }
  const ask: EntranceBench['ask'] = async (way = {}) => {
    const outgoing = open(way)
    outgoing.end(way.body)
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
    return { status: incoming.statusCode ?? 0, headers: incoming.headers, body: await text(incoming) }
  }
  return { folder, resident, level, leased, open, ask }
}
