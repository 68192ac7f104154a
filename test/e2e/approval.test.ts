import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'

const ESTABLISHED = '01'

/** Established TCP connections of this machine to a port, as the kernel counts them at the listening side. */
async function connectionsTo(port: number): Promise<number> {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const rows = (await readFile('/proc/net/tcp', 'utf8')).trim().split('\n').slice(1)
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter(([, local = '', , state]) => state === ESTABLISHED && local.endsWith(`:${hex}`)).length
}

const portOf = (multiaddr: string): number => Number(/\/tcp\/(\d+)/.exec(multiaddr)?.[1])

describe('approval', () => {
  test('both sides see the same code; once approved, the instance serves by itself', async () => {
    await using federation = await TestFederation.open()
    const { program, code } = await federation.ask('alpha', ['--contact', 'ada@example.org'])
    const shown = await federation.admin('peers', 'show', 'alpha')
    expect(shown.lines[0]).toMatchObject({ code, state: 'pending', contact: 'ada@example.org' })
    expect(code).toMatch(/^([a-z]+-){4}\d\d$/)

    const guess = await federation.admin('peers', 'approve', 'alpha', '--code', 'tiger-lamp-river-stone-00')
    expect(guess.code).toBe(4)
    expect(guess.log).toContain('error REFUSED_BY_POLICY')
    expect((await federation.peer('alpha')).state).toBe('pending')

    const approved = await federation.admin('peers', 'approve', 'alpha', '--code', code)
    expect(approved.code).toBe(0)
    expect(await program.event('serving')).toMatchObject({ name: 'alpha' })
    expect((await federation.status('alpha')).state).toBe('serving')
  })

  test('a volunteer who is denied sees why, and ends with code 4', async () => {
    await using federation = await TestFederation.open()
    const { program } = await federation.ask('alpha')
    const denied = await federation.admin('peers', 'deny', 'alpha', '--reason', 'write to ada@example.org first')
    expect(denied.code).toBe(0)
    expect(await program.ended()).toEqual({ code: 4, signal: null })
    expect((await program.event('denied')).reason).toContain('write to ada@example.org first')
    expect(program.log).toContain('error DENIED')
    expect((await federation.peer('alpha')).state).toBe('denied')

    const again = federation.start('alpha', ['join'])
    expect((await again.ended()).code).toBe(4)
    expect(again.events.map(({ event }) => event)).not.toContain('serving')
  })

  test('a revoked instance is cut off within 5 s even if it does not listen, and others serve its users', async () => {
    await using federation = await TestFederation.open()
    const ada = await federation.addUser('ada')
    await federation.join('alpha')
    await ada.save('/notes.txt', 'kept')
    await federation.join('beta')
    await federation.settled()
    const alpha = federation.program('alpha')
    const port = portOf(federation.ready.addresses[0] ?? '')
    const before = await connectionsTo(port)
    expect(before).toBeGreaterThanOrEqual(2)

    alpha.kill('SIGSTOP')
    expect((await federation.admin('peers', 'revoke', 'alpha', '--reason', 'key stolen', '--yes')).code).toBe(0)
    await federation.until(
      'only connections of beta are left',
      async () => (await connectionsTo(port)) <= before / 2,
      5000
    )
    const answer = await ada.get('/notes.txt')
    expect([answer.status, answer.text, answer.by]).toEqual([200, 'kept', 'beta'])

    alpha.kill('SIGCONT')
    expect((await alpha.ended()).code).toBe(4)
    expect((await alpha.event('revoked')).reason).toContain('key stolen')
    const again = federation.start('alpha', ['join'])
    expect((await again.ended()).code).toBe(4)
    expect(again.events.map(({ event }) => event)).not.toContain('serving')
  })

  test('an invite lets in without asking, once', async () => {
    await using federation = await TestFederation.open()
    const link = String((await federation.admin('invite', '--label', 'site=freiburg')).lines[0]?.link)
    const alpha = federation.start('alpha', ['join', link, '--name', 'alpha'])
    await alpha.event('serving')
    expect(alpha.events.map(({ event }) => event)).not.toContain('pending')
    expect((await federation.peer('alpha')).labels).toEqual({ site: 'freiburg' })

    const second = federation.start('beta', ['join', link, '--name', 'beta'])
    expect((await second.ended()).code).toBe(4)
    expect(second.log).toContain('error FORBIDDEN')
  })

  test('a volunteer who was told another code, or takes a name that is taken, is not let in', async () => {
    await using federation = await TestFederation.open()
    const { code } = await federation.ask('alpha')
    const wrong = federation.start('wrong', ['join', federation.ready.http, '--name', 'wrong', '--code', code])
    expect((await wrong.ended()).code).toBe(7)
    expect(wrong.log).toContain('error WRONG_COORDINATOR')
    expect(await federation.peers()).toHaveLength(1)

    const taken = federation.start('taken', ['join', federation.ready.http, '--name', 'alpha'])
    expect((await taken.ended()).code).toBe(2)
    expect(taken.log).toContain('error NAME_TAKEN')
    expect(await federation.peers()).toHaveLength(1)
  })

  test('"join" alone resumes with all files; a coordinator that is away at the start is waited for', async () => {
    await using federation = await TestFederation.open()
    const ada = await federation.addUser('ada')
    await federation.join('alpha')
    await ada.save('/notes.txt', 'kept')
    expect((await federation.command('alpha', 'stop')).code).toBe(0)
    expect(await federation.program('alpha').ended()).toEqual({ code: 0, signal: null })

    await federation.kill('coordinator')
    const alpha = federation.start('alpha', ['join'])
    await alpha.event('unreachable')
    await federation.startCoordinator()
    await alpha.event('serving')
    expect((await ada.read('/notes.txt')).toString()).toBe('kept')
  })

  test('another key at the address of the coordinator ends the instance with code 7, and nothing is lost', async () => {
    await using federation = await TestFederation.open()
    const ada = await federation.addUser('ada')
    await federation.join('alpha')
    await ada.save('/notes.txt', 'kept')
    expect((await federation.command('alpha', 'stop')).code).toBe(0)
    expect((await federation.admin('stop')).code).toBe(0)

    const url = federation.ready.http
    await federation.startStranger()
    const named = federation.start('alpha', ['join', url])
    expect((await named.ended()).code).toBe(7)
    expect(named.log).toContain('error WRONG_COORDINATOR')
    const resumed = federation.start('alpha', ['join'])
    expect((await resumed.ended()).code).toBe(7)
    expect(resumed.log).toContain('error WRONG_COORDINATOR')

    await federation.kill('stranger')
    await federation.startCoordinator()
    await federation.resume('alpha')
    expect((await ada.read('/notes.txt')).toString()).toBe('kept')
  })
})

