import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'

const SRC = resolve(import.meta.dirname, '../src')

const ROWS: readonly (readonly string[])[] = [
  ['core'],
  ['content', 'wire'],
  ['store', 'network', 'worktree'],
  ['sync', 'membership', 'placement'],
  ['handover', 'routing', 'apps'],
  ['console'],
  ['daemon'],
  ['cli']
]

interface Fence {
  readonly what: string
  readonly pattern: RegExp
  readonly allowed: readonly string[]
  readonly reason: string
}

const FENCES: readonly Fence[] = [
  {
    what: 'libp2p',
    pattern: /from '(?:libp2p|@libp2p\/(?!crypto|peer-id|peer-record|interface)[^']*|@multiformats\/multiaddr)'/,
    allowed: ['network'],
    reason: 'one room knows libp2p, so that the others run in memory and a new major version changes one folder'
  },
  {
    what: 'libp2p keys and envelopes',
    pattern: /from '@libp2p\/(?:crypto|peer-id|peer-record|interface)[^']*'/,
    allowed: ['core', 'network'],
    reason: 'identity and signed envelopes are core; everything else of libp2p is network'
  },
  {
    what: 'the file system',
    pattern: /from 'node:fs(?:\/promises)?'/,
    allowed: ['store', 'worktree', 'apps', 'daemon', 'cli'],
    reason: 'durability is decided where the disk is touched, and the simulator replaces those rooms'
  },
  {
    what: 'time and randomness',
    pattern:
      /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\brandomBytes\(|\brandomUUID\(|\bperformance\.now\(|(?<!\bsocket\.)\bsetTimeout\(|\bsetInterval\(|from 'node:timers/,
    allowed: ['core'],
    reason: 'a whole federation runs from one seed only if time and chance come in through the constructor'
  },
  {
    what: 'the process',
    pattern: /\bprocess\.\w|from 'node:process'/,
    allowed: ['daemon', 'cli'],
    reason: 'many instances live in one process in tests'
  },
  {
    what: 'the terminal',
    pattern: /\bconsole\.(?:log|error|warn|info|debug)\(/,
    allowed: ['cli'],
    reason: 'stdout is a contract with scripts; logs go through the logger'
  }
]

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return sources(path)
    return entry.name.endsWith('.ts') ? [path] : []
  })
}

const files = sources(SRC)
const room = (path: string): string => relative(SRC, path).split('/')[0] ?? ''
const row = (name: string): number => ROWS.findIndex((names) => names.includes(name))
const imports = (text: string): string[] =>
  [...text.matchAll(/(?:from|import)\s*\(?'(\.[^']+)'/g)].map((match) => match[1] ?? '')

test('no file lies loose in src, and every folder is a room of the house', () => {
  for (const entry of readdirSync(SRC)) {
    if (entry === 'tsconfig.json') continue
    expect(statSync(join(SRC, entry)).isDirectory(), `src/${entry} lies loose`).toBe(true)
    expect(row(entry), `src/${entry} is not a room: see ROWS`).toBeGreaterThanOrEqual(0)
  }
})

test('a folder imports only from the rows above it', () => {
  const wrong = files.flatMap((file) =>
    imports(readFileSync(file, 'utf8'))
      .map((specifier) => ({ from: room(file), to: room(resolve(dirname(file), specifier)), file, specifier }))
      .filter(({ from, to }) => from !== to && row(to) >= row(from))
      .map(
        ({ from, to, file, specifier }) =>
          `${relative(SRC, file)} imports ${specifier}: ${from} (row ${row(from) + 1}) must not know ${to} (row ${row(to) + 1})`
      )
  )
  expect(wrong, 'direction keeps each room replaceable and testable alone').toEqual([])
})

test.each(FENCES)('$what stays behind its fence', ({ pattern, allowed, reason }) => {
  const wrong = files
    .filter((file) => !allowed.includes(room(file)) && !file.includes('/generated/'))
    .filter((file) => pattern.test(readFileSync(file, 'utf8')))
    .map((file) => relative(SRC, file))
  expect(wrong, reason).toEqual([])
})
