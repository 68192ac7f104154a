import { codeOf, ERRORS, messageOf, NodeDaemonError } from '../core/errors.ts'
import { clean } from './format.ts'

const FALLBACK_ADVICE: Readonly<Record<string, string>> = {
  UNEXPECTED: 'this should not happen: please report it, with what stands above',
  ABORTED: 'nothing more was done; run the command again to go on',
  BAD_USAGE: 'see: node-daemon --help'
}

/** `error CODE: what happened`, then one line with what to do. */
export function errorText(error: unknown): string {
  const code = codeOf(error)
  const said = error instanceof NodeDaemonError ? error.advice : undefined
  const advice = said ?? FALLBACK_ADVICE[code] ?? 'see how things are with: node-daemon status'
  return `error ${code}: ${clean(messageOf(error)) || 'no reason was given'}\n  ${clean(advice)}\n`
}

export const exitCodeOf = (error: unknown): number => ERRORS[codeOf(error)].exit

/** How a command ends without an error of its own, but not with 0: the text was printed before. */
export const EXITS = {
  0: 'done',
  1: 'unexpected error',
  2: 'wrong usage or configuration',
  3: 'no such peer, workspace, file',
  4: 'refused: not approved, not permitted, by policy',
  5: 'out of reach, or timed out',
  6: 'incomplete: some data is not yet proven elsewhere',
  7: 'integrity: something does not verify',
  130: 'interrupted'
} as const

export type ExitCode = keyof typeof EXITS
