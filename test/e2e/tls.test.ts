import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { TLSSocket } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { CERTIFICATES } from '../tools/certificates.ts'
import { Program, until } from '../tools/program.ts'

const { one, two } = CERTIFICATES

async function folderWith(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'node-daemon-tls-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  return folder
}

const flags = (folder: string): string[] => [
  ...['coordinator', '--data', join(folder, 'data'), '--listen', '/ip4/127.0.0.1/tcp/0'],
  ...['--http', '127.0.0.1:0', '--admin', '127.0.0.1:0'],
  ...['--tls-cert', join(folder, 'crt'), '--tls-key', join(folder, 'key')]
]

/** What a browser sees: the description of the federation, its cookie, and the name in the certificate. */
async function look(
  url: string
): Promise<{ readonly status: number | undefined; readonly name: string; readonly body: string }> {
  const asked = get(`${url}/.well-known/node-daemon`, { rejectUnauthorized: false, agent: false })
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  const name = String((answer.socket as TLSSocket).getPeerCertificate().subject.CN)
  return { status: answer.statusCode, name, body: await text(answer) }
}

test('a coordinator speaks TLS itself, and takes a new certificate while it runs', async () => {
  const folder = await folderWith({ crt: one.cert, key: one.key })
  const program = Program.start('coordinator', flags(folder), folder)
  onTestFinished(async () => {
    await program.destroy()
  })
  const { http } = await program.event('ready')
  expect(http).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
  expect(await look(String(http))).toMatchObject({ status: 200, name: 'one.example' })
  await writeFile(join(folder, 'crt'), two.cert)
  await writeFile(join(folder, 'key'), two.key)
  await until('the new certificate', async () => (await look(String(http))).name === 'two.example')
})
