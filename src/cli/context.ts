import type { Clock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import type { Random } from '../core/random.ts'
import type { Flags } from './command.ts'
import { defaultFolder, type Role } from './folders.ts'
import { clean } from './format.ts'
import { type Api, connectApi, folderPlace, remotePlace } from './local-client.ts'
import type { Printer } from './printer.ts'
import type { Terminal } from './terminal.ts'

/** What every command is given. */
export interface Context {
  readonly terminal: Terminal
  readonly print: Printer
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** `--data`, where it was said. */
  readonly data: string | null
  /** What was typed. */
  readonly flags: Flags
}

export const folderOf = (context: Context, role: Parameters<typeof defaultFolder>[0]): string =>
  context.data ?? defaultFolder(role, context.terminal.env, context.terminal.home)

export const localApi = (context: Context, role: Role): Api => connectApi(folderPlace(folderOf(context, role), role))

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])

/** The coordinator's API: at `--api` with `--token`, else the local one. */
export function adminApi(
  context: Context,
  values: { readonly api: string | null; readonly token: string | null }
): Api {
  if (values.api === null) return localApi(context, 'coordinator')
  if (values.token === null) {
    throw new NodeDaemonError('BAD_USAGE', 'a coordinator at --api wants a token', {
      advice: 'give one with --token or NODE_DAEMON_TOKEN; an admin makes one with: node-daemon admins add NAME'
    })
  }
  const url = new URL(values.api)
  if (url.protocol === 'http:' && !LOOPBACK.has(url.hostname)) {
    context.print.note(`warning: the token crosses the network unencrypted to ${url.host}`)
  }
  return connectApi(remotePlace(url.origin, values.token))
}

/**
 * Asks a person before something is destroyed.
 *
 * @throws BAD_USAGE nobody can be asked, and `yes` was not said
 * @throws ABORTED the answer was no
 */
export async function sure(context: Context, question: string, yes: boolean): Promise<void> {
  if (yes) return
  if (!context.terminal.inIsTty) {
    throw new NodeDaemonError('BAD_USAGE', `this asks first, and nobody can be asked here: ${question}`, {
      advice: 'say --yes if you are sure'
    })
  }
  if (!(await askedYes(context.terminal, question))) {
    throw new NodeDaemonError('ABORTED', 'not done', { advice: 'nothing was changed' })
  }
}

/**
 * Looks for a thing by its name in a list of the coordinator, before anybody is asked about it.
 *
 * @throws NOT_FOUND the list has none of that name
 */
export async function known(api: Api, path: `/${string}s`, word: string, name: string): Promise<void> {
  const all = await api.get<{ readonly name: string }[]>(path)
  if (all.some((one) => one.name === name)) return
  throw new NodeDaemonError('NOT_FOUND', `there is no ${word} "${clean(name)}"`, {
    advice: `see: node-daemon ${path.slice(1)} ls`
  })
}

export async function askedYes(terminal: Terminal, question: string): Promise<boolean> {
  const answer = await terminal.question(`${question} [y/N] `)
  return ['y', 'yes'].includes(answer.trim().toLowerCase())
}
