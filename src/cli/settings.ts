import { type ErrorCode, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Parser } from './values.ts'

/** One thing that can be said about a command: by a flag, an environment variable or a line of the config file. */
export interface Setting<T> {
  /** What stands for the value in the help, such as `<size>`; null for a switch, which takes none. */
  readonly takes: string | null
  readonly about: string
  /** The default, as the help shows it. */
  readonly shown: string | null
  readonly many: boolean
  /** Only a flag may say it: what destroys, or makes sense for one call only. */
  readonly flagOnly: boolean
  readonly whenSilent: T
  read(texts: readonly string[]): T
}

export type Settings = Readonly<Record<string, Setting<unknown>>>
export type ValuesOf<S extends Settings> = { readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never }

const last = (texts: readonly string[]): string => texts.at(-1) ?? ''

/** A value with a default. */
export function value<T>(
  takes: string,
  about: string,
  parser: Parser<T>,
  whenSilent: NoInfer<T>,
  shown: string
): Setting<T> {
  return { takes, about, shown, many: false, flagOnly: false, whenSilent, read: (texts) => parser(last(texts)) }
}

/** A value that need not be said: null then. */
export function maybe<T>(
  takes: string,
  about: string,
  parser: Parser<T>,
  shown: string | null = null
): Setting<T | null> {
  return { takes, about, shown, many: false, flagOnly: false, whenSilent: null, read: (texts) => parser(last(texts)) }
}

const LIST_MAX = 64

/** A value that may be said several times, at most 64. */
export function list<T>(
  takes: string,
  about: string,
  parser: Parser<T>,
  whenSilent: readonly NoInfer<T>[] = [],
  shown: string | null = null
): Setting<readonly T[]> {
  const read = (texts: readonly string[]): readonly T[] => {
    if (texts.length > LIST_MAX) throw new NodeDaemonError('BAD_USAGE', `more than ${LIST_MAX} of them`)
    return texts.map(parser)
  }
  return { takes, about, shown, many: true, flagOnly: false, whenSilent, read }
}

/** A switch: off unless said. */
export function toggle(about: string, options: { flagOnly?: boolean } = {}): Setting<boolean> {
  return {
    takes: null,
    about,
    shown: null,
    many: false,
    flagOnly: options.flagOnly ?? false,
    whenSilent: false,
    read: (texts) => ['yes', 'true', 'on', '1'].includes(last(texts).toLowerCase())
  }
}

export const flagOnly = <T>(setting: Setting<T>): Setting<T> => ({ ...setting, flagOnly: true })

/** Where settings come from, strongest first. */
export interface Sources {
  /** By the long flag's name without dashes; a switch is `['yes']`. */
  readonly flags: Readonly<Record<string, readonly string[]>>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly file: ConfigFile | null
}

export interface ConfigFile {
  readonly path: string
  readonly values: ReadonlyMap<string, readonly string[]>
}

export const environmentName = (name: string): string => `NODE_DAEMON_${name.toUpperCase().replaceAll('-', '_')}`

interface Said {
  readonly texts: readonly string[]
  readonly where: string
  readonly code: ErrorCode
}

function said(name: string, setting: Setting<unknown>, sources: Sources): Said | null {
  const flag = sources.flags[name]
  if (flag !== undefined) return { texts: flag, where: `--${name}`, code: 'BAD_USAGE' }
  if (setting.flagOnly) return null
  const variable = sources.env[environmentName(name)]
  if (variable !== undefined && variable !== '') {
    const texts = setting.many ? variable.split(',').map((text) => text.trim()) : [variable]
    return { texts, where: environmentName(name), code: 'BAD_CONFIG' }
  }
  const line = sources.file?.values.get(name)
  if (line === undefined) return null
  return { texts: line, where: `${name} in ${sources.file?.path ?? ''}`, code: 'BAD_CONFIG' }
}

/**
 * The value of each setting: flag, then environment, then file, then default.
 *
 * @throws BAD_USAGE, BAD_CONFIG a text is not what the setting takes; the message names where it stands
 */
export function readSettings<S extends Settings>(settings: S, sources: Sources): ValuesOf<S> {
  const entries = Object.entries(settings).map(([name, setting]) => {
    const found = said(name, setting, sources)
    return [name, found === null ? setting.whenSilent : readSaid(setting, found)] as const
  })
  return Object.fromEntries(entries) as ValuesOf<S>
}

function readSaid(setting: Setting<unknown>, found: Said): unknown {
  try {
    return setting.read(found.texts)
  } catch (error) {
    const advice = error instanceof NodeDaemonError ? error.advice : undefined
    throw new NodeDaemonError(found.code, `${found.where}: ${messageOf(error)}`, {
      cause: error,
      ...(advice === undefined ? {} : { advice })
    })
  }
}
