import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Page } from '../pages.ts'

/**
 * Sends a user on with the same method. Nobody may keep the answer, nor tell the next page where it was.
 *
 * @param about `saysWhence`: where the user goes is told on which site they were before
 */
export function answerRedirect(
  response: ServerResponse,
  location: string,
  about: { readonly setCookie: string | null; readonly servedBy: string; readonly saysWhence?: boolean }
): void {
  const lines = ['location', location, 'content-length', '0', 'cache-control', 'no-store']
  lines.push('referrer-policy', about.saysWhence === true ? 'origin' : 'no-referrer', 'x-served-by', about.servedBy)
  if (about.setCookie !== null) lines.push('set-cookie', about.setCookie)
  for (const name of response.getHeaderNames()) response.removeHeader(name)
  response.writeHead(307, lines)
  response.end()
}

export function answerProof(response: ServerResponse, proof: Uint8Array): void {
  const lines = ['content-type', 'application/octet-stream', 'content-length', String(proof.length)]
  response.writeHead(200, [...lines, 'cache-control', 'no-store'])
  response.end(proof)
}

/** A front door sends the request elsewhere, and makes another connection the next time. */
export function refuseDirect(response: ServerResponse): void {
  response.shouldKeepAlive = false
  response.writeHead(421, ['content-length', '0', 'x-node-daemon-moved', '1'])
  response.end()
}

/**
 * Is a page asked for, or does a program ask, which can go elsewhere? The scripts and pictures of a page cannot. Browsers
 * say so, but not to addresses that are plain http.
 */
export function isNavigation({ method, headers }: Pick<IncomingMessage, 'method' | 'headers'>): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false
  const mode = headers['sec-fetch-mode']
  if (mode !== undefined) return mode === 'navigate' && (headers['sec-fetch-dest'] ?? 'document') === 'document'
  return headers.referer === undefined || headers.accept?.includes('text/html') === true
}

/** For the scripts of a page that was loaded from an ingress, where its workspace is not served any more. */
export const reload = (frontDoor: string): Page => ({
  status: 421,
  title: 'Please load this page again',
  text:
    frontDoor === ''
      ? 'This server does not serve these files (any more). Nothing was changed. Begin at the address of the federation.'
      : `This server does not serve these files (any more). Nothing was changed. Begin at ${frontDoor}`
})
