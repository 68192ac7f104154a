import { chmod, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { createInstanceSocketServer } from '../console/http-api.ts'
import { systemClock } from '../core/clock.ts'
import { hasCode, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import { prefixed } from '../core/key-value.ts'
import { systemRandom } from '../core/random.ts'
import { countHomes } from '../handover/resident-record.ts'
import { startHost } from '../network/libp2p-host.ts'
import { openLevel } from '../store/level.ts'
import { openDataFolder } from '../store/state-folder.ts'
import { RateLimit } from '../sync/rate-limit.ts'
import { Uplink } from '../sync/uplink.ts'
import { InstanceDaemon } from './instance-daemon.ts'
import { localMachine } from './instance-machine.ts'
import { LiveInstanceService } from './instance-service.ts'
import { diskSpace, InstanceSettings } from './instance-settings.ts'
import { joinFederation, offeredServices } from './joining.ts'
import type { InstanceDeps, InstanceOptions, RunningInstance } from './options.ts'
import { readPin } from './pin.ts'
import { Shutdown } from './shutdown.ts'
import { snapshotHooks } from './snapshot-hooks.ts'
import { suspectFiles } from './suspicion.ts'
import { VERSION } from './version.ts'

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
  const services = offeredServices(options.services)
  const hooksFor = snapshotHooks(options.hooks, services, { clock, log })
  const folder = await openDataFolder(options.data, { kind: 'instance', pid: options.pid })
  shutdown.later('the data folder', () => folder.release())
  const level = await openLevel(join(folder.path, 'state'))
  shutdown.later('the state', () => level.close())
  const state = prefixed(level, 'instance/')
  if (!folder.cleanStop && !folder.sameBoot) await suspectFiles(state)
  const upload = new Uplink(clock)
  const download = new RateLimit(clock)
  const settings = await InstanceSettings.open(
    state,
    { upload, download },
    {
      upload: options.uploadLimit,
      download: options.downloadLimit,
      capacity: options.capacityBytes
    }
  )
  const trusted = new Set<PeerIdText>()
  const standing = (peer: PeerIdText): 'member' | 'refused' => (trusted.has(peer) ? 'member' : 'refused')
  const host = await startHost({ identity: folder.identity, gate: { standing }, clock, log }, { listen: [] })
  shutdown.later('the network', () => host.close())
  const name = options.name ?? (await readPin(state))?.name ?? hostname()
  const daemon = new InstanceDaemon({
    folder,
    state,
    host,
    settings,
    upload,
    download,
    services,
    labels: options.labels,
    keep: { ms: options.keepMs },
    hooksFor,
    openMachine: (pin) => localMachine({ folder: folder.path, state, host, clock, random, log }, pin),
    name,
    clock,
    random,
    log,
    report: deps.report,
    shutdown,
    homesLeft: await countHomes(prefixed(state, 'resident/'))
  })
  const socket = createInstanceSocketServer({ service: new LiveInstanceService(daemon, clock), clock, log })
  shutdown.later('the control socket', () => socket.close())
  const path = join(folder.path, 'control.sock')
  await rm(path, { force: true })
  await socket.listen({ path })
  await chmod(path, 0o600)
  const runtime = { pid: options.pid, version: VERSION, peerId: host.peerId, addresses: host.addresses() }
  await folder.writeAtomic('runtime.json', `${JSON.stringify(runtime, null, 2)}\n`)
  shutdown.later('runtime.json', () => folder.remove('runtime.json'))

  const joining = async (): Promise<void> => {
    const disk = await diskSpace(folder.path)
    const offer = {
      name,
      contact: options.contact,
      site: options.site,
      message: options.message,
      labels: options.labels,
      capacityBytes: settings.capacityBytes(disk, 0),
      services,
      version: VERSION
    }
    const { pin, standing: own } = await joinFederation(
      {
        host,
        state,
        clock,
        random,
        log,
        interactive: deps.interactive,
        confirm: deps.confirm,
        signal: daemon.signal,
        report: (event) => {
          daemon.noteJoining(event)
          deps.report(event)
        }
      },
      options,
      offer
    )
    trusted.add(pin.peer)
    daemon.approved(pin, own)
    await daemon.serve(pin)
  }
  joining().catch(async (error: unknown) => {
    if (daemon.ended) return
    if (hasCode(error, 'DENIED')) deps.report({ event: 'denied', reason: messageOf(error) })
    if (hasCode(error, 'REVOKED')) deps.report({ event: 'revoked', reason: messageOf(error) })
    await daemon.fail(error instanceof Error ? error : new NodeDaemonError('UNEXPECTED', String(error)))
  })
  return daemon
}
