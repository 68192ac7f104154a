import { expect, test } from 'vitest'
import { filled, parseCommand } from '../../../../src/apps/command/spec.ts'
import { NodeDaemonError } from '../../../../src/core/errors.ts'

test('a command is cut into words as a shell does it, and nothing is expanded but placeholders within their words', () => {
  const { words, listens } = parseCommand(
    `app  --name='two words' "a \\"b\\" 'c'" d\\ e --at=http+unix://{socket}/x ''`
  )
  expect(words).toEqual(['app', '--name=two words', `a "b" 'c'`, 'd e', '--at=http+unix://{socket}/x', ''])
  expect(listens).toBe('socket')
  const values = { port: '8080', socket: '/run/it s', dir: '/w', base: '/lab/', secret: '$(reboot)' }
  expect(filled(['{socket}!', '{base}{base}', '{"a":{port}}', '{secret}', '{other}'], values)).toEqual([
    '/run/it s!',
    '/lab//lab/',
    '{"a":8080}',
    '$(reboot)',
    '{other}'
  ])
})

test.each([
  ['app', 'does not say where the app listens'],
  ['app {port} {socket}', 'says {port} and {socket}'],
  ['', 'names no program'],
  ["'' {port}", 'names no program'],
  ["app '{port}", "has a ' without its end"],
  ['app {port} \\', 'has a \\ without its end'],
  ['app {port} | tee log', 'needs a shell for "|"'],
  ['app {port} $HOME', 'needs a shell for "$HOME"'],
  ['app {port}; reboot', 'needs a shell for "{port};"'],
  [`app {port} ${'x'.repeat(4000)}`, 'is longer than 4000 characters'],
  ['app {port}\0', 'not text']
])('%j is refused: it %s', (text, why) => {
  expect(() => parseCommand(text)).toThrow(NodeDaemonError)
  expect(() => parseCommand(text)).toThrow(why)
})

test('what stands in quotes may hold what a shell would read', () => {
  expect(parseCommand(`sh -c 'exec app --port "$NODE_DAEMON_PORT" | cat' {port}`).words).toEqual([
    'sh',
    '-c',
    'exec app --port "$NODE_DAEMON_PORT" | cat',
    '{port}'
  ])
})
