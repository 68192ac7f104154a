import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import type { Logger } from '../../src/core/log.ts'
import { runSeeds } from './fleet.ts'
import type { Outcome } from './run.ts'

const HELP = `Simulates federations, each from a seed: npm run sim -- --seeds 1000

  --seeds N    so many seeds (100)
  --from S     the first of them, a number (1)
  --seed S     this one alone, with all that happens in it
  --kind K     of one kind only (see test/sim/plan.ts)
  --log        and all that its daemons log
  --bug NAME   with a planted mistake (see test/sim/bugs.ts)
  --bugs WORDS looks for each planted mistake whose name has these words in it
  --jobs N     processes at once (one for each core)

Ends with 0 where every promise was kept, and with 1 otherwise.`
const SHOWN_MAX = 20
const PROGRESS_EVERY = 500

/** Of what happened last. */
let time = ''

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    kind: { type: 'string' },
    log: { type: 'boolean', default: false },
    bug: { type: 'string' },
    bugs: { type: 'string' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    help: { type: 'boolean', default: false }
  }
})

if (values.help) console.log(HELP)
else if (values.bugs !== undefined) process.exitCode = await huntAll(values.bugs)
else if (values.seed === undefined) process.exitCode = await many()
else process.exitCode = await one(values.seed)

/** Which seed shows each planted mistake first. */
async function huntAll(words: string): Promise<number> {
  const { bugsNamed, hunt } = await import('./hunt.ts')
  const seeds = numbers(wholeNumber('--from', values.from), wholeNumber('--seeds', values.seeds))
  let missed = 0
  await hunt(bugsNamed(words), () => seeds(), {
    jobs: wholeNumber('--jobs', values.jobs),
    onHunted({ bug, caught }) {
      if (caught === null) missed++
      const [first] = caught?.violations ?? []
      console.log(
        `${caught?.seed ?? 'NEVER'}\t${bug.name}\t${first === undefined ? '' : `${first.promise} ${first.what}`}`
      )
    }
  })
  return missed === 0 ? 0 : 1
}

/** Everything that happens under one seed. */
async function one(seed: string): Promise<number> {
  if (values.bug !== undefined) {
    const [{ plant }, { bugNamed }] = await Promise.all([import('./plant.ts'), import('./bugs.ts')])
    plant(bugNamed(values.bug))
  }
  const { runSeed } = await import('./run.ts')
  const outcome = await runSeed(seed, {
    onLine: (line) => {
      time = line.split(' ')[0] ?? ''
      console.log(line)
    },
    ...(values.log && { log: logger('') })
  })
  show(outcome)
  console.log(`trace ${outcome.trace}`)
  return outcome.violations.length === 0 ? 0 : 1
}

function logger(who: string): Logger {
  const say = (level: string) => (fields: object, text: string) =>
    console.log(`${time}${who} ${level}: ${text} ${JSON.stringify(fields)}`)
  return {
    debug: say('debug'),
    info: say('info'),
    warn: say('warn'),
    error: say('error'),
    child: (fields) => logger(`${who} ${Object.values(fields).join(' ')}`)
  }
}

async function many(): Promise<number> {
  const count = wholeNumber('--seeds', values.seeds)
  const from = wholeNumber('--from', values.from)
  const total = { seeds: 0, failures: 0, requests: 0, failed: 0, events: 0, worldMs: 0 }
  const onOutcome = (outcome: Outcome): boolean => {
    total.seeds++
    total.requests += outcome.requests
    total.failed += outcome.failed
    total.events += outcome.events
    total.worldMs += outcome.worldMs
    if (outcome.violations.length > 0 && total.failures++ < SHOWN_MAX) show(outcome)
    if (total.seeds % PROGRESS_EVERY === 0) console.log(`${total.seeds} of ${count} seeds`)
    return true
  }
  const seeds = numbers(from, count)()
  const options = { jobs: wholeNumber('--jobs', values.jobs), onOutcome }
  await runSeeds(seeds, values.bug === undefined ? options : { ...options, bug: values.bug })
  const hours = (total.worldMs / 3_600_000).toFixed(1)
  console.log(
    `${total.failures} failures in ${total.seeds} seeds: ${total.requests} requests (${total.failed} of them answered with an error), ` +
      `${total.events} events, ${hours} simulated hours`
  )
  return total.failures === 0 ? 0 : 1
}

function numbers(from: number, count: number): () => Generator<string> {
  return function* () {
    for (let seed = from; seed < from + count; seed++)
      yield values.kind === undefined ? String(seed) : `${values.kind}/${seed}`
  }
}

function show({ seed, kind, violations }: Outcome): void {
  for (const { promise, what } of violations) console.log(`seed ${seed} (${kind}): ${promise}: ${what}`)
  const bug = values.bug === undefined ? '' : ` --bug '${values.bug}'`
  if (violations.length > 0) console.log(`  again: npm run sim -- --seed ${seed}${bug}`)
}

function wholeNumber(flag: string, text: string): number {
  const number = Number(text)
  if (Number.isSafeInteger(number) && number > 0) return number
  console.error(`error BAD_USAGE: ${flag} takes a whole number above 0\n  see: npm run sim -- --help`)
  process.exit(2)
}
