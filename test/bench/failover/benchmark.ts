import { type Benchmark, percentile, type Row, type Section } from '../benchmark.ts'
import { type Kills, killsOf, USERS } from './kills.ts'

/** Shorter than the default, so that the wait for its end can be told from everything else. */
const LEASE_S = 4

function section(title: string, kills: Kills): Section {
  const { servedMs, lastMs, requests, failed, told, acknowledged, lostAgesMs, kept } = kills
  const single = (what: string, unit: string, value: number, note = ''): Row => ({
    what,
    unit,
    values: [value],
    ...(note !== '' && { note })
  })
  return {
    title: `${title}: ${lastMs.length} kills under load of ${USERS} users, ${requests} requests`,
    rows: [
      { what: 'each user of that home, until served by another', unit: 'ms', values: servedMs },
      single('the same, p99', 'ms', percentile(servedMs, 0.99)),
      { what: 'the last user of that home', unit: 'ms', values: lastMs },
      single('GET, HEAD and small PUT failed, and MKCOL without a word', 'requests', failed.length, failed[0] ?? ''),
      single('MKCOL told not to be executed', 'requests', told.safe),
      single('MKCOL told to be perhaps executed', 'requests', told.unsafe),
      single('acknowledged', 'writes', acknowledged),
      single('acknowledged, and not there afterwards', 'writes', lostAgesMs.length),
      ...(lostAgesMs.length === 0
        ? []
        : [
            single('of those, kept in a diverged head', 'writes', kept),
            { what: 'of those, acknowledged so long before the kill', unit: 'ms', values: lostAgesMs }
          ])
    ]
  }
}

export const failoverBenchmark: Benchmark = {
  name: 'failover',
  about: 'kill -9 of a home under load: until its users are served again, and what became of their requests',
  async run(options) {
    const byDefault = await killsOf(options, 'replicated', [])
    const local = await killsOf(options, 'local', ['--ack', 'local', '--lease', `${LEASE_S}s`])
    return [section('By default', byDefault), section(`--ack local --lease ${LEASE_S}s`, local)]
  }
}
