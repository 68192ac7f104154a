import { Refusal } from './refusal.ts'

/** One condition of an If header (RFC 4918, section 10.4). */
export interface Condition {
  readonly not: boolean
  readonly kind: 'token' | 'etag'
  readonly value: string
}

/** Lists of conditions: true where all conditions of one list are. */
export interface IfClause {
  /** The URL that the list is about; null: the one that was asked for. */
  readonly resource: string | null
  readonly conditions: readonly Condition[]
}

const HEADER_BYTES_MAX = 8192
const CLAUSES_MAX = 64
const RESOURCE = /^<([^<>]+)>\s*/
const CONDITION = /^(Not\s+|Not(?=[<[]))?(?:<([^<>]+)>|\[((?:W\/)?"[^"]*")\])\s*/i

/** @throws Refusal 400 for what is no If header */
export function parseIf(header: string): IfClause[] {
  if (header.length > HEADER_BYTES_MAX) throw new Refusal(400, 'the If header is too long')
  const clauses: IfClause[] = []
  let resource: string | null = null
  let rest = header.trim()
  while (rest !== '') {
    const tag = RESOURCE.exec(rest)
    if (tag !== null) {
      resource = tag[1] ?? null
      rest = rest.slice(tag[0].length)
    }
    const [conditions, after] = parseList(rest)
    clauses.push({ resource, conditions })
    if (clauses.length > CLAUSES_MAX) throw new Refusal(400, 'the If header has too many lists')
    rest = after
  }
  if (clauses.length === 0) throw new Refusal(400, 'the If header is empty')
  return clauses
}

function parseList(text: string): [Condition[], string] {
  if (!text.startsWith('(')) throw new Refusal(400, 'the If header is not understood')
  const conditions: Condition[] = []
  let rest = text.slice(1).trimStart()
  for (let match = CONDITION.exec(rest); match !== null; match = CONDITION.exec(rest)) {
    const [whole, not, token, etag] = match
    const kind = token === undefined ? 'etag' : 'token'
    conditions.push({ not: not !== undefined, kind, value: token ?? etag ?? '' })
    rest = rest.slice(whole.length)
  }
  if (conditions.length === 0 || !rest.startsWith(')')) throw new Refusal(400, 'the If header is not understood')
  return [conditions, rest.slice(1).trimStart()]
}

/** All lock tokens that a client shows to know. */
export function submittedTokens(clauses: readonly IfClause[]): Set<string> {
  return new Set(
    clauses.flatMap(({ conditions }) => conditions.filter(({ kind }) => kind === 'token').map(({ value }) => value))
  )
}

/** What the conditions are compared with. */
export interface ResourceState {
  readonly etag: string | null
  readonly tokens: ReadonlySet<string>
}

/** Is one of the lists true? */
export async function holds(
  clauses: readonly IfClause[],
  stateOf: (resource: string | null) => Promise<ResourceState>
): Promise<boolean> {
  for (const { resource, conditions } of clauses) {
    const state = await stateOf(resource)
    if (conditions.every((condition) => isTrue(condition, state) !== condition.not)) return true
  }
  return false
}

function isTrue({ kind, value }: Condition, state: ResourceState): boolean {
  return kind === 'etag' ? state.etag === value : state.tokens.has(value)
}
