import { NodeDaemonError } from '../core/errors.ts'
import { parse } from '../core/parse.ts'
import { checkedDeclaration, type NewService } from '../routing/declaration.ts'
import { SCOPES } from '../routing/neighbours.ts'
import { LEVELS } from '../wire/control.ts'
import { label, oneOf, pairs } from './values.ts'

const KEYS = ['name', 'route', 'scope', 'ack', 'version', 'needs', 'writers'] as const
type Key = (typeof KEYS)[number]

/** A service as it stands in a configuration: `name=wiki route=/wiki scope=service needs=gpu=yes`. */
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
  for (const word of text.trim().split(/\s+/)) {
    const at = word.indexOf('=')
    const key = KEYS.find((known) => known === word.slice(0, Math.max(0, at)))
    if (key === undefined) throw bad(text, `"${parse.line(word, 40)}" is none of ${KEYS.join(', ')}`)
    said.set(key, [...(said.get(key) ?? []), word.slice(at + 1)])
  }
  return said
}

const bad = (text: string, why: string): NodeDaemonError =>
  new NodeDaemonError('BAD_USAGE', `"${parse.line(text, 100)}" declares no service: ${why}`, {
    advice: 'write it like name=wiki route=/wiki scope=service version=2.1 needs=gpu=yes ack=local'
  })
