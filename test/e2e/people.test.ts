import { execFile, spawnSync } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const ROOT = resolve(import.meta.dirname, '../..')
const PROGRAM = join(ROOT, 'dist/cli/main.js')
const run = promisify(execFile)

/** The Node that runs the tests comes first, as it does for npm scripts. */
const env = { ...process.env, PATH: `${join(process.execPath, '..')}:${process.env.PATH ?? ''}` }

async function temporary<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'node-daemon-people-'))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

test('the demo ends by itself with nothing failed and nothing lost', async () => {
  const { stdout } = await run(process.execPath, [PROGRAM, 'demo', '--once', '--json', '--users', '4'], {
    env,
    timeout: 170_000
  })
  const last = stdout.trim().split('\n').at(-1) ?? ''
  const summary = JSON.parse(last) as Record<string, unknown>
  expect(summary).toMatchObject({ ok: true, failed: 0, lost: 0, certificates: 1 })
  expect(summary.files).toBeGreaterThan(50)
})

test('the example of one machine does what it says', async () => {
  await temporary(async (folder) => {
    const { stdout } = await run('bash', [join(ROOT, 'examples/one-machine.sh'), folder], {
      env: { ...env, NODE_DAEMON: PROGRAM },
      timeout: 120_000
    })
    expect(stdout).toContain('This exit certificate verifies.')
    expect(stdout.trim().split('\n').at(-1)).toBe('read back: written once')
  })
})

test('every command of the README exists, and every command stands in the README', async () => {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8')
  const table = [...readme.matchAll(/^\| `([a-z][a-z-]*)/gm)].map((match) => match[1])
  const help = spawnSync(process.execPath, [PROGRAM, '--help'], { encoding: 'utf8' }).stdout
  const commands = [...(help.split('Commands:')[1]?.matchAll(/^ {2}([a-z-]+)/gm) ?? [])].map((match) => match[1])
  expect(new Set(table)).toEqual(new Set(commands))
})

test('the package holds what it needs to run, and nothing of the workshop', async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT, env })
  const files = (JSON.parse(stdout) as { files: { path: string }[] }[])[0]?.files.map(({ path }) => path) ?? []
  expect(files).toContain('dist/cli/main.js')
  expect(files).toContain('protocols/heads/heads.proto')
  expect(files.filter((path) => /^(src|test)\//.test(path))).toEqual([])
  expect((await readdir(ROOT)).filter((name) => !name.startsWith('.')).sort()).toEqual(
    expect.arrayContaining(['README.md', 'examples', 'package.json', 'protocols', 'src', 'test', 'tsconfig.json'])
  )
})
