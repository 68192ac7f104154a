import { clean, shorten } from './format.ts'

export interface Column<Row> {
  readonly title: string
  readonly of: (row: Row) => unknown
  /** Numbers stand on the right. */
  readonly right?: boolean
  /** Never made narrower. */
  readonly fixed?: boolean
}

const GAP = 2
const WIDTH_MIN = 6

const widthOf = (text: string): number => [...text].length

/** Widths that fit into `total`, where that is possible: the widest that may shrink gives way first. */
export function fitWidths(widths: readonly number[], fixed: readonly boolean[], total: number): number[] {
  const fitted = [...widths]
  const sum = (): number => fitted.reduce((all, width) => all + width + GAP, -GAP)
  while (sum() > total) {
    const candidates = fitted.map((width, index) => (fixed[index] || width <= WIDTH_MIN ? 0 : width))
    const widest = Math.max(...candidates)
    if (widest === 0) return fitted
    fitted[candidates.indexOf(widest)] = widest - 1
  }
  return fitted
}

/** Rows under titles, in columns that fit into `width` characters. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width: number): string {
  const cells = rows.map((row) => columns.map((column) => clean(column.of(row)) || '–'))
  const all = [columns.map((column) => column.title), ...cells]
  const natural = columns.map((_, index) => Math.max(...all.map((line) => widthOf(line[index] ?? ''))))
  const widths = fitWidths(
    natural,
    columns.map((column) => column.fixed === true),
    width
  )
  const lineOf = (line: readonly string[]): string =>
    columns
      .map((column, index) => {
        const text = shorten(line[index] ?? '', widths[index] ?? 0)
        const padding = ' '.repeat((widths[index] ?? 0) - widthOf(text))
        return column.right ? padding + text : text + padding
      })
      .join(' '.repeat(GAP))
      .trimEnd()
  return `${all.map(lineOf).join('\n')}\n`
}

/** `name  value` lines, the values below one another. */
export function facts(entries: readonly (readonly [string, unknown])[]): string {
  const width = Math.max(0, ...entries.map(([name]) => widthOf(name)))
  return entries.map(([name, value]) => `${name.padEnd(width)}  ${clean(value) || '–'}\n`).join('')
}

/** Text in a frame, for what must be seen. */
export function box(lines: readonly string[]): string {
  const width = Math.max(0, ...lines.map(widthOf))
  const edge = '─'.repeat(width + 4)
  const inner = lines.map((line) => `│  ${line}${' '.repeat(width - widthOf(line))}  │`)
  return `╭${edge}╮\n${inner.join('\n')}\n╰${edge}╯\n`
}
