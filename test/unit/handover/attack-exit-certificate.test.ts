import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { seal } from '../../../src/core/envelope.ts'
import { exitRecord } from '../../../src/core/records.ts'
import { keepCertificate, type Leaving } from '../../../src/daemon/exit-certificate.ts'
import { writeCertificate } from '../../../src/handover/certificate.ts'
import { openDataFolder } from '../../../src/store/state-folder.ts'
import { ALPHA, BETA, COORDINATOR, temporaryFolder, WORKSPACE } from '../sync/support.ts'

/** The certificate of an instance that was home of nothing, as this coordinator sees it. */
async function certificateOfNothing(coordinator = COORDINATOR): Promise<Uint8Array> {
  const statement = { federation: coordinator.peerId, instance: ALPHA.peerId, issuedAtMs: 1, heads: [] }
  return writeCertificate(await seal(exitRecord, statement, coordinator), [])
}

async function kept(certificate: Uint8Array, changes: Partial<Leaving> = {}): Promise<string> {
  const folder = await openDataFolder(join(await temporaryFolder(), 'data'), { kind: 'instance', pid: 1 })
  onTestFinished(() => folder.release())
  const leaving = { instance: ALPHA.peerId, federation: COORDINATOR.peerId, homes: [], ...changes }
  const { path, problems } = await keepCertificate(folder, systemClock(), certificate, leaving)
  const files = await readdir(join(folder.path, 'certificates')).catch(() => [])
  expect(files).toHaveLength(path === null ? 0 : 1)
  return problems.join('; ')
}

test('a certificate is kept where it proves all that the instance is home of', async () => {
  expect(await kept(await certificateOfNothing())).toBe('')
  expect(await kept(await certificateOfNothing(), { homes: [{ workspace: WORKSPACE, sequence: 0 }] })).toBe('')
})

test('a certificate that says nothing of a workspace that the instance has published proves nothing', async () => {
  const problem = await kept(await certificateOfNothing(), { homes: [{ workspace: WORKSPACE, sequence: 3 }] })
  expect(problem).toContain(WORKSPACE)
})

test('a certificate of another federation, or for another instance, is none', async () => {
  expect(await kept(await certificateOfNothing(BETA))).toContain(COORDINATOR.peerId)
  expect(await kept(await certificateOfNothing(), { instance: BETA.peerId })).toContain('another instance')
})
