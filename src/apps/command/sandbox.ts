import { existsSync, lstatSync, readlinkSync } from 'node:fs'

/**
 * How an app is kept apart. `bwrap`: by Debian's bubblewrap, in namespaces of its own. `none`: not at all, it runs as the
 * user of the daemon.
 */
export type SandboxKind = 'bwrap' | 'none'

export interface Sandbox {
  readonly kind: SandboxKind
  /** Does an app share the network of the machine? Else it has a loopback of its own, and nothing else. */
  readonly network: boolean
  readonly limits: AppLimits
  /** Files of the daemon that each sandbox holds, read-only, at these paths. */
  readonly tools: Readonly<Record<string, string>>
}

/** Of one app, unless it is said otherwise. */
export interface AppLimits {
  readonly memoryBytes: number
  readonly processes: number
  readonly openFiles: number
}

/** What one workspace's app is given of the disk. */
export interface Rooms {
  /** The files of the workspace, at the same path inside. */
  readonly workspace: string
  /** A folder of its own beside them, for its socket. */
  readonly run: string
  /** Files and folders that it may read beside the system's programs. */
  readonly readable: readonly string[]
}

/** A command as it is started. */
export interface Confined {
  readonly file: string
  readonly args: readonly string[]
  /** For bwrap, on a descriptor: they would else stand in the list of processes, which the app sees. */
  readonly hidden: readonly string[]
}

/** Where an app finds its own folder in a sandbox. */
export const RUN_INSIDE = '/run/app'
export const HOME_INSIDE = '/home/app'
export const UID_INSIDE = '1000'
/** The descriptors on which bwrap reads its arguments and says what became of it. */
export const ARGS_FD = 3
export const STATUS_FD = 4

/** Where the system's programs lie. On most systems all but the first are links into it. */
const PROGRAMS = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'] as const
/** What programs look up. Not all of it: there are passwords and keys among them. */
const LOOKED_UP = [
  'alternatives',
  'bash.bashrc',
  'ca-certificates',
  'debian_version',
  'fonts',
  'hosts',
  'inputrc',
  'java-17-openjdk',
  'java-21-openjdk',
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'localtime',
  'magic',
  'mime.types',
  'nsswitch.conf',
  'os-release',
  'perl',
  'php',
  'profile',
  'protocols',
  'python3',
  'python3.11',
  'python3.13',
  'R',
  'services',
  'ssl/certs',
  'ssl/openssl.cnf',
  'terminfo',
  'timezone'
] as const
const FOR_THE_NETWORK = ['gai.conf', 'host.conf', 'resolv.conf'] as const
/** Of the kernel's: a daemon that runs as root owns them, also from inside. */
const KERNEL = ['acpi', 'bus', 'fs', 'irq', 'mtrr', 'scsi', 'sys', 'sysrq-trigger'] as const
const KERNEL_SECRETS = ['/proc/kcore', '/proc/keys', '/proc/timer_list'] as const

export type Command = readonly [string, ...string[]]

/** A command that runs in the folder of its workspace, as its sandbox allows. */
export function confined(sandbox: Sandbox, rooms: Rooms, command: Command): Confined {
  const words = limited(sandbox.limits, command)
  if (sandbox.kind === 'none') return { file: 'setpriv', args: ['--pdeathsig', 'KILL', '--', ...words], hidden: [] }
  return { file: 'bwrap', args: ['--args', String(ARGS_FD), '--', ...words], hidden: bwrapArguments(sandbox, rooms) }
}

/** The first that the kernel ends where memory runs out, and what it can bound by itself. */
const limited = ({ processes, openFiles }: AppLimits, command: Command): Command => [
  'choom',
  '-n',
  '800',
  '--',
  'prlimit',
  `--nproc=${processes}`,
  `--nofile=${openFiles}`,
  '--core=0',
  '--',
  ...command
]

export function bwrapArguments({ network, limits, tools }: Sandbox, { workspace, run, readable }: Rooms): string[] {
  const scratch = String(Math.ceil(limits.memoryBytes / 4))
  return [
    ...['--die-with-parent', '--unshare-user', '--disable-userns', '--unshare-pid', '--unshare-ipc', '--unshare-uts'],
    ...['--unshare-cgroup-try', ...(network ? [] : ['--unshare-net'])],
    ...['--cap-drop', 'ALL', '--uid', UID_INSIDE, '--gid', UID_INSIDE, '--hostname', 'app'],
    ...['--json-status-fd', String(STATUS_FD)],
    ...PROGRAMS.flatMap(program),
    ...[...LOOKED_UP, ...(network ? FOR_THE_NETWORK : [])].flatMap((name) => readOnly(`/etc/${name}`)),
    ...['--proc', '/proc', ...KERNEL.flatMap((name) => readOnly(`/proc/${name}`))],
    ...KERNEL_SECRETS.filter(existsSync).flatMap((path) => ['--ro-bind', '/dev/null', path]),
    ...['--dev', '/dev', '--size', scratch, '--tmpfs', '/dev/shm', '--remount-ro', '/dev'],
    ...['--size', scratch, '--tmpfs', '/tmp', '--size', scratch, '--tmpfs', HOME_INSIDE],
    ...Object.entries(tools).flatMap(([inside, outside]) => ['--ro-bind', outside, inside]),
    ...readable.flatMap(readOnly),
    ...['--bind', run, RUN_INSIDE, '--bind', workspace, workspace],
    ...['--remount-ro', '/', '--chdir', workspace]
  ]
}

const readOnly = (path: string): string[] => ['--ro-bind-try', path, path]

function program(path: string): string[] {
  try {
    return lstatSync(path).isSymbolicLink() ? ['--symlink', readlinkSync(path), path] : ['--ro-bind', path, path]
  } catch {
    return []
  }
}
