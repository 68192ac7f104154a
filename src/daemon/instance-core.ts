import { hasCode, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { ServiceName } from '../core/ids.ts'
import { type KeyValue, prefixed } from '../core/key-value.ts'
import { countHomes } from '../handover/resident-record.ts'
import type { Gate, Host } from '../network/host.ts'
import type { DataFolder } from '../store/state-folder.ts'
import { RateLimit } from '../sync/rate-limit.ts'
import { Uplink } from '../sync/uplink.ts'
import { InstanceDaemon } from './instance-daemon.ts'
import type { InstanceDaemonDeps } from './instance-deps.ts'
import type { InstanceMachine } from './instance-machine.ts'
import { InstanceSettings } from './instance-settings.ts'
import { joinFederation } from './joining.ts'
import type { InstanceDeps, InstanceOptions } from './options.ts'
import { readPin } from './pin.ts'
import type { Shutdown } from './shutdown.ts'
import { suspectFiles } from './suspicion.ts'
import { Trusted } from './trusted.ts'
import { VERSION } from './version.ts'

/** What an instance runs on. */
export interface InstanceParts
  extends InstanceDeps,
    Pick<InstanceDaemonDeps, 'clock' | 'random' | 'hooksFor' | 'askAtWork' | 'apps'> {
  readonly folder: DataFolder
  /** Small state that stays over a restart. */
  readonly state: KeyValue
  readonly startHost: (gate: Gate) => Promise<Host>
  readonly openMachine: (host: Host, state: KeyValue, trusted: Trusted) => Promise<InstanceMachine>
  /** What the disk on which users' files lie has, in bytes. */
  readonly space: InstanceMachine['space']
  readonly services: readonly ServiceName[]
  /** By which it is known where nothing else was ever said. */
  readonly hostName: string
}

export interface InstanceCore {
  readonly daemon: InstanceDaemon
  readonly host: Host
  /** Joins, waits for approval and serves, until the daemon ends. Never rejects: how it ends is told by `finished`. */
  join(): Promise<void>
}

/** An instance without its socket for local commands. What is opened is closed by `shutdown`, in reverse. */
export async function openInstanceCore(
  options: InstanceOptions,
  parts: InstanceParts,
  shutdown: Shutdown
): Promise<InstanceCore> {
  const { folder, services, hooksFor, askAtWork, apps, clock, random, log } = parts
  const state = prefixed(parts.state, 'instance/')
  if (!folder.cleanStop && !folder.sameBoot) await suspectFiles(state)
  const upload = new Uplink(clock)
  const download = new RateLimit(clock)
  const settings = await InstanceSettings.open(
    state,
    { upload, download },
    { upload: options.uploadLimit, download: options.downloadLimit, capacity: options.capacityBytes }
  )
  const trusted = new Trusted()
  const host = await parts.startHost(trusted)
  shutdown.later('the network', () => host.close())
  const name = options.name ?? (await readPin(state))?.name ?? parts.hostName
  const daemon = new InstanceDaemon({
    folder,
    state,
    host,
    trusted,
    settings,
    upload,
    download,
    offered: { services, versions: options.versions, labels: options.labels },
    route: options.ingress?.route ?? null,
    keep: { ms: options.keepMs },
    hooksFor,
    askAtWork,
    apps,
    openMachine: () => parts.openMachine(host, state, trusted),
    name,
    clock,
    random,
    log,
    report: parts.report,
    shutdown,
    homesLeft: await countHomes(prefixed(state, 'resident/'))
  })

  const joinAndServe = async (): Promise<void> => {
    const offer = {
      name,
      contact: options.contact,
      site: options.site,
      message: options.message,
      labels: options.labels,
      capacityBytes: settings.capacityBytes(await parts.space(), 0),
      services,
      version: VERSION,
      role: 'instance' as const
    }
    const report: InstanceDeps['report'] = (event) => {
      daemon.noteJoining(event)
      parts.report(event)
    }
    const { interactive, confirm } = parts
    const { signal } = daemon
    const deps = { host, state, clock, random, log, interactive, confirm, signal, report }
    const { pin, standing } = await joinFederation(deps, options, offer)
    trusted.pinned(pin.peer)
    daemon.approved(pin, standing)
    await daemon.serve(pin)
  }
  const join = async (): Promise<void> => {
    try {
      await joinAndServe()
    } catch (error) {
      if (daemon.ended) return
      if (hasCode(error, 'DENIED')) parts.report({ event: 'denied', reason: messageOf(error) })
      if (hasCode(error, 'REVOKED')) parts.report({ event: 'revoked', reason: messageOf(error) })
      await daemon.fail(error instanceof Error ? error : new NodeDaemonError('UNEXPECTED', String(error)))
    }
  }
  return { daemon, host, join }
}
