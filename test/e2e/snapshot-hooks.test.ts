import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'

test('a failing before-snapshot is told to users, in status and as the cause of a stalled drain; mended, all goes on', async () => {
  await using federation = await TestFederation.open(['--failover-after', '1m'])
  const spare = await federation.spare('hooks')
  const broken = join(spare, 'broken')
  const locked = join(spare, 'locked')
  const before = `touch ${locked}; if [ -e ${broken} ]; then echo disk of the database is away; exit 7; fi; cat app.txt >copy.txt`
  const config = join(spare, 'config.yaml')
  await writeFile(
    config,
    `before-snapshot: { files: '${before}' }\nafter-snapshot: { files: rm ${locked} }\nhook-interval: 300ms\n`
  )
  await federation.join('alpha', ['--config', config])
  const ada = await federation.addUser('ada')
  await ada.save('/app.txt', 'one')
  expect((await ada.read('/copy.txt')).toString(), 'what the hook wrote stands in the workspace').toBe('one')
  await federation.join('beta')
  await federation.settled()

  await writeFile(broken, '')
  const refused = await ada.put('/app.txt', 'two')
  expect([refused.status, refused.by]).toEqual([503, 'alpha'])
  await federation.until('status says why', async () => {
    const { reason, safeToSwitchOff } = await federation.status('alpha')
    return !safeToSwitchOff && reason?.includes('before-snapshot of files ended with 7: disk of the database is away')
  })
  const stalled = await federation.command('alpha', 'drain', '--deadline', '3s')
  expect(stalled.code).toBe(6)
  expect(JSON.stringify(stalled.lines)).toContain('before-snapshot of files ended with 7: disk of the database is away')
  await federation.program('alpha').ended()

  await rm(broken)
  await federation.resume('alpha', ['--config', config])
  const workspace = await federation.filesOf(ada, 'alpha')
  await federation.until('what was postponed is published', async () => {
    const { head, files } = await federation.workspaceOf(ada)
    return head !== null && files === 2 && (await readFile(join(workspace, 'copy.txt'), 'utf8')) === 'two'
  })
  await federation.settled()
  const drained = await federation.command('alpha', 'drain')
  expect(drained.code, drained.log).toBe(0)
  const copy = await ada.get('/copy.txt')
  expect([copy.text, copy.by]).toEqual(['two', 'beta'])
  await expect(readFile(locked), 'after-snapshot has unlocked').rejects.toThrow('ENOENT')
})

test('a before-snapshot that hangs holds up neither stop nor the process beyond its time', async () => {
  await using federation = await TestFederation.open()
  const spare = await federation.spare('hooks')
  const hang = join(spare, 'hang')
  const hook = `files=[ ! -e ${hang} ] || sleep 1000`
  const alpha = await federation.join('alpha', ['--before-snapshot', hook, '--hook-timeout', '2s'])
  const ada = await federation.addUser('ada')
  await ada.save('/app.txt', 'one')
  await writeFile(hang, '')
  const startedAt = performance.now()
  expect((await federation.command('alpha', 'stop')).code).toBe(0)
  expect((await alpha.ended()).code).toBe(6)
  expect(performance.now() - startedAt).toBeLessThan(30_000)
})