describe('wrong usage', () => {
  test('a folder or a port in use is told with code 2, and the one who has it goes on', async () => {
    await using federation = await TestFederation.open()
    await federation.join('alpha')
    const { http } = federation.ready
    const folder = await federation.command('coordinator', 'coordinator', '--http', '127.0.0.1:0')
    expect([folder.code, folder.log]).toEqual([2, expect.stringContaining('error DATA_FOLDER_IN_USE')])
    const twin = await federation.command('alpha', 'join')
    expect([twin.code, twin.log]).toEqual([2, expect.stringContaining('error DATA_FOLDER_IN_USE')])
    const door = new URL(http).host
    const flags = ['--listen', '/ip4/127.0.0.1/tcp/0', '--admin', '127.0.0.1:0', '--http', door]
    const port = await federation.command('other', 'coordinator', ...flags)
    expect([port.code, port.log]).toEqual([2, expect.stringContaining('error PORT_IN_USE')])
    expect((await fetch(http)).status).toBe(200)
    expect((await federation.status('alpha')).state).toBe('serving')
  })

  test.each([
    ['an unknown command', ['jion']],
    ['an unknown flag', ['coordinator', '--prot', '1']],
    ['a bad value', ['coordinator', '--standbys', 'many']],
    ['too many words', ['status', 'now']]
  ])('%s ends with code 2 and one line of error', async (_, args) => {
    await using federation = await TestFederation.bare()
    const { code, log, lines } = await federation.run(...args)
    expect(code).toBe(2)
    expect(log).toMatch(/^error BAD_USAGE: .+/)
    expect(lines).toEqual([])
  })
})
