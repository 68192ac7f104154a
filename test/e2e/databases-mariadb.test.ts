import { readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  Counter,
  DatabaseHost,
  dieAndPromote,
  expectAllSynced,
  expectRotation,
  homeAndStandby,
  PATIENT,
  recipe,
  sequenceOf,
  shortHooks,
  syncedAndMore
} from '../tools/databases.ts'
import { requireProgram } from '../tools/debian.ts'
import { TestFederation } from '../tools/federation.ts'
import { until } from '../tools/program.ts'

const CLIENT = '/usr/bin/mariadb'

/** How clients reach the server of this host: options that every MariaDB program takes. */
const access = (host: DatabaseHost): string[] => [`--socket=${host.path('sock')}`, '--user=root']

const ask = (host: DatabaseHost, statement: string): Promise<string> =>
  host.run(CLIENT, [...access(host), '--skip-column-names', '--batch', '-e', statement])

/** A server on a socket in `host`'s folder alone, with empty tables. Resolves once it answers. */
async function startServer(host: DatabaseHost): Promise<void> {
  const server = requireProgram('/usr/sbin/mariadbd', 'mariadb-server')
  const data = `--datadir=${host.path('data')}`
  // Nothing is ever read again from the disk of a server that died here.
  const quick = ['--innodb-log-file-size=4M', '--innodb-flush-log-at-trx-commit=0', '--sync-binlog=0']
  const fresh = ['--auth-root-authentication-method=normal', '--skip-test-db', '--skip-name-resolve']
  await host.asServer('/usr/bin/mariadb-install-db', ['--no-defaults', data, ...fresh, ...quick])
  const own = [data, `--socket=${host.path('sock')}`, `--pid-file=${host.path('pid')}`, '--skip-networking']
  const binlog = ['--log-bin=binlog', '--binlog-format=ROW', '--server-id=1']
  const { log } = host.start(server, ['--no-defaults', ...own, ...binlog, ...quick], { server: true })
  try {
    await until('MariaDB answers', async () => (await ask(host, 'SELECT 1')) === '1')
  } catch (error) {
    throw new Error(log.join('\n'), { cause: error })
  }
}

const hooksOf = (host: DatabaseHost): string[] =>
  shortHooks([recipe('mariadb', 'before-snapshot.sh'), ...access(host)].join(' '))

test('MariaDB: kill -9 of home and server; another instance restores every transaction that was synced', async () => {
  await using federation = await TestFederation.open(PATIENT)
  await using host = await DatabaseHost.open('mysql')
  await using other = await DatabaseHost.open('mysql')
  const flags = { alpha: hooksOf(host), beta: hooksOf(other) }
  const { ada, folder } = await homeAndStandby(federation, flags)
  const before = await sequenceOf(federation, ada)

  await startServer(host)
  await ask(host, 'CREATE DATABASE shop; CREATE TABLE shop.counter (number INT PRIMARY KEY) ENGINE=InnoDB')
  const receiver = host.start(recipe('mariadb', 'receive-binlog.sh'), [folder, ...access(host)])
  const app = host.session(CLIENT, [...access(host), '--skip-column-names', '--batch', '--unbuffered', 'shop'])
  const counter = new Counter((number) =>
    app.ask(`INSERT INTO counter VALUES (${number}); SELECT 'row ${number}';`, `row ${number}`)
  )
  await counter.commit(50)
  await expectRotation({
    folder: join(folder, 'mariadb'),
    isBase: (name) => name.endsWith('.sql'),
    log: 'binlog',
    backup: () => host.run(recipe('mariadb', 'base-backup.sh'), [folder, ...access(host)]),
    commit: async () => {
      await counter.commit(20)
      await ask(host, 'FLUSH BINARY LOGS')
    }
  })
  await counter.commit(100)
  await ask(host, 'FLUSH BINARY LOGS')
  await counter.commit(100)
  const noted = await syncedAndMore(federation, ada, before, { counter, more: 30 })
  expect(receiver.child.exitCode, receiver.log.join('\n')).toBeNull()

  const restored = await dieAndPromote(federation, ada, host)
  await federation.until('nothing is published from here before the database is back, and status says why', async () =>
    (await federation.status('beta')).reason?.includes('before-snapshot of files ended with')
  )
  await startServer(other)
  await host.run(recipe('mariadb', 'restore.sh'), [restored, ...access(other)])
  const numbers = await ask(other, 'SELECT count(*), max(number) FROM shop.counter')
  const [count, highest] = numbers.split('\t').map(Number)
  expectAllSynced({ count, highest }, counter, noted)
  await host.run('/usr/bin/mariadb-check', [...access(other), '--all-databases', '--extended'])
})

test('MariaDB: of a log that ends in the middle of a transaction all before it is restored, and one with a hole is refused', async () => {
  await using host = await DatabaseHost.open('mysql')
  await using other = await DatabaseHost.open('mysql')
  const folder = host.path('workspace')
  await startServer(host)
  await ask(host, 'CREATE DATABASE shop; CREATE TABLE shop.counter (number INT PRIMARY KEY) ENGINE=InnoDB')
  await host.run('/bin/mkdir', [folder])
  host.start(recipe('mariadb', 'receive-binlog.sh'), [folder, ...access(host)])
  await host.run(recipe('mariadb', 'base-backup.sh'), [folder, ...access(host)])
  await ask(host, 'INSERT INTO shop.counter VALUES (1); INSERT INTO shop.counter VALUES (2)')
  const caughtUp = (): Promise<string> =>
    host.run('/bin/sh', ['-c', 'cd "$0" && "$@"', folder, recipe('mariadb', 'before-snapshot.sh'), ...access(host)])
  await caughtUp()
  const [log = ''] = await readdir(join(folder, 'mariadb/binlog'))
  const path = join(folder, 'mariadb/binlog', log)
  await host.kill()
  await truncate(path, (await readFile(path)).length - 40)
  await startServer(other)
  const restore = (): Promise<string> => host.run(recipe('mariadb', 'restore.sh'), [folder, ...access(other)])
  await expect(host.run(recipe('mariadb', 'restore.sh'), [])).rejects.toThrow('usage: restore.sh')
  await restore()
  expect(await ask(other, 'SELECT number FROM shop.counter')).toBe('1')

  await expect(restore()).rejects.toThrow('the server is not empty')
  await writeFile(join(folder, 'mariadb/binlog', log.replace(/1$/, '2')), await readFile(path))
  await ask(other, 'INSERT INTO shop.counter VALUES (99)')
  await expect(restore()).rejects.toThrow('Could not read entry')
  expect(await ask(other, 'SELECT count(*) FROM shop.counter'), 'nothing is begun').toBe('2')
})
