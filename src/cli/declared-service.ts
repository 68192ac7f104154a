import { NodeDaemonError } from '../core/errors.ts'
import { parse } from '../core/parse.ts'
import { checkedDeclaration, type NewService } from '../routing/declaration.ts'
import { SCOPES } from '../routing/neighbours.ts'
import { LEVELS } from '../wire/control.ts'
import { label, oneOf, pairs } from './values.ts'

const KEYS = ['name', 'route', 'scope', 'ack', 'version', 'needs', 'writers'] as const
type Key = (typeof KEYS)[number]

/**
 * A service as it stands in a configuration: `name=wiki route=/wiki scope=service needs=gpu=yes`, or the same as a JSON
 * object, as which a map of the config file comes.
 */
export function declaredService(text: string): NewService {
  const said = wordsOf(text)
  const one = (key: Key): string | undefined => {
    const [first, second] = said.get(key) ?? []
    if (second !== undefined) throw bad(text, `${key} stands twice`)
    return first
  }
  const [name, route, scope, ack] = [one('name'), one('route'), one('scope'), one('ack')]
  if (name === undefined || route === undefined) throw bad(text, 'it needs a name and a route')
  const service: NewService = {
    name,
    route,
    scope: scope === undefined ? 'user' : oneOf(...SCOPES)(scope),
    acknowledge: ack === undefined ? null : oneOf(...LEVELS)(ack),
    version: one('version') ?? '1',
    needs: pairs((said.get('needs') ?? []).map(label)),
    writers: one('writers') ?? null
  }
  checkedDeclaration(service)
  return service
}

function wordsOf(text: string): ReadonlyMap<Key, readonly string[]> {
  const said = new Map<Key, string[]>()
  for (const [name, value] of text.trimStart().startsWith('{') ? fromMap(text) : fromLine(text)) {
    const key = KEYS.find((known) => known === name)
    if (key === undefined) throw bad(text, `"${parse.line(name, 40)}" is none of ${KEYS.join(', ')}`)
    said.set(key, [...(said.get(key) ?? []), value])
  }
  return said
}

const fromLine = (text: string): [string, string][] =>
  text
    .trim()
    .split(/\s+/)
    .map((word) => [word.split('=', 1)[0] ?? '', word.slice(word.indexOf('=') + 1)])

/** A list or a map in it repeats its word: `needs: { gpu: yes }` is `needs=gpu=yes`. */
function fromMap(text: string): [string, string][] {
  return Object.entries(parsed(text)).flatMap(([name, said]): [string, string][] => {
    if (Array.isArray(said)) return said.map((one) => [name, String(one)])
    if (typeof said !== 'object' || said === null) return [[name, textOf(said)]]
    return Object.entries(said).map(([key, one]) => [name, `${key}=${textOf(one)}`])
  })
}

/** In YAML an unquoted `yes` is a word in one version, and a truth in another. */
const textOf = (said: unknown): string => (typeof said === 'boolean' ? (said ? 'yes' : 'no') : String(said))

function parsed(text: string): object {
  try {
    return JSON.parse(text)
  } catch {
    throw bad(text, 'it is no JSON object')
  }
}

const bad = (text: string, why: string): NodeDaemonError =>
  new NodeDaemonError('BAD_USAGE', `"${parse.line(text, 100)}" declares no service: ${why}`, {
    advice: 'write it like name=wiki route=/wiki scope=service version=2.1 needs=gpu=yes ack=local'
  })
