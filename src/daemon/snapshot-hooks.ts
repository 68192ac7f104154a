import type { AskAtWork } from '../apps/at-work.ts'
import { CommandHooks } from '../apps/hooks.ts'
import type { Clock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { ServiceName } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { ResidentDeps } from '../handover/resident-deps.ts'
import type { HookOptions } from './options.ts'

/** What a command finds of this process's own environment. */
const INHERITED = ['PATH', 'HOME', 'LANG'] as const
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * What the operator lets run around the snapshots of each service.
 *
 * @throws NodeDaemonError `BAD_USAGE` a command is for a service that is not offered here
 */
export function snapshotHooks(
  options: HookOptions,
  services: readonly ServiceName[],
  deps: Surroundings
): ResidentDeps['hooksFor'] {
  const { before, after, intervalMs } = options
  for (const name of [...Object.keys(before), ...Object.keys(after)]) expectOffered('snapshot', name, services)
  const commands = commandHooks(options, deps)
  return (place) => {
    const own = { before: before[place.service] ?? null, after: after[place.service] ?? null }
    if (own.before === null && own.after === null) return null
    return { hooks: commands.of(own, place), intervalMs }
  }
}

/**
 * What tells whether users are at work in a workspace, by its service.
 *
 * @throws NodeDaemonError `BAD_USAGE` as above
 */
export function busyHooks(options: HookOptions, services: readonly ServiceName[], deps: Surroundings): AskAtWork {
  const { busy } = options
  for (const name of Object.keys(busy)) expectOffered('busy', name, services)
  const commands = commandHooks(options, deps)
  return (place) => {
    const command = busy[place.service]
    return command === undefined ? null : (signal) => commands.isAtWork(command, place, signal)
  }
}

interface Surroundings {
  readonly clock: Clock
  readonly log: Logger
}

function expectOffered(kind: string, name: string, services: readonly ServiceName[]): void {
  if (services.some((service) => service === name)) return
  throw new NodeDaemonError('BAD_USAGE', `there is a ${kind} hook for "${name}", which is not offered here`, {
    advice: `offered are: ${services.join(', ')}`
  })
}

const commandHooks = ({ timeoutMs }: HookOptions, { clock, log }: Surroundings): CommandHooks =>
  new CommandHooks({ clock, log, environment: environment(), timeoutMs, killGroup })

function environment(): Record<string, string> {
  const set = INHERITED.flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return { PATH, ...Object.fromEntries(set) }
}

/** A group that has ended already is no failure. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if (!isGone(error)) throw error
  }
}

const isGone = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ESRCH'
