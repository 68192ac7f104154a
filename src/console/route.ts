import type { z } from 'zod'
import { NodeDaemonError } from '../core/errors.ts'
import { nothing, target as targetSchema } from './inputs.ts'
import type { Answer, Caller, Topic } from './service.ts'
import type { Role } from './views.ts'

export type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

/** One request, checked: what a handler sees. */
export interface Call<Input> {
  readonly caller: Caller
  /** The path's parameter; empty where the path has none. */
  readonly target: string
  readonly input: Input
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal
}

interface RouteHead {
  readonly method: Method
  /** Below `/api/v1`; at most one `:parameter`. */
  readonly path: string
  readonly summary: string
  /** The least role that may call it. */
  readonly role: Role
  /** Of the query for GET, else of the body. */
  readonly input: z.ZodType
  /** Of the answer, or of one line or event of it. */
  readonly output: z.ZodType
  /** Served on the unix socket and nowhere else. */
  readonly socketOnly: boolean
}

/**
 * One endpoint of an API, as a value: the router, the role check and the OpenAPI document read the same table.
 * `json` answers with one document, `lines` with one document a line, `changes` with a server-sent event per change,
 * `car` with the bytes of a CAR file.
 */
export type Route<Service> = RouteHead &
  (
    | { readonly kind: 'json'; run(service: Service, call: Call<unknown>): Answer<unknown> }
    | {
        readonly kind: 'file'
        fileName(target: string): string
        run(service: Service, call: Call<unknown>): Answer<unknown>
      }
    | {
        readonly kind: 'car'
        fileName(target: string): string
        run(service: Service, call: Call<unknown>): AsyncIterable<Uint8Array>
      }
    | { readonly kind: 'lines'; run(service: Service, call: Call<unknown>): AsyncIterable<object> }
    | { readonly kind: 'changes'; run(service: Service, call: Call<unknown>): Watch }
  )

/** Begins to listen; returns how to stop. */
export type Watch = (listener: (topic: Topic) => void) => () => void

interface Spec<Input extends z.ZodType> extends Partial<Pick<RouteHead, 'socketOnly'>> {
  readonly summary: string
  readonly role: Role
  readonly input?: Input
  readonly output: z.ZodType
}

type Handler<Service, Input extends z.ZodType, Result> = (service: Service, call: Call<z.infer<Input>>) => Result

/** The makers of one API's routes; each ties a handler to the schema of its input. */
export function routesOf<Service>() {
  function head<Input extends z.ZodType>(method: Method, path: string, spec: Spec<Input>): RouteHead {
    return { socketOnly: false, method, path, ...spec, input: spec.input ?? nothing }
  }
  const checked = <Input extends z.ZodType>(spec: Spec<Input>, call: Call<unknown>): Call<z.infer<Input>> => ({
    ...call,
    target: call.target === '' ? '' : checkInput(targetSchema, call.target),
    input: checkInput(spec.input ?? nothing, call.input) as z.infer<Input>
  })
  return {
    json: <Input extends z.ZodType = typeof nothing>(
      method: Method,
      path: string,
      spec: Spec<Input>,
      handle: Handler<Service, Input, Answer<unknown>>
    ): Route<Service> => ({
      ...head(method, path, spec),
      kind: 'json',
      run: (service, call) => handle(service, checked(spec, call))
    }),
    file: (
      path: string,
      spec: Spec<typeof nothing> & { fileName(target: string): string },
      handle: Handler<Service, typeof nothing, Answer<unknown>>
    ): Route<Service> => ({
      ...head('GET', path, spec),
      kind: 'file',
      fileName: spec.fileName,
      run: (service, call) => handle(service, checked(spec, call))
    }),
    car: <Input extends z.ZodType = typeof nothing>(
      path: string,
      spec: Spec<Input> & { fileName(target: string): string },
      handle: Handler<Service, Input, AsyncIterable<Uint8Array>>
    ): Route<Service> => ({
      ...head('GET', path, spec),
      kind: 'car',
      fileName: spec.fileName,
      run: (service, call) => handle(service, checked(spec, call))
    }),
    lines: <Input extends z.ZodType = typeof nothing>(
      path: string,
      spec: Spec<Input>,
      handle: Handler<Service, Input, AsyncIterable<object>>
    ): Route<Service> => ({
      ...head('POST', path, spec),
      kind: 'lines',
      run: (service, call) => handle(service, checked(spec, call))
    }),
    changes: (
      path: string,
      spec: Spec<typeof nothing>,
      handle: Handler<Service, typeof nothing, Watch>
    ): Route<Service> => ({
      ...head('GET', path, spec),
      kind: 'changes',
      run: (service, call) => handle(service, checked(spec, call))
    })
  }
}

const ISSUES_MAX = 3
const MESSAGE_MAX = 300

/** @throws NodeDaemonError `BAD_REQUEST` with the first few things that are wrong */
export function checkInput<Schema extends z.ZodType>(schema: Schema, input: unknown): z.infer<Schema> {
  const result = schema.safeParse(input)
  if (result.success) return result.data
  const issues = result.error.issues.slice(0, ISSUES_MAX).map(({ path, message }) => {
    const where = path.map(String).join('.')
    return where === '' ? message : `${where}: ${message}`
  })
  throw new NodeDaemonError('BAD_REQUEST', issues.join('; ').slice(0, MESSAGE_MAX), {
    advice: 'see /api/v1/openapi.json for what this endpoint takes'
  })
}

export type Match<Service> =
  | { readonly kind: 'found'; readonly route: Route<Service>; readonly target: string }
  | { readonly kind: 'other-method'; readonly allow: readonly Method[] }
  | { readonly kind: 'none' }

/** Which route a method and a path below `/api/v1` mean: the first of the table that fits. */
export function matchRoute<Service>(routes: readonly Route<Service>[], method: string, path: string): Match<Service> {
  const segments = path.split('/')
  const hits = routes.flatMap((route) => {
    const target = targetIn(route.path.split('/'), segments)
    return target === null ? [] : [{ route, target }]
  })
  if (hits.length === 0) return { kind: 'none' }
  const hit = hits.find(({ route }) => route.method === method)
  if (hit !== undefined) return { kind: 'found', ...hit }
  return { kind: 'other-method', allow: [...new Set(hits.map(({ route }) => route.method))] }
}

/** The parameter's value where the segments fit the pattern, else null. */
function targetIn(pattern: readonly string[], segments: readonly string[]): string | null {
  if (pattern.length !== segments.length) return null
  let target = ''
  for (const [index, part] of pattern.entries()) {
    const segment = segments[index] ?? ''
    if (!part.startsWith(':')) {
      if (part !== segment) return null
    } else {
      const decoded = decodeSegment(segment)
      if (decoded === null || decoded === '') return null
      target = decoded
    }
  }
  return target
}

function decodeSegment(segment: string): string | null {
  try {
    return decodeURIComponent(segment)
  } catch {
    return null
  }
}
