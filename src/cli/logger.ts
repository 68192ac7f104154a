import { type Logger as Pino, pino } from 'pino'
import type { Logger } from '../core/log.ts'
import { clean } from './format.ts'
import type { Terminal } from './terminal.ts'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

const NAMES: Readonly<Record<number, string>> = { 20: 'debug', 30: 'info', 40: 'warn', 50: 'error', 60: 'fatal' }
const COMMON = new Set(['level', 'time', 'msg', 'pid', 'hostname'])

function readable(json: string): string {
  const entry = JSON.parse(json) as Record<string, unknown>
  const fields = Object.entries(entry)
    .filter(([name]) => !COMMON.has(name))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  return `${NAMES[Number(entry.level)] ?? '?'} ${clean(entry.msg)}  ${clean(fields.join(' '))}`.trimEnd()
}

function adapted(logger: Pino): Logger {
  return {
    debug: (fields, text) => logger.debug(fields, text),
    info: (fields, text) => logger.info(fields, text),
    warn: (fields, text) => logger.warn(fields, text),
    error: (fields, text) => logger.error(fields, text),
    child: (fields) => adapted(logger.child(fields))
  }
}

/** Logs on stderr: a JSON object a line, or short text where a person watches. */
export function createLogger(terminal: Terminal, level: LogLevel): Logger {
  const write = (json: string): void => terminal.err(terminal.errIsTty ? `${readable(json)}\n` : json)
  return adapted(pino({ level, timestamp: pino.stdTimeFunctions.isoTime }, { write }))
}
