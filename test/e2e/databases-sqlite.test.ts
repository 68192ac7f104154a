import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  Counter,
  DatabaseHost,
  dieAndPromote,
  expectAllSynced,
  homeAndStandby,
  PATIENT,
  recipe,
  sequenceOf,
  shortHooks,
  syncedAndMore
} from '../tools/databases.ts'
import { requireProgram } from '../tools/debian.ts'
import { TestFederation } from '../tools/federation.ts'

test('SQLite: kill -9 of home and app; the copy on the other instance has every transaction that was synced', async () => {
  const sqlite = requireProgram('/usr/bin/sqlite3', 'sqlite3')
  await using federation = await TestFederation.open(PATIENT)
  await using host = await DatabaseHost.open('nobody')
  const hooks = shortHooks(`${recipe('sqlite', 'before-snapshot.sh')} app.db`)
  const { ada, folder } = await homeAndStandby(federation, { alpha: hooks, beta: hooks })
  const before = await sequenceOf(federation, ada)

  const app = host.session('/usr/bin/stdbuf', ['-o0', sqlite, join(folder, 'app.db')])
  await app.ask('PRAGMA journal_mode=wal; CREATE TABLE counter (number INTEGER PRIMARY KEY);', 'wal')
  const counter = new Counter((number) =>
    app.ask(`INSERT INTO counter VALUES (${number}); SELECT 'row ${number}';`, `row ${number}`)
  )
  await counter.commit(200)
  const noted = await syncedAndMore(federation, ada, before, { counter, more: 20 })
  expect(noted).toBe(200)

  const restored = await dieAndPromote(federation, ada, host)
  expect(await readdir(join(restored, 'backup'))).toContain('app.db')
  await host.run(recipe('sqlite', 'restore.sh'), [restored, 'app.db'])
  const ask = (question: string): Promise<string> => host.run(sqlite, [join(restored, 'app.db'), question])
  expect(await ask('PRAGMA integrity_check')).toBe('ok')
  const [count, highest] = (await ask('SELECT count(*), max(number) FROM counter')).split('|').map(Number)
  expectAllSynced({ count, highest }, counter, noted)
})
