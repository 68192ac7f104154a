import { readdir, rename } from 'node:fs/promises'
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
  synced,
  syncedAndMore
} from '../tools/databases.ts'
import { requireProgram } from '../tools/debian.ts'
import { TestFederation } from '../tools/federation.ts'
import { until } from '../tools/program.ts'

const VERSIONS = '/usr/lib/postgresql'

async function serverFolder(): Promise<string> {
  const [newest] = (await readdir(VERSIONS).catch(() => [])).map(Number).sort((a, b) => b - a)
  const folder = join(VERSIONS, String(newest), 'bin')
  requireProgram(join(folder, 'postgres'), 'postgresql')
  return folder
}

/** A server on a socket in `host`'s folder alone. Resolves once it takes changes. */
async function startServer(host: DatabaseHost, data: string): Promise<void> {
  // Nothing is ever read again from the disk of a server that died here.
  const settings = ['fsync=off', 'listen_addresses=', `unix_socket_directories=${host.folder}`].flatMap((one) => [
    '-c',
    one
  ])
  const { log } = host.start(join(await serverFolder(), 'postgres'), ['-D', data, ...settings], { server: true })
  try {
    await until('PostgreSQL takes changes', async () => (await ask(host, 'SELECT pg_is_in_recovery()')) === 'f')
  } catch (error) {
    throw new Error(log.join('\n'), { cause: error })
  }
}

const access = (host: DatabaseHost) => ({
  PGHOST: host.folder,
  PGUSER: 'postgres',
  RECEIVER_PID: host.path('receiver.pid')
})

const ask = (host: DatabaseHost, statement: string): Promise<string> =>
  host.run('/usr/bin/psql', ['-XAtqc', statement], access(host))

function hooksOf(host: DatabaseHost): string[] {
  const where = Object.entries(access(host)).map(([name, value]) => `${name}=${value}`)
  const line = (script: string): string => [...where, recipe('postgresql', script)].join(' ')
  return shortHooks(line('before-snapshot.sh'), line('after-snapshot.sh'))
}

test('PostgreSQL: kill -9 of home and server; another instance restores every transaction that was synced', async () => {
  const bin = await serverFolder()
  await using federation = await TestFederation.open(PATIENT)
  await using host = await DatabaseHost.open('postgres')
  await using other = await DatabaseHost.open('postgres')
  const flags = { alpha: hooksOf(host), beta: hooksOf(other) }
  const { ada, folder } = await homeAndStandby(federation, flags)

  await host.asServer(join(bin, 'initdb'), [
    '-D',
    host.path('data'),
    '-A',
    'trust',
    '-U',
    'postgres',
    '-k',
    '--no-sync',
    '--wal-segsize=1'
  ])
  await startServer(host, host.path('data'))
  await ask(host, 'CREATE TABLE counter (number integer PRIMARY KEY)')
  const receiver = host.start(recipe('postgresql', 'receive-wal.sh'), [folder], { env: access(host) })
  await federation.until('there is no snapshot without a base backup, and status says why', async () => {
    const { reason, safeToSwitchOff } = await federation.status('alpha')
    return reason?.includes('there is no base backup yet') === true && !safeToSwitchOff
  })
  const before = await sequenceOf(federation, ada)
  const app = host.session('/usr/bin/psql', ['-XAtq'], access(host))
  const counter = new Counter((number) =>
    app.ask(`INSERT INTO counter VALUES (${number}) RETURNING 'row ' || number;`, `row ${number}`)
  )
  await counter.commit(50)
  await expectRotation({
    folder: join(folder, 'postgresql'),
    isBase: (name) => name.startsWith('base-'),
    log: 'wal',
    backup: () => host.run(recipe('postgresql', 'base-backup.sh'), [folder], access(host)),
    commit: () => counter.commit(20)
  })
  await counter.commit(100)
  await ask(host, 'SELECT pg_switch_wal()')
  await counter.commit(100)
  const noted = await syncedAndMore(federation, ada, before, { counter, more: 30 })
  expect(receiver.child.exitCode, receiver.log.join('\n')).toBeNull()

  const restored = await dieAndPromote(federation, ada, host)
  const restore = (...args: string[]): Promise<string> => host.run(recipe('postgresql', 'restore.sh'), args)
  await expect(restore()).rejects.toThrow('usage: restore.sh')
  await expect(restore(host.folder, other.path('data'))).rejects.toThrow('there is no base backup')
  await expect(restore(restored, host.folder)).rejects.toThrow('is there already')
  await restore(restored, other.path('data'))
  await startServer(other, other.path('data'))
  const [count, highest] = (await ask(other, 'SELECT count(*), max(number) FROM counter')).split('|').map(Number)
  expectAllSynced({ count, highest }, counter, noted)
  await other.run(join(bin, 'pg_amcheck'), ['--all', '--install-missing', '--heapallindexed'], access(other))

  await federation.until('nothing is published from here before there is a new base', async () =>
    (await federation.status('beta')).reason?.includes('before-snapshot of files')
  )
  await rename(join(restored, 'postgresql'), join(restored, 'postgresql.before'))
  other.start(recipe('postgresql', 'receive-wal.sh'), [restored], { env: access(other) })
  await other.run(recipe('postgresql', 'base-backup.sh'), [restored], access(other))
  await ask(other, `INSERT INTO counter VALUES (${counter.committed + 1})`)
  await synced(federation, ada, await sequenceOf(federation, ada), 'beta')
})
