import type { IncomingMessage, ServerResponse } from 'node:http'

/** A form of ours that asks for nothing but a workspace: reads alone do not bring one into being. */
const BEGIN = 'node-daemon-begin'
const RETRY_S = 2

const asksForHtml = ({ headers }: IncomingMessage): boolean => headers.accept?.includes('text/html') === true

export const asksToBegin = ({ method, url = '' }: IncomingMessage): boolean =>
  method === 'POST' && url.endsWith(`?${BEGIN}`)

/** Back to where the form was. */
export function begun(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(303, { location: (request.url ?? '/').split('?', 1)[0] ?? '/', 'content-length': 0 }).end()
}

/** For somebody who has no workspace of the service yet. */
export function offerToBegin(request: IncomingMessage, response: ServerResponse): void {
  const text = 'there is no workspace of yours here yet: it comes into being with your first change'
  if (!asksForHtml(request)) return answer(response, 404, text)
  const form = `<form method="post" action="?${BEGIN}"><button>Begin</button></form>`
  answer(response, 200, page('Nothing here yet', `<p>It is made when somebody begins.</p>${form}`), 'text/html')
}

/** The app is on its way: a browser asks again by itself. */
export function refuseForNow(request: IncomingMessage, response: ServerResponse, text: string): void {
  response.setHeader('retry-after', RETRY_S)
  const again = `<meta http-equiv="refresh" content="${RETRY_S}">`
  const body = asksForHtml(request) ? page('In a moment', `${again}<p>${escaped(text)}</p>`) : text
  answer(response, 503, body, body === text ? 'text/plain' : 'text/html')
}

export const refuse = (response: ServerResponse, status: number, text: string): void => answer(response, status, text)

function answer(response: ServerResponse, status: number, text: string, type = 'text/plain'): void {
  const body = Buffer.from(`${text}\n`)
  response.writeHead(status, {
    'content-type': `${type}; charset=utf-8`,
    'content-length': body.length,
    'cache-control': 'no-store'
  })
  response.end(body)
}

const page = (title: string, content: string): string =>
  `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>${title}</title><h1>${title}</h1>${content}</html>`

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
