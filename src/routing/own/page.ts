import type { ServerResponse } from 'node:http'
import { NodeDaemonError } from '../../core/errors.ts'
import { isCrossSite } from '../identify.ts'
import type { OwnRequest } from '../neighbours.ts'
import { escapeHtml } from '../pages.ts'
import { STYLE } from './style.ts'

const FORM_BYTES_MAX = 16 * 1024
const FORM_TYPE = /^application\/x-www-form-urlencoded\s*(;|$)/i

/** Forms lead nowhere but here; nothing is loaded from anywhere. */
const PAGE_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

/** A page of the front door for people. */
export interface OwnHtml {
  /** 200 where nothing is said. */
  readonly status?: number
  readonly title: string
  /** HTML. Whatever comes from outside went through `escapeHtml`. */
  readonly body: string
  /** Name, value, name, value … such as cookies. */
  readonly headers?: readonly string[]
}

/** Answers with a page in the look that all of them share. Does nothing where an answer has begun. */
export function sendPage(response: ServerResponse, page: OwnHtml): void {
  if (response.headersSent || response.destroyed) return
  const bytes = Buffer.from(htmlOf(page))
  response.writeHead(page.status ?? 200, [
    'content-type',
    'text/html; charset=utf-8',
    'content-length',
    String(bytes.length),
    'content-security-policy',
    PAGE_POLICY,
    ...COMMON_HEADERS,
    ...(page.headers ?? [])
  ])
  response.end(response.req.method === 'HEAD' ? undefined : bytes)
}

/** Has the browser go on with a GET elsewhere. `location` is a path of this address, or an address that an admin gave. */
export function seeOther(response: ServerResponse, location: string, headers: readonly string[] = []): void {
  response.writeHead(303, ['location', location, 'content-length', '0', ...COMMON_HEADERS, ...headers])
  response.end()
}

const COMMON_HEADERS = [
  'cache-control',
  'no-store',
  'x-content-type-options',
  'nosniff',
  // With no referrer at all, a browser would not say the origin of a form either.
  'referrer-policy',
  'same-origin',
  'x-served-by',
  'front-door'
] as const

/**
 * A change by a form: only one of these pages may ask for it. A browser tells where a form was sent from.
 *
 * @throws NodeDaemonError `FORBIDDEN`
 */
export function checkOwnForm({ request, client }: OwnRequest, secure: boolean): void {
  const { headers } = request
  const told = headers.origin !== undefined || headers['sec-fetch-site'] === 'same-origin'
  if (told && !isCrossSite({ headers, client }, secure)) return
  throw new NodeDaemonError('FORBIDDEN', 'A page of another site asked for this, or your browser does not say which.')
}

/**
 * The fields of a form that was sent.
 *
 * @throws NodeDaemonError `BAD_REQUEST` another kind of body; `TOO_LARGE` more than 16 KiB; `ABORTED` it was cut off
 */
export async function readForm({ request }: OwnRequest): Promise<URLSearchParams> {
  if (!FORM_TYPE.test(request.headers['content-type'] ?? '')) {
    throw new NodeDaemonError('BAD_REQUEST', 'Send this as a form.')
  }
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > FORM_BYTES_MAX) throw new NodeDaemonError('TOO_LARGE', 'This form is too large.')
      chunks.push(chunk)
    }
  } catch (error) {
    if (error instanceof NodeDaemonError) throw error
    throw new NodeDaemonError('ABORTED', 'the form was cut off', { cause: error })
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'))
}

/** What stands behind the `?` of a request. */
export function queryOf({ request }: OwnRequest): URLSearchParams {
  const url = request.url ?? ''
  const mark = url.indexOf('?')
  return new URLSearchParams(mark === -1 ? '' : url.slice(mark + 1))
}

/** @throws NodeDaemonError `BAD_REQUEST` another method than these; HEAD goes where GET goes */
export function checkMethod({ request }: OwnRequest, ...methods: readonly ('GET' | 'POST')[]): 'GET' | 'POST' {
  const asked = request.method === 'HEAD' ? 'GET' : request.method
  const method = methods.find((one) => one === asked)
  if (method === undefined) throw new NodeDaemonError('BAD_REQUEST', 'This method is not used here.')
  return method
}

function htmlOf({ title, body }: OwnHtml): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<link rel="icon" href="data:,">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body><main><h1>${escapeHtml(title)}</h1>
${body}
</main></body>
</html>
`
}
