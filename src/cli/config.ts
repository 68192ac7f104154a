import { readFile, stat } from 'node:fs/promises'
import { parse } from 'yaml'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { ConfigFile, Settings } from './settings.ts'

const CONFIG_BYTES_MAX = 256 * 1024

const badConfig = (path: string, what: string, advice: string): NodeDaemonError =>
  new NodeDaemonError('BAD_CONFIG', `${path}: ${what}`, { advice })

async function textOf(path: string, required: boolean): Promise<string | null> {
  try {
    if ((await stat(path)).size > CONFIG_BYTES_MAX) throw badConfig(path, 'is too large', 'it may have 256 KiB')
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof NodeDaemonError) throw error
    const missing = error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
    if (missing && !required) return null
    throw badConfig(path, missing ? 'there is no such file' : messageOf(error), 'check the path given by --config')
  }
}

function lineOf(path: string, key: string, said: unknown, many: boolean): readonly string[] {
  if (typeof said === 'string' || typeof said === 'number') return [String(said)]
  if (typeof said === 'boolean') return [said ? 'yes' : 'no']
  if (many && Array.isArray(said))
    return said.flatMap((one) => (isMap(one) ? wordsOf(one) : lineOf(path, key, one, false)))
  if (many && typeof said === 'object' && said !== null) {
    return Object.entries(said).map(([name, one]) => `${name}=${String(one)}`)
  }
  throw badConfig(
    path,
    `${key} has no usable value`,
    many ? `write a list under ${key}` : `write one value after ${key}:`
  )
}

const isMap = (said: unknown): said is object => typeof said === 'object' && said !== null && !Array.isArray(said)

/** A map in a list is one value, in words: `name=wiki route=/wiki`. A list or a map in it repeats its word. */
function wordsOf(map: object): string[] {
  const words = Object.entries(map).flatMap(([key, said]) => {
    if (Array.isArray(said)) return said.map((one) => `${key}=${String(one)}`)
    if (isMap(said)) return Object.entries(said).map(([name, one]) => `${key}=${name}=${String(one)}`)
    return [`${key}=${String(said)}`]
  })
  return [words.join(' ')]
}

function fromText(path: string, text: string): unknown {
  try {
    return parse(text, { maxAliasCount: 16, logLevel: 'error' })
  } catch (error) {
    throw badConfig(path, messageOf(error), 'it is read as YAML: one "key: value" a line')
  }
}

/**
 * Reads a config file: YAML, its keys are the names of flags. Null where the file is not there and need not be.
 *
 * @param known the settings whose names may stand there
 * @throws BAD_CONFIG it cannot be read, or has a key that is not known
 */
export async function readConfig(
  path: string,
  known: Settings,
  options: { required: boolean }
): Promise<ConfigFile | null> {
  const text = await textOf(path, options.required)
  if (text === null) return null
  const parsed = fromText(path, text) ?? {}
  if (typeof parsed !== 'object' || Array.isArray(parsed)) {
    throw badConfig(path, 'is not a list of keys and values', 'write one "key: value" a line')
  }
  const values = Object.entries(parsed).map(([key, said]) => {
    const setting = Object.hasOwn(known, key) ? known[key] : undefined
    if (setting === undefined || setting.flagOnly) {
      const keys = Object.keys(known).filter((name) => known[name]?.flagOnly === false)
      throw badConfig(path, `unknown key "${key}"`, `known keys: ${keys.join(', ')}`)
    }
    return [key, lineOf(path, key, said, setting.many)] as const
  })
  return { path, values: new Map(values) }
}
