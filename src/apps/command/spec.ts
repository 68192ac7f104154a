import { NodeDaemonError } from '../../core/errors.ts'
import { parse } from '../../core/parse.ts'

/** What a command may be told, in braces: `{port}`. */
export const PLACEHOLDERS = ['port', 'socket', 'dir', 'base', 'secret'] as const
export type Placeholder = (typeof PLACEHOLDERS)[number]

/** How a service runs: one process for each workspace, started from these words. */
export interface CommandSpec {
  /** The program and its arguments, with placeholders. No shell reads them. */
  readonly words: readonly [string, ...string[]]
  /** Where the process listens, as the placeholder says that stands in its words. */
  readonly listens: 'port' | 'socket'
}

const CHARACTERS_MAX = 4000

/**
 * A command as an operator writes it. It is cut into words as a shell does it, with quotes and backslashes, but no shell
 * runs: nothing is expanded but the placeholders, each within its word.
 *
 * @throws NodeDaemonError `BAD_USAGE`
 */
export function parseCommand(text: string): CommandSpec {
  if (text.length > CHARACTERS_MAX || text.includes('\0')) {
    throw bad(text, `is longer than ${CHARACTERS_MAX} characters, or not text`, 'put it into a script of your own')
  }
  const [program, ...rest] = split(text)
  if (program === undefined || program === '')
    throw bad(text, 'names no program', 'write it like command:my-app --port {port}')
  const words: CommandSpec['words'] = [program, ...rest]
  const says = (name: Placeholder): boolean => words.some((word) => word.includes(`{${name}}`))
  if (says('port') === says('socket')) {
    const what = says('port') ? 'says {port} and {socket}' : 'does not say where the app listens'
    throw bad(
      text,
      what,
      'write one of them where the app is told it: {port}, a port of 127.0.0.1, or {socket}, the path of a Unix socket'
    )
  }
  return { words, listens: says('port') ? 'port' : 'socket' }
}

/** The words with what the placeholders stand for. */
export const filled = (words: readonly string[], values: Readonly<Record<Placeholder, string>>): string[] =>
  words.map((word) => word.replaceAll(PLACEHOLDER, (_, name: Placeholder) => values[name]))

const PLACEHOLDER = new RegExp(`\\{(${PLACEHOLDERS.join('|')})\\}`, 'g')

/** What only a shell understands: it would reach the app as it is, and do nothing. */
const SHELL = /[|&;<>()$`\n]/

const PIECE = /(\s+)|'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^\s'"\\]+)|(.)/gsu

function split(text: string): string[] {
  const words: string[] = []
  let word: string | null = null
  for (const [, space, single, double, escaped, plain, wrong] of text.matchAll(PIECE)) {
    if (wrong !== undefined) throw bad(text, `has a ${wrong} without its end`, `close it, or write \\${wrong}`)
    if (plain !== undefined && SHELL.test(plain)) {
      throw bad(
        text,
        `needs a shell for "${plain}", and none runs it`,
        "write command:sh -c '…': what the placeholders stand for is in its environment"
      )
    }
    if (space !== undefined) {
      if (word !== null) words.push(word)
      word = null
      continue
    }
    word = (word ?? '') + (single ?? double?.replaceAll(/\\(["\\$`])/g, '$1') ?? escaped ?? plain ?? '')
  }
  return word === null ? words : [...words, word]
}

const bad = (text: string, what: string, advice: string): NodeDaemonError =>
  new NodeDaemonError('BAD_USAGE', `the command "${parse.line(text.slice(0, 100), 100)}" ${what}`, { advice })
