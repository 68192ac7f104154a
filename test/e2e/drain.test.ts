import { randomBytes } from 'node:crypto'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'
import { Traffic } from '../tools/traffic.ts'
import { sha256, type WebUser } from '../tools/web-user.ts'

interface CertificateFile {
  readonly statement: string
  readonly heads: readonly { readonly envelope: string; readonly receipts: readonly string[] }[]
}

/** Users with a file each. */
async function usersWithFiles(federation: TestFederation, count: number): Promise<WebUser[]> {
  const users = await federation.addUsers(count)
  await Promise.all(users.map((user) => user.save('/mine.txt', `of ${user.name}`)))
  return users
}

async function expectFiles(users: readonly WebUser[]): Promise<void> {
  for (const user of users) expect((await user.read('/mine.txt')).toString()).toBe(`of ${user.name}`)
}

/** The other character of base64 at this place, so that the length stays. */
const flipped = (text: string, at: number): string =>
  `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`

describe('a drain under 20 requests a second', () => {
  test('fails no request, loses nothing, ends with 0 and a certificate that verifies offline', async () => {
    await using federation = await TestFederation.open()
    await Promise.all(['alpha', 'beta', 'gamma'].map((name) => federation.join(name)))
    const users = await usersWithFiles(federation, 12)
    await federation.settled()
    const name = await federation.busiest()
    const homes = (await federation.peer(name)).workspaces

    await using traffic = new Traffic(users, 20)
    await federation.until('the traffic is under way', async () => traffic.requests >= 20)
    const drained = await federation.command(name, 'drain')
    expect(drained.code, drained.log).toBe(0)
    expect(await federation.program(name).ended()).toEqual({ code: 0, signal: null })
    const requests = traffic.requests
    await federation.until('the traffic goes on', async () => traffic.requests >= requests + 20)
    await traffic.stop()
    expect(traffic.failures).toEqual([])
    expect(await traffic.lost()).toEqual([])
    await expectFiles(users)
    expect((await federation.peer(name)).state).toBe('drained')
    expect((await federation.workspaces()).map(({ homeName }) => homeName)).not.toContain(name)

    const last = drained.lines.at(-1)
    expect(last?.state).toBe('drained')
    await checkCertificate(federation, String(last?.certificate), homes)
  })

  test('is what SIGTERM does, too', async () => {
    await using federation = await TestFederation.open()
    await Promise.all(['alpha', 'beta'].map((name) => federation.join(name)))
    const users = await usersWithFiles(federation, 6)
    await federation.settled()
    await using traffic = new Traffic(users, 20)
    await federation.until('the traffic is under way', async () => traffic.requests >= 10)
    const program = federation.program(await federation.busiest())
    program.kill('SIGTERM')
    expect(await program.ended()).toEqual({ code: 0, signal: null })
    expect((await program.event('drained')).certificate).toMatch(/\.json$/)
    await traffic.stop()
    expect(traffic.failures).toEqual([])
    expect(await traffic.lost()).toEqual([])
    await expectFiles(users)
  })
})

/** Verifies as it is, and with nothing of it changed. */
async function checkCertificate(federation: TestFederation, path: string, heads: number): Promise<void> {
  const whole = await federation.run('receipts', 'verify', path)
  expect(whole.code, whole.log).toBe(0)
  expect(whole.lines[0]).toMatchObject({ ok: true, heads })
  const kept = await readdir(join(federation.folder('coordinator'), 'certificates'))
  expect(kept).toHaveLength(1)

  const file = JSON.parse(await readFile(path, 'utf8')) as CertificateFile
  const [first, second] = file.heads
  if (first === undefined || second === undefined) throw new Error('the certificate must have two heads to be swapped')
  const others = file.heads.slice(2)
  const tampered: Readonly<Record<string, CertificateFile>> = {
    'a receipt of another head': { ...file, heads: [{ ...first, receipts: second.receipts }, second, ...others] },
    'another head': { ...file, heads: [{ ...first, envelope: second.envelope }, second, ...others] },
    'a head left out': { ...file, heads: [second, ...others] },
    'no receipts': { ...file, heads: [{ ...first, receipts: [] }, second, ...others] },
    'a byte of the statement': { ...file, statement: flipped(file.statement, Math.floor(file.statement.length / 2)) }
  }
  const folder = await federation.spare('certificates')
  for (const [what, changed] of Object.entries(tampered)) {
    const copy = join(folder, 'changed.json')
    await writeFile(copy, JSON.stringify(changed))
    const verdict = await federation.run('receipts', 'verify', copy)
    expect([what, verdict.code, verdict.lines[0]?.ok]).toEqual([what, 7, false])
    expect(verdict.log).toContain('error INTEGRITY')
  }
}

test('a plan shows who would take what, and changes nothing', async () => {
  await using federation = await TestFederation.open()
  await federation.join('alpha')
  const users = await usersWithFiles(federation, 3)
  await federation.join('beta')
  await federation.settled()
  const before = await federation.workspaces()
  const plan = await federation.command('alpha', 'drain', '--plan')
  expect(plan.code, plan.log).toBe(0)
  expect(plan.lines[0]?.plan).toHaveLength(3)
  expect(plan.lines[0]?.plan).toMatchObject([{ toName: 'beta' }, { toName: 'beta' }, { toName: 'beta' }])
  expect((await federation.workspaces()).map(({ home, epoch }) => [home, epoch])).toEqual(
    before.map(({ home, epoch }) => [home, epoch])
  )
  expect((await federation.status('alpha')).state).toBe('serving')
  await expectFiles(users)
})

