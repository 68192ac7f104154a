import type { ServerResponse } from 'node:http'
import { headText } from '../wire/http.ts'

/** What the front door itself answers. */
export interface Page {
  readonly status: number
  readonly title: string
  /** Plain text; sentences. */
  readonly text: string
  /** Ask again after this many seconds; a browser does so by itself. */
  readonly retryAfterS?: number
  readonly headers?: readonly string[]
  /** Where a person goes on, on this address. */
  readonly links?: readonly { readonly path: string; readonly text: string }[]
}

/** Who answers, where no instance did. */
export const FRONT_DOOR = 'front-door'
const PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  417: 'Expectation Failed',
  431: 'Request Header Fields Too Large'
}

/** Answers with a page for browsers and with plain text for programs. Does nothing where an answer has begun. */
export function answer(response: ServerResponse, page: Page): void {
  if (response.headersSent || response.destroyed) return
  const html = prefersHtml(response.req.headers.accept)
  const body = Buffer.from(html ? htmlOf(page) : textOf(page))
  const headers = [
    'content-type',
    html ? 'text/html; charset=utf-8' : 'text/plain; charset=utf-8',
    'content-length',
    String(body.length),
    ...commonHeaders(page)
  ]
  // An instance's answer that could not be passed on may have left its own words here, which would be refused again.
  response.statusMessage = ''
  response.writeHead(page.status, headers)
  response.end(response.req.method === 'HEAD' ? undefined : body)
}

/** Answers with JSON. */
export function answerJson(response: ServerResponse, value: object): void {
  const body = Buffer.from(`${JSON.stringify(value)}\n`)
  response.writeHead(200, [
    'content-type',
    'application/json; charset=utf-8',
    'content-length',
    String(body.length),
    'cache-control',
    'no-store',
    'x-content-type-options',
    'nosniff',
    'x-served-by',
    FRONT_DOOR
  ])
  response.end(response.req.method === 'HEAD' ? undefined : body)
}

/** Answers that there is nothing to say: to `OPTIONS *`, which asks whether somebody is there. */
export function answerNothing(response: ServerResponse): void {
  response.writeHead(204, ['x-served-by', FRONT_DOOR])
  response.end()
}

/** A whole answer as text, for a connection whose request could not be read. It is closed afterwards. */
export function rawAnswer(status: 400 | 405 | 408 | 431): string {
  const body = `${REASONS[status]}\n`
  return (
    headText(`HTTP/1.1 ${status} ${REASONS[status]}`, [
      'content-type',
      'text/plain; charset=utf-8',
      'content-length',
      String(body.length),
      'connection',
      'close',
      'x-served-by',
      FRONT_DOOR
    ]) + body
  )
}

function commonHeaders(page: Page): string[] {
  const headers = [
    'cache-control',
    'no-store',
    'x-content-type-options',
    'nosniff',
    'content-security-policy',
    PAGE_POLICY,
    'x-served-by',
    FRONT_DOOR,
    ...(page.headers ?? [])
  ]
  if (page.retryAfterS !== undefined) headers.push('retry-after', String(page.retryAfterS))
  return headers
}

export const prefersHtml = (accept: string | undefined): boolean => accept?.includes('text/html') === true

const textOf = ({ title, text, links = [] }: Page): string =>
  [title, text, ...links.map(({ path }) => path)].map((line) => `${line}\n`).join('')

function htmlOf(page: Page): string {
  const again = page.retryAfterS === undefined ? '' : `<meta http-equiv="refresh" content="${page.retryAfterS}">`
  const note = page.retryAfterS === undefined ? '' : '<p>This page tries again by itself.</p>'
  const links = (page.links ?? [])
    .map(({ path, text }) => `<p><a href="${escapeHtml(path)}">${escapeHtml(text)}</a></p>`)
    .join('')
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">${again}
<title>${escapeHtml(page.title)}</title>
<style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem;color-scheme:light dark}</style>
</head>
<body><main><h1>${escapeHtml(page.title)}</h1><p>${escapeHtml(page.text)}</p>${links}${note}</main></body>
</html>
`
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;'
}
/** Text as it stands in a page. */
export const escapeHtml = (text: string): string => text.replaceAll(/[&<>"']/g, (char) => ENTITIES[char] ?? '')
