import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { makeDurableFolder } from '../../../src/worktree/disk.ts'
import type { WorkspacePath } from '../../../src/worktree/paths.ts'
import { readFile } from '../../sim/memory-app.ts'
import { ALPHA, homeOf, memoryRepository, nearRepository, WORKSPACE } from '../sync/support.ts'
import { FOLDER, Machine, type Running, STAGING, SURVIVALS } from '../worktree/power-loss-support.ts'
import { openResident, ownershipOf } from './home.ts'

/** The home of a workspace of a local service on a machine that can lose power, whose repository takes nothing. */
async function localHome(machine: Machine) {
  const near = nearRepository(await memoryRepository(), homeOf(ALPHA))
  const gate = Promise.withResolvers<void>()
  near.before = () => gate.promise
  const { files, tree }: Running = await machine.start()
  const touched = new Set<WorkspacePath>()
  const take = (): ReadonlySet<WorkspacePath> => {
    const taken = new Set(touched)
    touched.clear()
    return taken
  }
  const resident = await openResident({
    premises: async () => ({
      worktree: tree,
      files,
      folder: FOLDER,
      staging: STAGING,
      async watch() {
        await makeDurableFolder(files, FOLDER, 0o755)
        return { take, barrier: async () => undefined, close: () => gate.resolve() }
      }
    }),
    remote: async () => near,
    acknowledge: () => 'local'
  })
  await resident.order({ kind: 'assume', ownership: (await ownershipOf(near.ownership)).bytes })
  /** As an app does that tells nobody. */
  const write = async (path: string, content: string): Promise<void> => {
    const parts = path.split('/').slice(0, -1)
    await files.makeFolders(join(FOLDER, ...parts), 0o755)
    await using file = await files.open(join(FOLDER, path), 'create')
    await file.write(Buffer.from(content), 0)
    touched.add(parts[0] ?? path)
  }
  return { files, write, settled: () => resident.enter(WORKSPACE, 1).settled() }
}

describe.each([true, false])(
  'what an app wrote before it was acknowledged locally (sync of all at once: %s)',
  (syncsWhole) => {
    test.each(SURVIVALS)('is there after a power loss with what was not synced %s', async (kind, random) => {
      const machine = new Machine({ syncsWhole })
      const home = await localHome(machine)
      await home.write('a.txt', 'first')
      await home.settled()
      await home.write('new/below/b.txt', 'second')
      for (let number = 0; number < 20; number++) await home.write(`many-${number}`, 'third')
      await home.settled()
      await home.write('late.txt', 'of which nobody was told')
      await machine.losePower(random(1))

      const { files } = await machine.start()
      const read = async (path: string): Promise<string | undefined> =>
        (await readFile(files, join(FOLDER, path)))?.toString()
      expect([await read('a.txt'), await read('new/below/b.txt'), await read('many-19')]).toEqual([
        'first',
        'second',
        'third'
      ])
      if (kind === 'dropped') expect(await read('late.txt')).toBeUndefined()
    })
  }
)
