import type { DrainView } from '../console/views.ts'
import type { DrainReport } from '../wire/control.ts'

/** A drain as the API tells it. The certificate is the document itself. */
export function drainView(report: DrainReport): DrainView {
  const { certificate, etaMs, reason, plannedAtMs, ...rest } = report
  return {
    ...rest,
    etaMs: Math.round(etaMs),
    reason: reason === '' ? null : reason,
    plan: report.plan.map((move) => ({ ...move, etaMs: Math.round(move.etaMs) })),
    plannedAt: plannedAtMs === null ? null : new Date(plannedAtMs).toISOString(),
    certificate: certificate.length === 0 ? null : JSON.parse(Buffer.from(certificate).toString('utf8'))
  }
}
