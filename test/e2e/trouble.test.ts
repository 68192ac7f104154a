import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'
import { Traffic } from '../tools/traffic.ts'

const NAMES = ['alpha', 'beta', 'gamma']

describe('a drain', () => {
  test('of two instances at once ends well for both, on the third', async () => {
    await using federation = await TestFederation.open()
    await Promise.all(NAMES.map((name) => federation.join(name)))
    const users = await federation.addUsers(9)
    await Promise.all(users.map((user) => user.save('/mine.txt', `of ${user.name}`)))
    await federation.settled()
    await using traffic = new Traffic(users, 20)
    const drains = await Promise.all(['alpha', 'beta'].map((name) => federation.command(name, 'drain')))
    for (const { code, log } of drains) expect(code, log).toBe(0)
    await traffic.stop()
    expect(traffic.failures).toEqual([])
    expect(await traffic.lost()).toEqual([])
    for (const user of users) {
      const answer = await user.get('/mine.txt')
      expect([answer.status, answer.by]).toEqual([200, 'gamma'])
    }
  })

  test('goes on elsewhere when the target is killed on the way', async () => {
    await using federation = await TestFederation.open(['--standbys', '0'])
    await federation.join('alpha')
    const users = await federation.addUsers(4)
    const files = new Map(users.map((user) => [user, randomBytes(2_000_000)]))
    for (const [user, bytes] of files) await user.save('/large.bin', bytes)
    await federation.join('beta', ['--download-limit', '500KB/s'])
    const draining = federation.command('alpha', 'drain')
    await federation.program('alpha').event('draining')
    await federation.kill('beta')
    await federation.join('gamma')
    const drained = await draining
    expect(drained.code, drained.log).toBe(0)
    for (const [user, bytes] of files) {
      const answer = await user.get('/large.bin')
      expect([answer.status, answer.by, answer.body.equals(bytes)]).toEqual([200, 'gamma', true])
    }
  })

  test('goes on when nobody looks any more; who looks on gets its end, also after long without news', async () => {
    await using federation = await TestFederation.open(['--standbys', '0'])
    await federation.join('alpha')
    const ada = await federation.addUser('ada')
    await ada.save('/large.bin', randomBytes(14_000_000))
    await federation.join('beta', ['--download-limit', '1MB/s'])
    const drain = federation.start('drain', ['drain'], federation.folder('alpha'))
    await federation.program('alpha').event('draining')
    drain.kill('SIGINT')
    expect(await drain.ended()).toEqual({ code: 130, signal: null })
    const looked = await federation.command('alpha', 'drain')
    expect(looked.code, looked.log).toBe(0)
    expect(looked.lines.at(-1)?.state).toBe('drained')
    expect(await federation.program('alpha').ended()).toEqual({ code: 0, signal: null })
    expect((await ada.get('/large.bin')).by).toBe('beta')
  })

  test('of an instance that is killed on the way leaves nothing lost', async () => {
    await using federation = await TestFederation.open()
    await federation.join('alpha')
    const users = await federation.addUsers(6)
    await Promise.all(users.map((user) => user.save('/mine.txt', `of ${user.name}`)))
    await federation.join('beta', ['--download-limit', '1MB/s'])
    await federation.settled()
    // As long as beta fetches it, the drain is on its way.
    await users[0]?.save('/large.bin', randomBytes(20_000_000))
    const draining = federation.command('alpha', 'drain')
    await federation.program('alpha').event('draining')
    await federation.kill('alpha')
    expect((await draining).code).toBe(5)
    expect((await federation.command('beta', 'set', 'download-limit=none')).code).toBe(0)
    for (const user of users) {
      const answer = await user.get('/mine.txt')
      expect([answer.status, answer.text, answer.by]).toEqual([200, `of ${user.name}`, 'beta'])
    }
    // The drain goes on to its end, unless all of it was proven while alpha was away.
    const alpha = await federation.resume('alpha')
    await federation.until('alpha is drained, or serves', async () => {
      return alpha.hasEnded || (await federation.peer('alpha')).state === 'serving'
    })
    if (alpha.hasEnded) {
      expect(await alpha.ended()).toEqual({ code: 0, signal: null })
      await federation.resume('alpha')
    }
    await federation.settled()
  })
})
