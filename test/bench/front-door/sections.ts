import { compared, type Measured, MIB, measured, type Row, row, type Section } from '../benchmark.ts'
import { CONNECTIONS, SMALL_BODY_BYTES } from './limits.ts'
import { PROXIES, type ProxyName } from './proxies.ts'
import {
  cpuMicroseconds,
  type Gets,
  type Loaded,
  type PlainRound,
  perCpuSecond,
  perSecond,
  type Round
} from './rounds.ts'

type Figures = readonly Round[]

const CPU_UNIT = 'requests/s of CPU time'

const of = (rounds: Figures, value: (round: Round) => number): Measured => ({ values: rounds.map(value) })

/** What each plain proxy does, named by what comes before and after its name. */
const plain = (
  rounds: Figures,
  value: (round: PlainRound) => number | undefined,
  what: (name: ProxyName) => string = (name) => name
): (Measured & { readonly what: string })[] =>
  PROXIES.map((name) => ({
    what: what(name),
    ...measured(rounds, ({ plain: { [name]: round } }) => (round === null ? undefined : value(round)), name)
  }))

/** Requests in a second, and in a second of CPU time, beside the plain proxies; and what each process uses. */
function rates(
  rounds: Figures,
  own: (round: Round) => Loaded,
  peer: ((round: PlainRound) => Loaded) | null,
  unit: 'requests/s' | 'round trips/s' = 'requests/s'
): Row[] {
  const beside = (value: (loaded: Loaded) => number) => (peer === null ? [] : plain(rounds, (one) => value(peer(one))))
  const cpuUnit = unit === 'requests/s' ? CPU_UNIT : `${unit} of CPU time`
  return [
    ...compared(unit, 'rate', { what: 'node-daemon', ...of(rounds, (one) => perSecond(own(one))) }, beside(perSecond)),
    ...compared(
      cpuUnit,
      'rate',
      { what: 'coordinator alone', ...of(rounds, (one) => perCpuSecond(own(one))) },
      beside((loaded) => perCpuSecond(loaded))
    ),
    row(
      'coordinator, CPU each',
      'µs',
      of(rounds, (one) => cpuMicroseconds(own(one), 0))
    ),
    row(
      'instance, CPU each',
      'µs',
      of(rounds, (one) => cpuMicroseconds(own(one), 1))
    )
  ]
}

function latencies(rounds: Figures, own: (round: Round) => Gets, peer: ((round: PlainRound) => Gets) | null): Row[] {
  return (['full', 'half'] as const).flatMap((load) =>
    (['p50Ms', 'p99Ms'] as const).flatMap((share) => {
      const what = `${share.slice(0, 3)} at ${load} load`
      const peers =
        peer === null
          ? []
          : plain(
              rounds,
              (one) => peer(one)[load].answered[share],
              (name) => `${what}, ${name}`
            )
      return [
        row(
          what,
          'ms',
          of(rounds, (one) => own(one)[load].answered[share])
        ),
        ...peers.map(({ what: name, ...figures }) => row(name, 'ms', figures))
      ]
    })
  )
}

function wrk(rounds: Figures): Row[] {
  const missing = (name: ProxyName) => (rounds.some((one) => one.plain[name] === null) ? name : 'wrk')
  const beside = PROXIES.map((name) =>
    row(
      `${name}, by wrk`,
      'requests/s',
      measured(rounds, (one) => one.plain[name]?.wrk?.perSecond, missing(name))
    )
  )
  return [
    row(
      'node-daemon, by wrk',
      'requests/s',
      measured(rounds, (one) => one.wrk?.perSecond, 'wrk')
    ),
    row(
      'node-daemon, by wrk, p99',
      'ms',
      measured(rounds, (one) => one.wrk?.p99Ms, 'wrk')
    ),
    ...beside
  ]
}

function large(rounds: Figures, sizeBytes: number): Section {
  const rate = (ms: number): number => sizeBytes / MIB / (ms / 1000)
  const rows = (what: 'download' | 'upload', note?: string): Row[] => {
    const key = `${what}Ms` as const
    const own = { what, ...of(rounds, (one) => rate(one.large[key])), ...(note !== undefined && { note }) }
    const direct = row(
      `${what}, direct`,
      'MiB/s',
      of(rounds, (one) => rate(one.largeDirect[key]))
    )
    return [
      ...compared(
        'MiB/s',
        'rate',
        own,
        plain(
          rounds,
          (one) => rate(one.large[key]),
          (name) => `${what}, ${name} → node:http`
        )
      ),
      direct
    ]
  }
  return {
    title: `One file of ${sizeBytes / MIB} MiB, through the tunnel where nothing else is said`,
    rows: [...rows('download'), ...rows('upload', 'until durable in the main repository; the proxies’ is thrown away')]
  }
}

export function sectionsOf(rounds: Figures, sizeBytes: number): Section[] {
  const kept = `${CONNECTIONS} connections kept alive`
  return [
    {
      title: `GET of ${SMALL_BODY_BYTES} bytes by token through the tunnel, ${kept}; proxies → node:http`,
      rows: [
        ...rates(
          rounds,
          (one) => one.tunnel.full,
          (one) => one.gets.full
        ),
        ...latencies(
          rounds,
          (one) => one.tunnel,
          (one) => one.gets
        ),
        ...wrk(rounds)
      ]
    },
    {
      title: `The same where the front door connects to the instance directly`,
      rows: [
        ...rates(
          rounds,
          (one) => one.direct.full,
          (one) => one.gets.full
        ),
        ...latencies(rounds, (one) => one.direct, null)
      ]
    },
    {
      title: 'The same answered by a redirect (307) to the instance, with a ticket; proxies without one',
      rows: rates(
        rounds,
        (one) => one.redirects,
        (one) => one.redirects
      )
    },
    {
      title: 'The same by users whom the front door has sent on, at the instance itself',
      rows: [
        row(
          'instance',
          'requests/s',
          of(rounds, ({ entered }) => perSecond(entered.full))
        ),
        row(
          'instance',
          CPU_UNIT,
          of(rounds, ({ entered }) => perCpuSecond(entered.full, 1))
        ),
        ...latencies(rounds, (one) => one.entered, null)
      ]
    },
    {
      title: `Messages of ${SMALL_BODY_BYTES} bytes to an app and back, over ${CONNECTIONS} WebSockets through the tunnel`,
      rows: [
        ...rates(
          rounds,
          (one) => one.roundTrips,
          (one) => one.roundTrips,
          'round trips/s'
        ),
        row(
          'p50',
          'ms',
          of(rounds, ({ roundTrips }) => roundTrips.answered.p50Ms)
        ),
        row(
          'p99',
          'ms',
          of(rounds, ({ roundTrips }) => roundTrips.answered.p99Ms)
        )
      ]
    },
    {
      title: `PUT of ${SMALL_BODY_BYTES} bytes, each durable in the main repository when answered, ${CONNECTIONS} users`,
      rows: [
        ...rates(rounds, ({ puts }) => puts, null),
        row(
          'p50',
          'ms',
          of(rounds, ({ puts }) => puts.answered.p50Ms)
        ),
        row(
          'p99',
          'ms',
          of(rounds, ({ puts }) => puts.answered.p99Ms)
        )
      ]
    },
    large(rounds, sizeBytes)
  ]
}
