import { NodeDaemonError } from '../core/errors.ts'
import type { TlsFiles } from '../daemon/tls-certificate.ts'
import { maybe, type ValuesOf } from './settings.ts'
import { line } from './values.ts'

/** For commands that run a front door. */
export const TLS_SETTINGS = {
  'tls-cert': maybe('<file>', 'the front door speaks TLS with this certificate (PEM, its chain below it)', line(4096)),
  'tls-key': maybe('<file>', 'the key of --tls-cert; both are read again when they change', line(4096))
} as const

/** @throws NodeDaemonError `BAD_USAGE` one is named without the other */
export function tlsFiles(values: ValuesOf<typeof TLS_SETTINGS>): TlsFiles | null {
  const { 'tls-cert': cert, 'tls-key': key } = values
  if (cert !== null && key !== null) return { cert, key }
  if (cert === null && key === null) return null
  throw new NodeDaemonError('BAD_USAGE', `${cert === null ? '--tls-cert' : '--tls-key'} is missing`, {
    advice: 'name both files: the certificate and its key'
  })
}
