import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import type { CommandApps } from '../apps/command/command-apps.ts'
import { createInstanceSocketServer } from '../console/http-api.ts'
import { systemClock } from '../core/clock.ts'
import { systemRandom } from '../core/random.ts'
import { isLoopbackHost } from '../membership/addresses.ts'
import { startHost } from '../network/libp2p-host.ts'
import { IngressDoor, type IngressDoorDeps } from '../routing/routes/ingress-door.ts'
import { openLevel } from '../store/level.ts'
import { openDataFolder } from '../store/state-folder.ts'
import { homeApps, openCommandApps, Secrets } from './apps.ts'
import { listenInFolder } from './control-socket.ts'
import { openInstanceCore } from './instance-core.ts'
import { localMachine } from './instance-machine.ts'
import { LiveInstanceService } from './instance-service.ts'
import { diskSpace } from './instance-settings.ts'
import { checkOffers, checkVersions, commandServices } from './offers.ts'
import type { IngressOptions, InstanceDeps, InstanceOptions, RunningInstance } from './options.ts'
import { Shutdown } from './shutdown.ts'
import { busyHooks, checkAppHooks, commandHooks, snapshotHooks } from './snapshot-hooks.ts'
import { VERSION } from './version.ts'

/** Listens for requests that do not come through the tunnel, where that is wanted. */
async function openDoor(
  options: IngressOptions | null,
  deps: IngressDoorDeps
): Promise<{ readonly door: IngressDoor; readonly address: string; close(): Promise<void> } | null> {
  if (options === null) return null
  const { route, listen } = options
  const ownProxy = isLoopbackHost(listen.host) ? LOOPBACK : []
  const trustProxy = options.trustProxy.length === 0 ? ownProxy : options.trustProxy
  const door = new IngressDoor(deps, { url: route.url, trustProxy })
  const { host, port } = await door.listen(listen.host, listen.port)
  return { door, address: `${host.includes(':') ? `[${host}]` : host}:${port}`, close: () => door.close() }
}

const LOOPBACK = ['127.0.0.0/8', '::1']

/**
 * Starts an instance: it joins, waits for approval and serves by itself from then on. On return its folder is held and
 * its control socket answers; how it ends is told by `finished`.
 *
 * @throws NodeDaemonError what keeps it from starting; nothing is left running
 */
export async function runInstance(options: InstanceOptions, deps: InstanceDeps): Promise<RunningInstance> {
  const shutdown = new Shutdown(deps.log)
  try {
    return await compose(options, deps, shutdown)
  } catch (error) {
    await shutdown.run()
    throw error
  }
}

async function compose(options: InstanceOptions, deps: InstanceDeps, shutdown: Shutdown): Promise<RunningInstance> {
  const { log } = deps
  const clock = systemClock()
  const random = systemRandom()
  checkOffers(options.services, resolve(options.data))
  checkVersions(options.versions, options.services)
  const services = options.services.map(({ name }) => name)
  let commands: CommandApps | null = null
  const hooks = commandHooks(options.hooks, {
    clock,
    log,
    beside: (place, words) => commands?.beside(place, words) ?? null
  })
  const hooksFor = snapshotHooks(options.hooks, services, hooks)
  const askAtWork = busyHooks(options.hooks, services, hooks)
  checkAppHooks(options.hooks, services, commandServices(options.services))
  const folder = await openDataFolder(options.data, { kind: 'instance', pid: options.pid })
  shutdown.later('the data folder', () => folder.release())
  const secrets = new Secrets(folder.identity)
  const { path: data, identity } = folder
  commands = await openCommandApps(options, secrets, { folder: data, identity, hooks, clock, log })
  shutdown.later('the apps', () => commands?.close())
  const level = await openLevel(join(folder.path, 'state'))
  shutdown.later('the state', () => level.close())
  const door = await openDoor(options.ingress, { identity: folder.identity, clock, random, log })
  if (door !== null) shutdown.later('the ingress', () => door.close())
  const {
    daemon,
    host,
    join: joinAndServe
  } = await openInstanceCore(
    options,
    {
      ...deps,
      folder,
      state: level,
      startHost: (gate) => startHost({ identity: folder.identity, gate, clock, log }, { listen: options.listen }),
      openMachine: (network, state, trusted) =>
        localMachine({
          folder: folder.path,
          identity: folder.identity,
          state,
          host: network,
          offers: options.services,
          mayOpen: (peer) => trusted.mayOpen(peer),
          commands,
          door: door?.door ?? null,
          clock,
          random,
          log
        }),
      space: () => diskSpace(folder.path),
      services,
      hooksFor,
      askAtWork,
      apps: homeApps(options, { hooks, commands, secrets }),
      hostName: hostname(),
      clock,
      random
    },
    shutdown
  )
  const socket = createInstanceSocketServer({ service: new LiveInstanceService(daemon, clock), clock, log })
  shutdown.later('the control socket', () => socket.close())
  await listenInFolder(socket, folder.path)
  const runtime = {
    pid: options.pid,
    version: VERSION,
    peerId: host.peerId,
    addresses: host.addresses(),
    ingress: door?.address ?? null
  }
  await folder.writeAtomic('runtime.json', `${JSON.stringify(runtime, null, 2)}\n`)
  shutdown.later('runtime.json', () => folder.remove('runtime.json'))
  void joinAndServe()
  return daemon
}
