import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { requireProgram, runTool } from '../tools/debian.ts'
import { TestFederation } from '../tools/federation.ts'

const SUITES = ['basic', 'copymove', 'props', 'locks', 'http']

const WORDS = `mkcol drafts
put sent.txt drafts/first.txt
move drafts/first.txt drafts/second.txt
copy drafts/second.txt kept.txt
get kept.txt got.txt
put sent.txt drafts/third.txt
delete drafts/second.txt
ls drafts
rmcol drafts
ls
quit
`

test('litmus finds no fault, and what cadaver keeps is what curl finds', async ({ signal }) => {
  const litmus = requireProgram('/usr/bin/litmus', 'litmus')
  const cadaver = requireProgram('/usr/bin/cadaver', 'cadaver')
  const curl = requireProgram('/usr/bin/curl', 'curl')
  await using federation = await TestFederation.open()
  await Promise.all(['alpha', 'beta'].map((name) => federation.join(name)))
  const door = `${federation.ready.http}/`
  const tokenOf = async (name: string): Promise<string> =>
    (await federation.api.send<{ token: string }>('POST', '/users', { name })).token

  const examine = async (suite: string): Promise<void> => {
    const [cwd, token] = [await federation.spare(suite), await tokenOf(suite)]
    const told = await runTool(litmus, [door, suite, token], { signal, cwd, env: { TESTS: suite } })
    expect(told).toMatch(/: of (\d+) tests run: \1 passed, 0 failed/)
    expect(told).not.toMatch(/FAIL|WARNING|SKIPPED/)
  }

  const work = async (): Promise<void> => {
    const [cwd, token] = [await federation.spare('cadaver'), await tokenOf('ada')]
    const { hostname } = new URL(door)
    await writeFile(join(cwd, '.netrc'), `machine ${hostname} login ada password ${token}\n`, { mode: 0o600 })
    await writeFile(join(cwd, 'sent.txt'), 'sent by cadaver')
    await writeFile(join(cwd, 'words'), WORDS)
    const told = await runTool(cadaver, ['-r', 'words', door], { signal, cwd, env: { HOME: cwd } })
    expect(told).not.toContain('failed')
    expect(told).toMatch(/`\/drafts\/': succeeded\.\n +third\.txt +15 [^\n]+\nDeleting/)
    expect(told).toMatch(/`\/': succeeded\.\n +kept\.txt +15 [^\n]+\nConnection/)
    expect(await readFile(join(cwd, 'got.txt'), 'utf8')).toBe('sent by cadaver')
    const ask = (path: string): Promise<string> =>
      runTool(curl, ['-sSf', '-u', `ada:${token}`, door + path], { signal })
    expect(await ask('kept.txt')).toBe('sent by cadaver')
    await expect(ask('drafts/')).rejects.toThrow('404')
  }

  await Promise.all([...SUITES.map(examine), work()])
})
