import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, CommanderError } from 'commander'
import { z } from 'zod'
import { type Clock, systemClock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { type Random, systemRandom } from '../core/random.ts'
import type { CommandSpec, Flags } from './command.ts'
import { addSettings, type Branch, GLOBAL_SETTINGS, type Runner } from './command.ts'
import { adminsCommand } from './commands/admins.ts'
import { auditCommand } from './commands/audit.ts'
import { completionCommand } from './commands/completion.ts'
import { coordinatorCommand } from './commands/coordinator.ts'
import { demoCommand } from './commands/demo.ts'
import { drainCommand } from './commands/drain.ts'
import { failoverCommand } from './commands/failover.ts'
import { frontDoorCommand } from './commands/front-door.ts'
import { groupsCommand } from './commands/groups.ts'
import { inviteCommand } from './commands/invite.ts'
import { joinCommand } from './commands/join.ts'
import { leaveCommand } from './commands/leave.ts'
import { peersCommand } from './commands/peers.ts'
import { rebalanceCommand } from './commands/rebalance.ts'
import { receiptsCommand } from './commands/receipts.ts'
import { repoCommand } from './commands/repo.ts'
import { servicesCommand } from './commands/services.ts'
import { setCommand } from './commands/set.ts'
import { statusCommand } from './commands/status.ts'
import { stopCommand } from './commands/stop.ts'
import { usersCommand } from './commands/users.ts'
import { workspacesCommand } from './commands/workspaces.ts'
import { readConfig } from './config.ts'
import { defaultFolder } from './folders.ts'
import { createLogger } from './logger.ts'
import { Printer } from './printer.ts'
import { errorText, exitCodeOf } from './report-error.ts'
import { type ConfigFile, readSettings, type Settings, type Sources } from './settings.ts'
import { processTerminal, type Terminal } from './terminal.ts'

const BRANCHES: readonly Branch[] = [
  coordinatorCommand,
  joinCommand,
  frontDoorCommand,
  statusCommand,
  drainCommand,
  stopCommand,
  leaveCommand,
  setCommand,
  peersCommand,
  inviteCommand,
  servicesCommand,
  workspacesCommand,
  rebalanceCommand,
  failoverCommand,
  usersCommand,
  groupsCommand,
  adminsCommand,
  repoCommand,
  receiptsCommand,
  auditCommand,
  demoCommand,
  completionCommand(() => commandTree())
]

/** After a command has ended, what it left open may keep the process for this long. */
const LEFT_OPEN_MS = 3000

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version
}

/** `--version` is about this program where it comes first. After a command it is that command's own. */
const FIRST_WORDS = ['-V', '--version', '-h', '--help']

/** The whole tree of commands, as it reads a line that begins with this word. */
export function commandTree(run: Runner = async () => undefined, firstWord = '--version'): Command {
  const program = new Command('node-daemon')
  program
    .description('Lend a server to a community web service, safely: replicate, promote, route, prove.')
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .helpCommand(false)
  if (FIRST_WORDS.includes(firstWord)) program.version(version())
  addSettings(program, GLOBAL_SETTINGS)
  program.addHelpText(
    'after',
    '\nExample:\n  $ node-daemon join https://main.example.org\n\nEach command has a --help with examples and its exit codes.'
  )
  for (const branch of BRANCHES) branch.attach(program, run)
  return program
}

/** Every setting that some command knows: what a config file that serves several commands may hold. */
function allSettings(): Settings {
  return Object.assign({}, GLOBAL_SETTINGS, ...BRANCHES.flatMap((branch) => branch.settings)) as Settings
}

async function configFor(
  spec: CommandSpec<Settings>,
  sources: Sources,
  terminal: Terminal
): Promise<ConfigFile | null> {
  const { config, data } = readSettings({ config: GLOBAL_SETTINGS.config, data: GLOBAL_SETTINGS.data }, sources)
  if (config !== null) {
    const known = spec.configOf === undefined ? allSettings() : { ...GLOBAL_SETTINGS, ...spec.settings }
    return await readConfig(config, known, { required: true })
  }
  if (spec.configOf === undefined) return null
  const folder = data ?? defaultFolder(spec.configOf, terminal.env, terminal.home)
  const { data: _elsewhere, config: _another, ...known } = { ...GLOBAL_SETTINGS, ...spec.settings }
  return await readConfig(join(folder, 'config.yaml'), known, { required: false })
}

