import { styleText } from 'node:util'
import { clean } from './format.ts'
import { type Column, table } from './table.ts'
import type { Terminal } from './terminal.ts'

type Style = Parameters<typeof styleText>[0]

const BAR_WIDTH = 28

/** Where a command's results go: prose and tables for people, JSON for machines, never both. */
export class Printer {
  readonly json: boolean
  readonly #terminal: Terminal
  readonly #colours: boolean
  #step = ''
  /** Where a bar stands whose line is not ended. */
  #drawnOn: 'out' | 'err' | null = null

  constructor(terminal: Terminal, json: boolean) {
    this.#terminal = terminal
    this.json = json
    this.#colours = terminal.outIsTty && !terminal.env.NO_COLOR && terminal.env.TERM !== 'dumb'
  }

  /** For people. */
  say(text = ''): void {
    if (this.json) return
    this.#endProgress()
    this.#terminal.out(`${text}\n`)
  }

  table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], whenEmpty: string): void {
    if (this.json) return
    this.#endProgress()
    this.#terminal.out(rows.length === 0 ? `${whenEmpty}\n` : table(columns, rows, this.#terminal.columns()))
  }

  /** For machines: one document, or one line of a stream. */
  machine(value: unknown): void {
    if (this.json) this.#terminal.out(`${JSON.stringify(value)}\n`)
  }

  /** For people on stderr, in every mode. */
  note(text: string): void {
    this.#endProgress()
    this.#terminal.err(`${text}\n`)
  }

  /**
   * A bar that is drawn again in place on a terminal; elsewhere, on stdout alone, a line for each tenth and each new phase.
   *
   * @param done from 0 to 1
   * @param phase what is being done, in a word
   * @param where `err` for what is no part of the result
   */
  progress(done: number, text: string, phase = '', where: 'out' | 'err' = 'out'): void {
    if (this.json || (where === 'err' && !this.#terminal.errIsTty)) return
    const isTty = where === 'out' ? this.#terminal.outIsTty : this.#terminal.errIsTty
    const share = Number.isFinite(done) ? Math.min(1, Math.max(0, done)) : 0
    const step = isTty ? `${share} ${text}` : `${Math.floor(share * 10)} ${phase}`
    if (step === this.#step) return
    this.#step = step
    this.#drawnOn = isTty ? where : null
    const filled = Math.round(share * BAR_WIDTH)
    const percent = `${Math.floor(share * 100)} %`.padStart(5)
    const line = `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)} ${percent}  ${clean(text)}`
    const room = this.#terminal.columns() - 1
    this.#terminal[where](isTty ? `\r\u001b[2K${[...line].slice(0, room).join('')}` : `${line}\n`)
  }

  styled(style: Style, text: string): string {
    return this.#colours ? styleText(style, text, { validateStream: false }) : text
  }

  #endProgress(): void {
    if (this.#drawnOn !== null) this.#terminal[this.#drawnOn]('\n')
    this.#drawnOn = null
    this.#step = ''
  }
}
