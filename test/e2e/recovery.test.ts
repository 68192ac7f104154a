import { cp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'

const LEAP = 1_000_000

test('a coordinator from an old backup, and then one without any state, lose nothing that instances hold', async () => {
  await using federation = await TestFederation.open()
  await federation.join('alpha')
  await federation.join('beta')
  const ada = await federation.addUser('ada')
  await ada.save('/note.txt', 'old')
  await federation.settled()
  const folder = federation.folder('coordinator')
  const backup = join(await federation.spare('backup'), 'coordinator')
  await federation.kill('coordinator')
  await cp(folder, backup, { recursive: true, filter: (path) => !path.endsWith('.sock') })
  await federation.startCoordinator()

  await ada.save('/note.txt', 'new')
  const { id, homeName } = await federation.workspaceOf(ada)
  expect((await federation.admin('workspaces', 'move', id, '--to', homeName === 'alpha' ? 'beta' : 'alpha')).code).toBe(
    0
  )
  await ada.save('/note.txt', 'newest')
  await federation.settled()
  await federation.kill('coordinator')
  await rm(folder, { recursive: true })
  await cp(backup, folder, { recursive: true })
  await federation.startCoordinator()
  expect((await ada.read('/note.txt')).toString()).toBe('newest')
  await federation.settled()
  const recovered = await federation.workspaceOf(ada)
  expect(recovered.epoch).toBeGreaterThan(LEAP)
  await ada.save('/more.txt', 'since then')
  await federation.settled()

  await federation.kill('coordinator')
  for (const name of await readdir(folder)) {
    if (name !== 'identity.key') await rm(join(folder, name), { recursive: true })
  }
  await federation.startCoordinator('recover', '--members', '2')
  await federation.until(
    'both have reported',
    async () =>
      (await federation.peers()).every(({ state }) => state === 'serving') && (await federation.peers()).length === 2
  )
  const again = await federation.addUser('ada')
  await federation.until('her workspace is served', async () => (await federation.workspaces())[0]?.state === 'serving')
  expect((await again.read('/note.txt')).toString()).toBe('newest')
  expect((await again.read('/more.txt')).toString()).toBe('since then')
  await again.save('/more.txt', 'and on')
  await federation.settled()
  expect((await federation.workspaceOf(again)).epoch).toBeGreaterThan(recovered.epoch)
})