/** How to ask for help on what was begun to be typed. */
function helpLine(program: Command, argv: readonly string[]): string {
  let at = program
  const words = ['node-daemon']
  for (const word of argv) {
    const next = at.commands.find((child) => child.name() === word)
    if (next === undefined) continue
    words.push(word)
    at = next
  }
  return `see: ${words.join(' ')} --help`
}

function usageError(error: CommanderError, help: string): NodeDaemonError {
  const [what = '', ...hints] = error.message.replace(/^error: /, '').split('\n')
  const hint = hints.join(' ').replaceAll(/[()]/g, '').trim()
  return new NodeDaemonError('BAD_USAGE', what.replaceAll("'", '"'), {
    advice: `${hint === '' ? '' : `${hint.charAt(0).toUpperCase()}${hint.slice(1)}  `}${help}`,
    cause: error
  })
}

export interface ProgramDeps {
  readonly terminal: Terminal
  readonly clock: Clock
  readonly random: Random
}

/**
 * Runs one command line, without `node` and the program's name. Results go to stdout; an error goes to stderr as
 * `error CODE: what happened` and one line of what to do. Resolves with the exit code.
 */
export async function runProgram(argv: readonly string[], deps: ProgramDeps): Promise<number> {
  const { terminal } = deps
  let exitCode = 0
  const program = commandTree(async (spec, flags, args) => {
    exitCode = await carryOut(spec, flags, args, deps)
  }, argv[0])
  let help = ''
  quietly(program, (text) => {
    help += text
  })
  try {
    await program.parseAsync(argv, { from: 'user' })
    return exitCode
  } catch (error) {
    const shown = error instanceof CommanderError
    if (shown && error.exitCode === 0) {
      terminal.out(help)
      return 0
    }
    const failure = shown ? usageError(wordMissing(error), helpLine(program, argv)) : error
    terminal.err(errorText(failure))
    return exitCodeOf(failure)
  }
}

/** A group without its command: commander answers with help only. */
const wordMissing = (error: CommanderError): CommanderError =>
  error.code === 'commander.help' ? new CommanderError(2, error.code, 'error: a command is missing') : error

function quietly(command: Command, writeOut: (text: string) => void): void {
  command.exitOverride().configureOutput({ writeOut, writeErr: () => undefined, outputError: () => undefined })
  for (const child of command.commands) quietly(child, writeOut)
}

async function carryOut<S extends Settings>(
  spec: CommandSpec<S>,
  flags: Flags,
  args: readonly string[],
  deps: ProgramDeps
): Promise<number> {
  const { terminal, clock, random } = deps
  const bare: Sources = { flags, env: terminal.env, file: null }
  const sources: Sources = { ...bare, file: await configFor(spec, bare, terminal) }
  const global = readSettings(GLOBAL_SETTINGS, sources)
  const level = global['log-level'] ?? (terminal.errIsTty ? 'warn' : 'info')
  const context = {
    terminal,
    clock,
    random,
    print: new Printer(terminal, global.json),
    log: createLogger(terminal, level),
    data: global.data,
    flags
  }
  return await spec.run(context, readSettings(spec.settings, sources), args)
}

/** Runs the command line of this process, and leaves its exit code. */
export async function runFromProcess(): Promise<void> {
  const terminal = processTerminal()
  // A reader that has gone away (`| head`) is no reason to complain.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  process.exitCode = await runProgram(process.argv.slice(2), {
    terminal,
    clock: systemClock(),
    random: systemRandom()
  })
  if (process.connected) process.disconnect()
  // This timer does not keep the process by itself.
  AbortSignal.timeout(LEFT_OPEN_MS).addEventListener('abort', () => process.exit())
}
