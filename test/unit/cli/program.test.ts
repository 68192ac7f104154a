import type { Command } from 'commander'
import { expect, test } from 'vitest'
import { commandTree } from '../../../src/cli/program.ts'
import { fakeDaemon, json } from './fake-daemon.ts'
import { run } from './fake-terminal.ts'

function leaves(command: Command, path: readonly string[] = []): string[][] {
  const below = command.commands.flatMap((child) => leaves(child, [...path, child.name()]))
  return path.length === 0 ? below : [[...path], ...below]
}

const COMMANDS = leaves(commandTree())

test('the contract’s commands are there', () => {
  const names = COMMANDS.map((path) => path.join(' '))
  expect(names).toEqual(
    expect.arrayContaining([
      ...['coordinator', 'join', 'status', 'drain', 'stop', 'leave', 'set', 'invite', 'audit', 'demo', 'completion'],
      ...['ls', 'show', 'approve', 'deny', 'revoke', 'label', 'drain', 'resume'].map((act) => `peers ${act}`),
      ...['services ls', 'workspaces ls', 'workspaces show', 'workspaces move', 'repo stats', 'receipts verify'],
      ...['add', 'ls', 'rm', 'block'].map((act) => `users ${act}`),
      ...['add', 'ls', 'rm', 'link'].map((act) => `admins ${act}`)
    ])
  )
})

test.each(COMMANDS.map((path) => [path.join(' '), path] as const))(
  '%s --help shows an example and exit codes',
  async (name, path) => {
    const { code, stdout, stderr } = await run([...path, '--help'])
    expect(code).toBe(0)
    expect(stderr).toBe('')
    expect(stdout).toMatch(new RegExp(`Examples?:\\n {2}\\$ node-daemon ${name.split(' ')[0]}`))
    expect(stdout).toContain('Exit codes:')
    expect(stdout).toContain('--data <dir>')
  }
)

test('the version is the package’s', async () => {
  expect(await run(['--version'])).toEqual({ code: 0, stdout: '0.1.0\n', stderr: '' })
})

test.each([
  [
    'an unknown command',
    ['statsu'],
    /unknown command "statsu"\n {2}Did you mean status\? {2}see: node-daemon --help\n$/
  ],
  [
    'an unknown flag',
    ['drain', '--paln'],
    /unknown option "--paln"\n {2}Did you mean --plan\? {2}see: node-daemon drain --help\n$/
  ],
  ['an unknown command of a group', ['peers', 'aprove'], /unknown command "aprove"\n {2}Did you mean approve\?/],
  ['no command', [], /a command is missing\n {2}see: node-daemon --help\n$/],
  ['a group alone', ['peers'], /a command is missing\n {2}see: node-daemon peers --help\n$/],
  ['a missing argument', ['peers', 'show'], /missing required argument "peer"/],
  ['too many arguments', ['status', 'x'], /too many arguments/],
  ['a flag without its value', ['drain', '--deadline'], /argument missing/],
  ['a bad value', ['drain', '--deadline', 'soon'], /--deadline: "soon" is not a duration\n {2}write it like/],
  ['a bad log level', ['status', '--log-level', 'loud'], /--log-level/],
  ['a bad setting', ['set', 'colour=red'], /"colour=red" changes nothing/],
  ['an unknown shell', ['completion', 'tcsh'], /"tcsh" is not one of/],
  ['a route without an address', ['join', '--route', 'redirect'], /the route redirect needs an address\n {2}say where/],
  [
    'an address with a path',
    ['join', '--public-url', 'https://a.example/x'],
    /--public-url: .* is not an address of a server/
  ],
  ['--api without a token', ['peers', 'ls', '--api', 'http://127.0.0.1:1'], /wants a token/]
])('%s is wrong usage, with what to do', async (_what, argv, message) => {
  const { code, stdout, stderr } = await run(argv)
  expect(code).toBe(2)
  expect(stdout).toBe('')
  expect(stderr).toMatch(/^error BAD_USAGE: [^\n]+\n {2}[^\n]+\n$/)
  expect(stderr).toMatch(message)
})

test('errors keep their form with --json, on stderr', async () => {
  const { code, stdout, stderr } = await run(['status', '--json', '--data', '/nowhere/at/all'])
  expect({ code, stdout }).toEqual({ code: 5, stdout: '' })
  expect(stderr).toMatch(/^error NOT_RUNNING: no daemon runs on \/nowhere\/at\/all\n {2}start one with: node-daemon /)
})

test('what destroys asks first, and is refused where nobody can be asked', async () => {
  const ada = json([{ name: 'ada' }])
  await using daemon = await fakeDaemon({ 'GET /users': ada, 'GET /admins': ada })
  for (const argv of [['leave'], ['users', 'rm', 'ada'], ['admins', 'rm', 'ada'], ['invite', 'rm', 'x']]) {
    const { code, stderr } = await run([...argv, '--data', daemon.data])
    expect(code).toBe(2)
    expect(stderr).toMatch(/^error BAD_USAGE: .*\n {2}say --yes if you are sure\n$/)
  }
  const declined = await run(['users', 'rm', 'ada', '--data', daemon.data], { answers: ['n'] })
  expect(declined.code).toBe(130)
  expect(declined.stderr).toContain('Remove the user ada? [y/N]')
})

test.each(['bash', 'zsh', 'fish'])('the completion of %s knows every command and its flags', async (shell) => {
  const { code, stdout } = await run(['completion', shell])
  expect(code).toBe(0)
  for (const path of COMMANDS) expect(stdout).toContain(path.join(' '))
  expect(stdout).toContain('to-repository')
  expect(stdout).toContain('data')
})