test('a drain for which there is no room is refused with the reason, and the instance serves on', async () => {
  await using federation = await TestFederation.open(['--standbys', '0'])
  await federation.join('alpha')
  const ada = await federation.addUser('ada')
  const bytes = Buffer.alloc(3_000_000, 'ada')
  await ada.save('/large.bin', bytes)
  await federation.join('tiny', ['--capacity', '1MB'])
  const refused = await federation.command('alpha', 'drain')
  expect(refused.code).toBe(4)
  expect(refused.log).toContain('error REFUSED_BY_POLICY')
  expect(refused.log).toMatch(/room.*tiny/)
  const planned = await federation.command('alpha', 'drain', '--plan')
  expect(planned.code).toBe(4)
  const answer = await ada.get('/large.bin')
  expect([answer.status, answer.by, sha256(answer.body)]).toEqual([200, 'alpha', sha256(bytes)])
  expect(federation.program('alpha').hasEnded).toBe(false)
})

test('a drain can be cancelled; the instance serves on and can be drained again', async () => {
  await using federation = await TestFederation.open(['--standbys', '0'])
  await federation.join('alpha')
  const ada = await federation.addUser('ada')
  await ada.save('/mine.txt', 'of ada')
  await ada.save('/large.bin', randomBytes(20_000_000))
  await federation.join('beta', ['--download-limit', '1MB/s'])
  const draining = federation.command('alpha', 'drain')
  await federation.program('alpha').event('draining')
  const cancelled = await federation.command('alpha', 'drain', '--cancel')
  expect(cancelled.code, cancelled.log).toBe(0)
  expect((await draining).code).toBe(6)
  const answer = await ada.get('/mine.txt')
  expect([answer.status, answer.by]).toEqual([200, 'alpha'])
  expect((await federation.peer('alpha')).state).toBe('serving')
  expect(federation.program('alpha').hasEnded).toBe(false)
  await ada.save('/after.txt', 'after')

  expect((await federation.command('beta', 'set', 'download-limit=none')).code).toBe(0)
  const again = await federation.command('alpha', 'drain')
  expect(again.code, again.log).toBe(0)
  expect(await federation.program('alpha').ended()).toEqual({ code: 0, signal: null })
  const after = await ada.get('/after.txt')
  expect([after.status, after.text, after.by]).toEqual([200, 'after', 'beta'])
})

test('the last instance drains into the repository; a new one finds everything', async () => {
  await using federation = await TestFederation.open()
  await federation.join('alpha')
  const users = await usersWithFiles(federation, 5)
  const drained = await federation.command('alpha', 'drain')
  expect(drained.code, drained.log).toBe(0)
  expect(await federation.program('alpha').ended()).toEqual({ code: 0, signal: null })
  expect((await federation.program('alpha').event('drained')).message).toMatch(/nobody serves/)
  const verdict = await federation.run('receipts', 'verify', String(drained.lines.at(-1)?.certificate))
  expect(verdict.lines[0]).toMatchObject({ ok: true, heads: 5, recipients: [{ role: 'repository', heads: 5 }] })
  expect((await federation.workspaces()).map(({ state }) => state)).toEqual(Array(5).fill('orphaned'))

  await federation.join('beta')
  await expectFiles(users)
  expect((await users[0]?.get('/mine.txt'))?.by).toBe('beta')
})

test('"leave" hands over, removes the files of users, and gives up the membership', async () => {
  await using federation = await TestFederation.open()
  await federation.join('alpha')
  const users = await usersWithFiles(federation, 3)
  await federation.join('beta')
  await federation.settled()
  expect(await readdir(join(federation.folder('alpha'), 'workspaces'))).toHaveLength(3)
  const left = await federation.command('alpha', 'leave', '--yes')
  expect(left.code, left.log).toBe(0)
  expect(left.lines.at(-1)).toMatchObject({ state: 'left', removedFiles: 3 })
  expect(await federation.program('alpha').ended()).toEqual({ code: 0, signal: null })
  expect(await readdir(join(federation.folder('alpha'), 'workspaces'))).toEqual([])
  expect((await stat(String(left.lines.at(-1)?.certificate))).isFile()).toBe(true)
  expect((await federation.peer('alpha')).state).toBe('left')
  await expectFiles(users)
  expect((await users[0]?.get('/mine.txt'))?.by).toBe('beta')
})

test('"stop" and back within the grace: the same home in the same epoch, and users wait', async () => {
  await using federation = await TestFederation.open()
  await federation.join('alpha')
  const users = await usersWithFiles(federation, 3)
  await federation.join('beta')
  await federation.settled()
  const before = await federation.workspaces()
  expect((await federation.command('alpha', 'stop')).code).toBe(0)
  expect(await federation.program('alpha').ended()).toEqual({ code: 0, signal: null })
  const waiting = users.map((user) => user.get('/mine.txt'))
  await federation.resume('alpha')
  for (const answer of await Promise.all(waiting)) expect([answer.status, answer.by]).toEqual([200, 'alpha'])
  expect((await federation.workspaces()).map(({ home, epoch }) => [home, epoch])).toEqual(
    before.map(({ home, epoch }) => [home, epoch])
  )
})
