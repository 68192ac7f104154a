import type { AskAtWork } from '../apps/at-work.ts'
import { CommandHooks, type HookDeps } from '../apps/hooks.ts'
import type { Clock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { ServiceName } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { ResidentDeps } from '../handover/resident-deps.ts'
import { sendSignal } from './app-machine.ts'
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
  commands: CommandHooks
): ResidentDeps['hooksFor'] {
  const { before, after, intervalMs } = options
  for (const name of [...Object.keys(before), ...Object.keys(after)]) expectOffered('snapshot', name, services)
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
export function busyHooks(options: HookOptions, services: readonly ServiceName[], commands: CommandHooks): AskAtWork {
  const { busy } = options
  for (const name of Object.keys(busy)) expectOffered('busy', name, services)
  return (place) => {
    const command = busy[place.service]
    return command === undefined ? null : (signal) => commands.isAtWork(command, place, signal)
  }
}

/** @throws NodeDaemonError `BAD_USAGE` as above, or `ready` is for a service that is not a command */
export function checkAppHooks(
  { ready, freeze, thaw }: HookOptions,
  services: readonly ServiceName[],
  commands: readonly ServiceName[]
): void {
  for (const name of Object.keys(ready)) expectOffered('ready', name, commands)
  for (const name of Object.keys(freeze)) expectOffered('freeze', name, services)
  for (const name of Object.keys(thaw)) expectOffered('thaw', name, services)
}

interface Surroundings extends Pick<HookDeps, 'beside'> {
  readonly clock: Clock
  readonly log: Logger
}

function expectOffered(kind: string, name: string, services: readonly ServiceName[]): void {
  if (services.some((service) => service === name)) return
  throw new NodeDaemonError('BAD_USAGE', `there is a ${kind} hook for "${name}", which is not offered here`, {
    advice: `offered are: ${services.join(', ')}`
  })
}

/** What runs them all. */
export const commandHooks = ({ timeoutMs }: HookOptions, deps: Surroundings): CommandHooks =>
  new CommandHooks({
    ...deps,
    environment: commandEnvironment(),
    timeoutMs,
    killGroup: (pid) => sendSignal(-pid, 'SIGKILL')
  })

/** What commands of an operator find of this process's own environment. */
export function commandEnvironment(): Record<string, string> {
  const set = INHERITED.flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return { PATH, ...Object.fromEntries(set) }
}
