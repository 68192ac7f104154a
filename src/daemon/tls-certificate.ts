import { createPrivateKey, X509Certificate } from 'node:crypto'
import { open } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import type { Clock, TimerHandle } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'

/** Where a server's certificate chain and its key lie, each in PEM. */
export interface TlsFiles {
  readonly cert: string
  readonly key: string
}

/** A certificate chain and the key that fits it. */
export interface TlsPair {
  readonly cert: Uint8Array
  readonly key: Uint8Array
}

const FILE_BYTES_MAX = 1024 * 1024
/** Files are looked at again this often: whoever renews them may rename, link or write over. */
const LOOK_MS = 2_000

/**
 * Reads a certificate and its key, and checks that a server can use them together.
 *
 * @throws NodeDaemonError `BAD_CONFIG` with what is wrong with which file
 */
export async function readTls(files: TlsFiles): Promise<TlsPair> {
  const [cert, key] = await Promise.all([readSmall(files.cert, '--tls-cert'), readSmall(files.key, '--tls-key')])
  const leaf = readable(() => new X509Certificate(cert), files.cert, 'a certificate in PEM')
  const secret = readable(() => createPrivateKey(key), files.key, 'a private key in PEM without a passphrase')
  if (!leaf.checkPrivateKey(secret)) {
    throw new NodeDaemonError('BAD_CONFIG', `the key in ${files.key} is not that of the certificate in ${files.cert}`, {
      advice: 'name the two files that were made together'
    })
  }
  readable(() => createSecureContext({ cert, key }), files.cert, 'a certificate that a server can use')
  return { cert, key }
}

/** A pair of files that is kept in mind, and told anew whenever both have changed to another pair that fits. */
export class TlsWatch {
  readonly #files: TlsFiles
  readonly #deps: { readonly clock: Clock; readonly log: Logger }
  readonly #onChange: (pair: TlsPair) => void
  #current: TlsPair
  /** What was last said to be wrong: it is said once. */
  #wrong: string | null = null
  #timer: TimerHandle | null = null
  #stopped = false

  /** @param current what `readTls` gave for these files. @param onChange is called with a pair that fits and differs */
  constructor(
    files: TlsFiles,
    current: TlsPair,
    deps: { readonly clock: Clock; readonly log: Logger },
    onChange: (pair: TlsPair) => void
  ) {
    this.#files = files
    this.#current = current
    this.#deps = { ...deps, log: deps.log.child({ part: 'tls' }) }
    this.#onChange = onChange
  }

  start(): void {
    this.#timer = this.#deps.clock.after(LOOK_MS, () => {
      this.#look()
        .catch((error: unknown) => this.#say(messageOf(error)))
        .finally(() => {
          if (!this.#stopped) this.start()
        })
    })
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  async #look(): Promise<void> {
    const pair = await readTls(this.#files)
    this.#wrong = null
    if (this.#stopped || (equal(pair.cert, this.#current.cert) && equal(pair.key, this.#current.key))) return
    this.#onChange(pair)
    this.#current = pair
    const until = new X509Certificate(pair.cert).validTo
    this.#deps.log.info({ cert: this.#files.cert, until }, 'a new certificate is in use')
  }

  /** The pair before stays in use: a half-written one is whole at the next look. */
  #say(what: string): void {
    if (what === this.#wrong) return
    this.#wrong = what
    this.#deps.log.warn({ error: what }, 'the files of the certificate cannot be used; the one before stays in use')
  }
}

async function readSmall(path: string, flag: string): Promise<Buffer> {
  try {
    await using file = await open(path, 'r')
    const { size } = await file.stat()
    if (size <= FILE_BYTES_MAX) return await file.readFile()
  } catch (error) {
    throw new NodeDaemonError('BAD_CONFIG', `${path} cannot be read: ${messageOf(error)}`, {
      advice: `name a file for ${flag} that this user may read`,
      cause: error
    })
  }
  throw new NodeDaemonError('BAD_CONFIG', `${path} is too large for ${flag}`, { advice: 'name a file in PEM' })
}

function readable<T>(read: () => T, path: string, what: string): T {
  try {
    return read()
  } catch (error) {
    throw new NodeDaemonError('BAD_CONFIG', `${path} does not hold ${what}`, {
      advice: 'name files in PEM: the certificate with the chain below it, and its key',
      cause: error
    })
  }
}

const equal = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0
