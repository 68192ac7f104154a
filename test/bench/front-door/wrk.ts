import { output } from '../system.ts'
import type { Sign } from './client.ts'
import { CONNECTIONS } from './limits.ts'

export interface WrkRun {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const UNIT_MS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000 }

/** Loads an address with `wrk`: one thread, so that it leaves the other core alone. */
export async function runWrk(program: string, url: string, [name, value]: Sign, seconds: number): Promise<WrkRun> {
  const report = await output(program, [
    '-t1',
    `-c${CONNECTIONS}`,
    `-d${seconds}s`,
    '--latency',
    '-H',
    `${name}: ${value}`,
    url
  ])
  if (/Non-2xx/.test(report)) throw new Error(`wrk saw errors:\n${report}`)
  const [, perSecond = 'NaN'] = /^Requests\/sec:\s+([\d.]+)/m.exec(report) ?? []
  return { perSecond: Number(perSecond), p50Ms: latency(report, '50%'), p99Ms: latency(report, '99%') }
}

function latency(report: string, share: string): number {
  const [, value = 'NaN', unit = 'ms'] = new RegExp(`^\\s+${share}\\s+([\\d.]+)(us|ms|s)`, 'm').exec(report) ?? []
  return Number(value) * (UNIT_MS[unit] ?? Number.NaN)
}
