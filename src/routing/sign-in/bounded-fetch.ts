import type { CustomFetch } from 'openid-client'
import { NodeDaemonError } from '../../core/errors.ts'

const BYTES_MAX = 1024 * 1024

/** Reads answers of at most 1 MiB. */
export const boundedFetch: CustomFetch = async (url, { body, signal, ...options }) => {
  const response = await fetch(url, { ...options, body: body ?? null, signal: signal ?? null })
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > BYTES_MAX) throw new NodeDaemonError('TOO_LARGE', `${new URL(url).host} answers with too much`)
    chunks.push(chunk)
  }
  const { status, headers } = response
  return new Response(length === 0 ? null : Buffer.concat(chunks), { status, headers })
}
