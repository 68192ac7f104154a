import type { AppOptions } from '../daemon/options.ts'
import { list, type ValuesOf, value } from './settings.ts'
import { duration, oneOf, serviceCommand, servicePath, size, whole, yesNo } from './values.ts'

const MEMORY_BYTES = 2 * 1024 ** 3
const PROCESSES = 512
const OPEN_FILES = 4096
const APPS = 32
const IDLE_MS = 30 * 60_000
const START_MS = 60_000

/** How `join` runs apps that are commands. */
export const APP_SETTINGS = {
  ready: list(
    '<service=command>',
    'what the shell runs to learn whether an app that was started, and answers, is ready for users (it ends with 0)',
    serviceCommand
  ),
  freeze: list(
    '<service=command>',
    'what the shell runs to have an app write what it has, before its workspace is moved',
    serviceCommand
  ),
  thaw: list('<service=command>', 'what the shell runs where that move is given up', serviceCommand),
  sandbox: value(
    '<how>',
    'how apps are kept apart: bwrap, by bubblewrap, or none',
    oneOf('bwrap', 'none'),
    'bwrap',
    'bwrap'
  ),
  'app-network': value(
    '<yes|no>',
    "may apps use this machine's network, with what listens on it, and the Internet?",
    yesNo,
    false,
    'no'
  ),
  'app-read': list('<service=path>', "what apps may read beside the system's programs", servicePath),
  'app-memory': value('<size>', 'the memory of each app; one that takes more is ended', size, MEMORY_BYTES, '2GiB'),
  'app-processes': value(
    '<number>',
    'the processes of each app, with their threads',
    whole(4, 100_000),
    PROCESSES,
    String(PROCESSES)
  ),
  'app-files': value(
    '<number>',
    'the open files of each process',
    whole(32, 1_000_000),
    OPEN_FILES,
    String(OPEN_FILES)
  ),
  'app-count': value('<number>', 'how many apps run at once', whole(1, 10_000), APPS, String(APPS)),
  'app-idle': value('<time>', 'an app that nobody uses for so long is stopped', duration, IDLE_MS, '30m'),
  'app-start': value('<time>', 'how long an app may take to start', duration, START_MS, '60s')
} as const

export function appOptions(values: ValuesOf<typeof APP_SETTINGS>): AppOptions {
  const readable: Record<string, readonly string[]> = {}
  for (const [service, path] of values['app-read']) readable[service] = [...(readable[service] ?? []), path]
  return {
    sandbox: values.sandbox,
    network: values['app-network'],
    memoryBytes: values['app-memory'],
    processes: values['app-processes'],
    openFiles: values['app-files'],
    count: values['app-count'],
    idleMs: values['app-idle'],
    startMs: values['app-start'],
    readable
  }
}
