import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { promisify } from 'node:util'

/** A proxy that ends TLS in front of a web server on this machine. */
export interface TlsProxy extends AsyncDisposable {
  readonly url: string
  /** The file that programs must trust. */
  readonly certificate: string
}

export async function openTlsProxy(behind: string, folder: string): Promise<TlsProxy> {
  const [key, certificate] = [join(folder, 'proxy.key'), join(folder, 'proxy.crt')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const files = ['-keyout', key, '-out', certificate]
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  await promisify(execFile)('openssl', ['req', '-x509', ...kind, ...files, ...subject])
  const { port } = new URL(behind)
  const open = new Set<() => void>()
  const server = createServer({ key: await readFile(key), cert: await readFile(certificate) }, (client) => {
    const inner = connect(Number(port), '127.0.0.1')
    const end = (): void => {
      client.destroy()
      inner.destroy()
      open.delete(end)
    }
    open.add(end)
    for (const socket of [client, inner]) socket.on('error', end).on('close', end)
    client.pipe(inner).pipe(client)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
    certificate,
    async [Symbol.asyncDispose]() {
      for (const end of [...open]) end()
      server.close()
      await once(server, 'close')
    }
  }
}
