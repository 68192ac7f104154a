import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
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
  synced,
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

/** When each folder and file below was last changed, in nanoseconds. */
async function timesIn(folder: string): Promise<Record<string, bigint>> {
  const names = ['.', ...(await readdir(folder, { recursive: true })).sort()]
  const times = names.map(async (name) => [name, (await stat(join(folder, name), { bigint: true })).mtimeNs] as const)
  return Object.fromEntries(await Promise.all(times))
}

test('SQLite: a workspace in which nothing happens keeps its head, whether the app runs or not', async () => {
  const sqlite = requireProgram('/usr/bin/sqlite3', 'sqlite3')
  await using federation = await TestFederation.open(PATIENT)
  await using host = await DatabaseHost.open('nobody')
  const hooks = shortHooks(`${recipe('sqlite', 'before-snapshot.sh')} data/app.db`)
  const { ada, folder } = await homeAndStandby(federation, { alpha: hooks, beta: hooks })
  const idle = async (): Promise<void> => {
    const before = await sequenceOf(federation, ada)
    const since = performance.now()
    // A hook that changes what it was called for is called again after each interval, of 300 ms.
    await federation.until('some intervals have passed', async () => performance.now() - since > 2000)
    expect(await sequenceOf(federation, ada)).toBe(before)
    const stood = await timesIn(folder)
    const command = [recipe('sqlite', 'before-snapshot.sh'), 'data/app.db']
    await host.run('/bin/sh', ['-c', 'cd "$0" && exec "$@"', folder, ...command])
    expect(await timesIn(folder), 'a run of the hook touches nothing').toEqual(stood)
  }
  const before = await sequenceOf(federation, ada)
  await mkdir(join(folder, 'data'))
  const app = host.session('/usr/bin/stdbuf', ['-o0', sqlite, join(folder, 'data/app.db')])
  await app.ask('PRAGMA journal_mode=wal; CREATE TABLE note (text TEXT);', 'wal')
  await app.ask("INSERT INTO note VALUES ('one'); SELECT 'kept';", 'kept')
  await synced(federation, ada, before)
  await idle()

  await host.kill()
  // The app goes on where it was ended, and closes its database this time.
  await host.run(sqlite, [join(folder, 'data/app.db'), "INSERT INTO note VALUES ('two')"])
  await synced(federation, ada, before + 1)
  await idle()
  expect(await host.run(sqlite, [join(folder, 'backup/app.db'), 'SELECT text FROM note'])).toBe('one\ntwo')
})

test('SQLite: restore changes nothing where there is no whole copy, or where one was restored before', async () => {
  const sqlite = requireProgram('/usr/bin/sqlite3', 'sqlite3')
  await using host = await DatabaseHost.open('nobody')
  const folder = host.path('workspace')
  const [live, copy] = [join(folder, 'app.db'), join(folder, 'backup/app.db')]
  await mkdir(join(folder, 'backup'), { recursive: true })
  const restore = (...args: string[]): Promise<string> => host.run(recipe('sqlite', 'restore.sh'), args)
  const notes = (path: string): Promise<string> => host.run(sqlite, [path, 'SELECT text FROM note'])
  await host.run(sqlite, [live, "CREATE TABLE note (text TEXT); INSERT INTO note VALUES ('live')"])

  await expect(restore()).rejects.toThrow('usage: restore.sh')
  await expect(restore(folder, 'app.db')).rejects.toThrow('there is no copy')
  await writeFile(copy, 'this is no database')
  await expect(restore(folder, 'app.db')).rejects.toThrow('is damaged')
  expect((await readdir(folder)).sort()).toEqual(['app.db', 'backup'])
  expect(await notes(live)).toBe('live')

  await rm(copy)
  await host.run(sqlite, [copy, "CREATE TABLE note (text TEXT); INSERT INTO note VALUES ('copy')"])
  await restore(folder, 'app.db')
  await expect(restore(folder, 'app.db')).rejects.toThrow('app.db.before is there')
  expect([await notes(live), await notes(`${live}.before`)]).toEqual(['copy', 'live'])
})
