import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { eventually } from '../tools/eventually.ts'
import { TestFederation } from '../tools/federation.ts'

const LISTEN = ['--listen', '/ip4/127.0.0.1/tcp/0']
const zone = (name: string): string[] => ['--label', `zone=${name}`, '--log-level', 'debug']
const SIZE = 300_000

/** What came from members, by the log of who fetched it, in bytes. */
const fromMembers = (log: string): number =>
  [...log.matchAll(/"bytes":(\d+)[^\n]*blocks came from members/g)].reduce((sum, [, bytes]) => sum + Number(bytes), 0)

test('a standby fetches from a member that listens, and moves to another zone once there is one', async () => {
  await using federation = await TestFederation.open()
  await federation.join('alpha', [...LISTEN, ...zone('hall')])
  const ada = await federation.addUser('ada')
  const files = [randomBytes(SIZE), randomBytes(SIZE)]
  for (const [index, bytes] of files.entries()) await ada.save(`/${index}.bin`, bytes)

  const beta = await federation.join('beta', [...LISTEN, ...zone('hall')])
  await federation.settled()
  await eventually(() => fromMembers(beta.log)).toBeGreaterThan(files.length * SIZE)

  const gamma = await federation.join('gamma', zone('cellar'))
  const { peerId } = await federation.peer('gamma')
  await federation.until('gamma stands by, and beta no more', async () => {
    const { standbys } = await federation.workspaceOf(ada)
    return standbys.length === 1 && standbys[0] === peerId
  })
  await eventually(() => fromMembers(gamma.log)).toBeGreaterThan(files.length * SIZE)

  await federation.kill('alpha')
  for (const [index, bytes] of files.entries()) expect((await ada.read(`/${index}.bin`)).equals(bytes)).toBe(true)
})
