import { expect, test } from 'vitest'
import { ago, bytes, clean, duration, shorten } from '../../../src/cli/format.ts'
import { Printer } from '../../../src/cli/printer.ts'
import { errorText } from '../../../src/cli/report-error.ts'
import { box, facts, fitWidths, table } from '../../../src/cli/table.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { fakeTerminal } from './fake-terminal.ts'

test('sizes and times are for people', () => {
  expect([0, 999, 1000, 3_200_000_000, 123_456_789].map(bytes)).toEqual(['0 B', '999 B', '1.0 kB', '3.2 GB', '123 MB'])
  expect([12, 1500, 4000, 130_000, 3_600_000, 90_000_000, 700_000_000].map(duration)).toEqual([
    '12 ms',
    '1.5 s',
    '4 s',
    '2 min 10 s',
    '1 h',
    '25 h',
    '8 d 2 h'
  ])
  expect(ago('2026-01-01T00:00:00Z', Date.UTC(2026, 0, 1, 0, 0, 4))).toBe('4 s ago')
  expect(ago(null, 0)).toBe('–')
  expect(bytes(null)).toBe('–')
})

test('control characters of a hostile name do not reach the terminal', () => {
  expect(clean('a\u001b[2Jb\u202ec\nd')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  const text = table([{ title: 'NAME', of: (name: string) => name }], ['evil\u001b]0;x\u0007'], 80)
  expect(text).not.toContain('\u001b')
})

test('a table fits the terminal: the widest column gives way, fixed ones do not', () => {
  const rows = [{ name: 'n'.repeat(60), state: 'serving' }]
  const columns = [
    { title: 'NAME', of: (row: { name: string }) => row.name },
    { title: 'STATE', of: (row: { state: string }) => row.state, fixed: true }
  ]
  const lines = table(columns, rows, 30).trimEnd().split('\n')
  for (const line of lines) expect([...line].length).toBeLessThanOrEqual(30)
  expect(lines[1]).toMatch(/^n+… {2}serving$/)
  expect(table(columns, rows, Number.POSITIVE_INFINITY)).toContain('n'.repeat(60))
})

test('columns that cannot shrink any more are left as they are', () => {
  expect(fitWidths([6, 20], [false, true], 10)).toEqual([6, 20])
  expect(shorten('abcdef', 4)).toBe('abc…')
  expect(shorten('abcd', 4)).toBe('abcd')
})

test('facts and boxes line up', () => {
  expect(
    facts([
      ['a', 1],
      ['long', null]
    ])
  ).toBe('a     1\nlong  –\n')
  expect(
    new Set(
      box(['one', 'longer'])
        .trimEnd()
        .split('\n')
        .map((line) => line.length)
    ).size
  ).toBe(1)
})

test('with --json only machine output is on stdout; without it none', () => {
  const json = fakeTerminal()
  const printer = new Printer(json, true)
  printer.say('hello')
  printer.progress(0.5, 'half')
  printer.table([{ title: 'A', of: String }], [1], 'none')
  printer.machine({ a: 1 })
  expect(json.stdout()).toBe('{"a":1}\n')
  const people = fakeTerminal()
  new Printer(people, false).machine({ a: 1 })
  expect(people.stdout()).toBe('')
})

test('a bar is drawn again in place on a terminal, and a line for each tenth and phase elsewhere', () => {
  const tty = fakeTerminal({ tty: true, columns: 60 })
  const onTerminal = new Printer(tty, false)
  onTerminal.progress(0.5, 'half')
  onTerminal.progress(1, 'whole')
  onTerminal.say('done')
  expect(tty.stdout().split('\n')).toHaveLength(3)
  expect(tty.stdout()).toContain('\r')

  const pipe = fakeTerminal()
  const toPipe = new Printer(pipe, false)
  for (let done = 0; done <= 100; done += 1) toPipe.progress(done / 100, `${done} of 100`)
  expect(pipe.stdout().trimEnd().split('\n')).toHaveLength(11)
  toPipe.progress(1, 'again', 'stalled')
  toPipe.progress(Number.NaN, 'unknown')
  expect(pipe.stdout().trimEnd().split('\n')).toHaveLength(13)
  expect(pipe.stdout()).not.toContain('\u001b')
})

test('colours are on a terminal only, and never with NO_COLOR', () => {
  const styled = (options: Parameters<typeof fakeTerminal>[0]): string =>
    new Printer(fakeTerminal(options), false).styled('red', 'x')
  expect(styled({ tty: true })).toContain('\u001b[')
  expect(styled({ tty: true, env: { NO_COLOR: '1' } })).toBe('x')
  expect(styled({})).toBe('x')
})

test('an error is one line of what happened and one of what to do', () => {
  const error = new NodeDaemonError('NOT_FOUND', 'no peer\nis called x', { advice: 'see: node-daemon peers ls' })
  expect(errorText(error)).toBe('error NOT_FOUND: no peer is called x\n  see: node-daemon peers ls\n')
  expect(errorText(new Error('boom'))).toMatch(/^error UNEXPECTED: boom\n {2}\S.*\n$/)
})
