import { NodeDaemonError } from '../../core/errors.ts'
import { parse } from '../../core/parse.ts'
import { bareHost, isLoopbackHost } from '../../membership/addresses.ts'

/** Where an app of this machine answers: a host, without brackets, and a port; or the path of a Unix socket. */
export type UpstreamTarget = { readonly host: string; readonly port: number } | { readonly socketPath: string }

/** For people. */
export const targetText = (target: UpstreamTarget): string =>
  'socketPath' in target ? target.socketPath : `${target.host}:${target.port}`

/**
 * The address of an app as an operator writes it: `http://127.0.0.1:8080`. It must be on this machine: it writes into the
 * folders of users, and what is said to it names them.
 *
 * @throws NodeDaemonError `BAD_USAGE`
 */
export function parseUpstream(text: string): UpstreamTarget {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || url.protocol !== 'http:') {
    throw bad(text, 'is not the address of an app', 'write it like http://127.0.0.1:8080')
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '') {
    throw bad(
      text,
      'says more than where the app is',
      'write only scheme, host and port: paths reach the app as they are'
    )
  }
  const host = bareHost(url.hostname)
  if (!isLoopbackHost(host)) {
    throw bad(
      text,
      'is not on this machine',
      'write it like http://127.0.0.1:8080: the app must run here, where it finds the files'
    )
  }
  return { host, port: url.port === '' ? 80 : Number(url.port) }
}

const bad = (text: string, what: string, advice: string): NodeDaemonError =>
  new NodeDaemonError('BAD_USAGE', `"${parse.line(text, 100)}" ${what}`, { advice })
