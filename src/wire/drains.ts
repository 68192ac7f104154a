import { NodeDaemonError } from '../core/errors.ts'
import { parse } from '../core/parse.ts'
import type { DrainReport, DrainRequest } from './control.ts'
import type { FromInstance as RawFromInstance, ToInstance as RawToInstance } from './generated/control.ts'

export const DRAIN_STATES = [
  'serving',
  'preparing',
  'draining',
  'stalled',
  'drained',
  'expired',
  'cancelled',
  'failed'
] as const
export type DrainStateName = (typeof DRAIN_STATES)[number]

/** `atMsMax`: the last millisecond of the year 9999, which every form of a date still can say. */
export const DRAIN_LIMITS = { deadlineMsMax: 2_592_000_000, atMsMax: 253_402_300_799_999 } as const

/** The time of a drain that is planned, in Unix milliseconds. @throws NodeDaemonError `BAD_REQUEST` */
export function checkedTime(atMs: number): number {
  if (Number.isSafeInteger(atMs) && atMs >= 0 && atMs <= DRAIN_LIMITS.atMsMax) return atMs
  throw new NodeDaemonError('BAD_REQUEST', 'a drain is planned for a time that is too far away')
}

const decodeTime = (atMs: number): number | null => (atMs === 0 ? null : checkedTime(atMs))

type RawRequest = NonNullable<RawFromInstance['drain']>
type RawReport = NonNullable<RawToInstance['drain']>

export const encodeRequest = (request: DrainRequest): RawRequest => ({
  ...request,
  to: request.to ?? '',
  atMs: request.atMs ?? 0
})

export const decodeRequest = (raw: RawRequest): DrainRequest => ({
  ...raw,
  deadlineMs: Math.min(raw.deadlineMs, DRAIN_LIMITS.deadlineMsMax),
  to: raw.to === '' ? null : parse.peer(raw.to),
  atMs: decodeTime(raw.atMs)
})

export function encodeReport(report: DrainReport): RawReport {
  return {
    state: report.state,
    workspacesDone: report.workspaces.done,
    workspacesTotal: report.workspaces.total,
    bytesDone: report.bytes.done,
    bytesTotal: report.bytes.total,
    etaMs: Math.round(report.etaMs),
    reason: report.reason,
    certificate: report.certificate as Uint8Array<ArrayBuffer>,
    plan: report.plan.map((move) => ({ ...move, to: move.to ?? '', etaMs: Math.round(move.etaMs) })),
    waiting: [...report.waiting],
    unproven: [...report.unproven],
    exits: report.exits,
    plannedAtMs: report.plannedAtMs ?? 0
  }
}

export function decodeReport(raw: RawReport): DrainReport {
  return {
    state: parse.word(raw.state, DRAIN_STATES, 'drain state'),
    workspaces: { done: raw.workspacesDone, total: raw.workspacesTotal },
    bytes: { done: raw.bytesDone, total: raw.bytesTotal },
    etaMs: raw.etaMs,
    reason: parse.line(raw.reason, 1000),
    certificate: raw.certificate,
    plan: raw.plan.map((move) => ({
      ...move,
      workspace: parse.workspace(move.workspace),
      to: move.to === '' ? null : parse.peer(move.to),
      toName: parse.line(move.toName, 100)
    })),
    waiting: raw.waiting.map(parse.workspace),
    unproven: raw.unproven.map(parse.workspace),
    exits: raw.exits,
    plannedAtMs: decodeTime(raw.plannedAtMs)
  }
}
