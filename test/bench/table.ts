import { median, type Row, type Section } from './benchmark.ts'

const COLUMNS = ['', 'median', '', 'lowest – highest', 'node-daemon is', ''] as const

/** A figure with three digits that count, and no more than a reader can take in; a whole number as it is. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const digits = value >= 100 || Number.isInteger(value) ? 0 : value >= 10 ? 1 : 2
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

function cells({ what, unit, values, note, ratio }: Row): string[] {
  if (values.length === 0) return [what, '–', '', '', '', note ?? '']
  const range = values.length === 1 ? '' : `${figure(Math.min(...values))} – ${figure(Math.max(...values))}`
  const beside = ratio === undefined ? '' : `${figure(ratio.times)} × as ${ratio.as}`
  return [what, figure(median(values)), unit, range, beside, note ?? '']
}

export function tableOf({ title, rows }: Section): string {
  const lines = [COLUMNS.map(String), ...rows.map(cells)]
  const widths = COLUMNS.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const aligned = (line: readonly string[]): string =>
    line
      .map((cell, column) => (column === 1 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd()
  return [title, ...lines.map((line) => `  ${aligned(line)}`), ''].join('\n')
}

/** The same as data. */
export function dataOf({ title, rows }: Section): object {
  return {
    title,
    rows: rows.map((row) => ({ ...row, median: row.values.length === 0 ? null : median(row.values) }))
  }
}
