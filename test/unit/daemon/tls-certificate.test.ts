import { once } from 'node:events'
import { mkdtemp, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { silent } from '../../../src/core/log.ts'
import { readTls, type TlsFiles, type TlsPair, TlsWatch } from '../../../src/daemon/tls-certificate.ts'
import { CERTIFICATES } from '../../tools/certificates.ts'
import { manualClock } from '../../tools/clock.ts'
import { eventually } from '../../tools/eventually.ts'
import { Federation, TOKEN } from '../routing/federation.ts'

const { one, two } = CERTIFICATES
const LOOK_MS = 2_000

async function filesOf(pair: { readonly cert: string; readonly key: string }): Promise<TlsFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'tls-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const files = { cert: join(folder, 'server.crt'), key: join(folder, 'server.key') }
  await writeFile(files.cert, pair.cert)
  await writeFile(files.key, pair.key)
  return files
}

/** A watch, what it told, and a way to have it look and be done with that. */
async function watched(files: TlsFiles) {
  const clock = manualClock()
  const told: TlsPair[] = []
  const warned: unknown[] = []
  const log = { ...silent, child: () => log, warn: (fields: unknown) => void warned.push(fields) }
  const watch = new TlsWatch(files, await readTls(files), { clock, log }, (pair) => told.push(pair))
  watch.start()
  onTestFinished(() => watch.stop())
  const look = async (): Promise<void> => {
    clock.advance(LOOK_MS)
    await eventually(() => clock.waiting).toBe(1)
  }
  return { look, told, warned, watch, clock }
}

test.each([
  ['no certificate', { cert: 'hello', key: one.key }, /server\.crt does not hold a certificate/],
  ['no key', { cert: one.cert, key: '' }, /server\.key does not hold a private key/],
  ['the key of another one', { cert: one.cert, key: two.key }, /server\.key is not that of .*server\.crt/]
])('%s: the mistake and its file are named', async (_what, pair, words) => {
  await expect(readTls(await filesOf(pair))).rejects.toMatchObject({
    code: 'BAD_CONFIG',
    message: expect.stringMatching(words),
    advice: expect.stringContaining('name')
  })
})

test('a file that is not there is named', async () => {
  const files = await filesOf(one)
  await rm(files.key)
  await expect(readTls(files)).rejects.toMatchObject({
    code: 'BAD_CONFIG',
    message: expect.stringContaining(files.key)
  })
})

test('a new pair is told once both files have it, and never a half of it', async () => {
  const files = await filesOf(one)
  const { look, told, warned } = await watched(files)
  await look()
  await writeFile(files.cert, two.cert)
  await look()
  await look()
  await truncate(files.key, 10)
  await look()
  expect(told).toEqual([])
  expect(warned).toHaveLength(2)
  await writeFile(`${files.key}.new`, two.key)
  await rename(`${files.key}.new`, files.key)
  await look()
  await look()
  expect(told.map(({ cert }) => cert.toString())).toEqual([two.cert])
})

test('who has stopped is told nothing more', async () => {
  const files = await filesOf(one)
  const { told, watch, clock } = await watched(files)
  watch.stop()
  expect(clock.waiting).toBe(0)
  expect(told).toEqual([])
})

/** The name in the certificate that a front door shows. */
async function shown(port: number): Promise<string | undefined> {
  const socket: TLSSocket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const { CN } = socket.getPeerCertificate().subject
  socket.destroy()
  return String(CN)
}

test('a front door with a new certificate shows it to newcomers and keeps the connections that it has', async () => {
  await using fed = await Federation.start({ options: { tls: one, secure: true } })
  expect(await shown(fed.port)).toBe('one.example')
  const open = connect({ port: fed.port, host: '127.0.0.1', rejectUnauthorized: false })
  await once(open, 'secureConnect')
  fed.door.useCertificate(two)
  expect(await shown(fed.port)).toBe('two.example')
  open.write(`GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${TOKEN}\r\nConnection: close\r\n\r\n`)
  expect(String((await once(open, 'data'))[0])).toMatch(/^HTTP\/1\.1 200 /)
  expect(() => fed.door.useCertificate({ cert: one.cert, key: two.key })).toThrow()
  expect(await shown(fed.port)).toBe('two.example')
})

test('over TLS guests get a cookie for this host alone, and apps hear of https', async () => {
  await using fed = await Federation.start({ options: { tls: one, secure: true } })
  const asked = request({ port: fed.port, host: '127.0.0.1', rejectUnauthorized: false, agent: false }).end()
  const [answer] = await once(asked, 'response')
  answer.resume()
  expect(answer.headers['set-cookie'][0]).toMatch(/^__Host-nd_session=.*; Path=\/;.*; Secure$/)
  expect(fed.alpha.seen[0]?.headers['x-forwarded-proto']).toBe('https')
})

test('what is older than TLS 1.2 is not spoken', async () => {
  await using fed = await Federation.start({ options: { tls: one } })
  const socket = connect({
    port: fed.port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0'
  })
  await expect(once(socket, 'secureConnect')).rejects.toThrow()
})
