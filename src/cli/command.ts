import { Argument, type Command, Option } from 'commander'
import { NodeDaemonError } from '../core/errors.ts'
import type { Context } from './context.ts'
import { LOG_LEVELS } from './logger.ts'
import { EXITS, type ExitCode } from './report-error.ts'
import { flagOnly, maybe, type Settings, toggle, type ValuesOf } from './settings.ts'
import { line, oneOf, webUrl } from './values.ts'

/** A command: what it takes, what its help says, what it does. */
export interface CommandSpec<S extends Settings> {
  /** Its last word. */
  readonly name: string
  /** Arguments in commander's notation: `<peer>`, `[coordinator]`, `<change...>`. */
  readonly takes?: readonly string[]
  readonly about: string
  readonly settings: S
  /** Which daemon's folder holds its `config.yaml`; null for a command that reads none unless told. */
  readonly configOf?: 'coordinator' | 'instance'
  readonly examples: readonly string[]
  /** Exit codes other than 0, 1 and 2, which any command may have; a text where the common one says too little. */
  readonly exits?: Partial<Readonly<Record<ExitCode, string | true>>>
  /** Resolves with the exit code. What it rejects with is printed, and decides the code. */
  run(context: Context, values: ValuesOf<S>, args: readonly string[]): Promise<ExitCode>
}

/** Carries one out: reads its settings, builds its context, runs it. */
export type Runner = <S extends Settings>(spec: CommandSpec<S>, flags: Flags, args: readonly string[]) => Promise<void>
export type Flags = Readonly<Record<string, readonly string[]>>

/** Hangs a command, or a group of them, below another one. */
export interface Branch {
  readonly settings: readonly Settings[]
  /** A line that may be typed as it stands. */
  readonly example: string
  attach(parent: Command, run: Runner): void
}

export const GLOBAL_SETTINGS = {
  data: maybe(
    '<dir>',
    "the daemon's own folder",
    line(4096),
    '$STATE_DIRECTORY, or node-daemon/ in the XDG state folder'
  ),
  json: toggle('machine output on stdout', { flagOnly: true }),
  config: maybe(
    '<file>',
    'read settings from this YAML file',
    line(4096),
    'config.yaml in the data folder of coordinator and join'
  ),
  'log-level': maybe(
    '<level>',
    `what is logged on stderr: ${LOG_LEVELS.join(', ')}`,
    oneOf(...LOG_LEVELS),
    'info; warn on a terminal'
  )
} as const satisfies Settings

/** Where a coordinator's API is: for every admin command. */
export const API_SETTINGS = {
  api: maybe('<url>', "another machine's coordinator: the address of its admin listener", webUrl, 'the local one'),
  token: maybe('<token>', 'an admin token for --api; better said by NODE_DAEMON_TOKEN', line(512))
} as const satisfies Settings

export const YES = { yes: toggle('do not ask', { flagOnly: true }) } as const satisfies Settings

export const onlyNow = flagOnly

/** Adds the settings to a command as its options. */
export function addSettings(command: Command, settings: Settings): void {
  for (const [name, setting] of Object.entries(settings)) {
    const flags = setting.takes === null ? `--${name}` : `--${name} ${setting.takes}`
    const shown = setting.shown === null ? '' : ` (default: ${setting.shown})`
    const option = new Option(flags, `${setting.about}${setting.many ? '; repeatable' : ''}${shown}`)
    if (setting.takes !== null) {
      option.argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), text])
    }
    command.addOption(option)
  }
}

/** The flags that were given to a command and to those above it, by their long names. */
function flagsOf(command: Command): Flags {
  const above = command.parent === null ? {} : flagsOf(command.parent)
  const own = command.options.flatMap((option): [string, readonly string[]][] => {
    const given: unknown = command.getOptionValue(option.attributeName())
    if (given === undefined) return []
    return [[option.name(), Array.isArray(given) ? given.map(String) : ['yes']]]
  })
  return { ...above, ...Object.fromEntries(own) }
}

function helpAfter(spec: CommandSpec<Settings>): string {
  const codes = { 0: true, 1: true, 2: true, ...spec.exits } as const
  const lines = Object.entries(codes).map(([code, text]) => {
    const shared = Object.entries(EXITS).find(([known]) => known === code)?.[1] ?? ''
    return `  ${code.padStart(3)}  ${typeof text === 'string' ? text : shared}`
  })
  const examples = spec.examples.map((example) => `  $ ${example}`)
  return `\n${examples.length === 1 ? 'Example' : 'Examples'}:\n${examples.join('\n')}\n\nExit codes:\n${lines.join('\n')}`
}

function fill<S extends Settings>(command: Command, spec: CommandSpec<S>, run: Runner): void {
  command.description(spec.about)
  for (const takes of spec.takes ?? []) command.addArgument(new Argument(takes))
  addSettings(command, spec.settings)
  command.addHelpText('after', helpAfter(spec))
  command.action(async () => {
    const args = command.processedArgs.flat().filter((arg) => typeof arg === 'string')
    const empty = args.indexOf('')
    if (empty >= 0) {
      const what = spec.takes?.[empty] ?? spec.takes?.at(-1) ?? ''
      throw new NodeDaemonError('BAD_USAGE', `${what} is empty`, { advice: `for example: ${spec.examples[0] ?? ''}` })
    }
    await run(spec, flagsOf(command), args)
  })
}

export function command<S extends Settings>(spec: CommandSpec<S>, below: readonly Branch[] = []): Branch {
  return {
    settings: [spec.settings, ...below.flatMap((branch) => branch.settings)],
    example: spec.examples[0] ?? '',
    attach(parent, run) {
      const child = parent.command(spec.name)
      fill(child, spec, run)
      for (const branch of below) branch.attach(child, run)
    }
  }
}

/** Commands under a common word. The word alone is wrong usage. */
export function group(name: string, about: string, below: readonly Branch[]): Branch {
  return {
    settings: below.flatMap((branch) => branch.settings),
    example: below[0]?.example ?? '',
    attach(parent, run) {
      const child = parent.command(name).description(about)
      for (const branch of below) branch.attach(child, run)
      const words = child.commands.map((one) => one.name()).join(', ')
      child.addHelpText(
        'after',
        `\nExample:\n  $ ${below[0]?.example ?? ''}\n\nExit codes: see node-daemon ${name} COMMAND --help; COMMAND is one of ${words}`
      )
    }
  }
}
