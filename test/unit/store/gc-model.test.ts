import fc from 'fast-check'
import type { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import type { SignedHead } from '../../../src/core/records.ts'
import { openRepository } from '../../../src/store/main-repository.ts'
import { memoryDisk } from '../../../src/store/memory-disk.ts'
import { memoryIndex } from '../../../src/store/memory-index.ts'
import type { MainRepository } from '../../../src/store/repository.ts'
import { accept, depsOf, handClock, headAfter, readClosure, sealOf, seeded, snapshot, workspace } from './support.ts'

const MINUTE = 60_000
const WORKSPACES = [workspace('a'), workspace('b')]
const SNAPSHOTS = await Promise.all(
  Array.from({ length: 8 }, (_, index) => snapshot({ own: seeded(index).bytes(1500), half: `${index >> 1}` }))
)

/** What is done next, to which workspace, with which of the contents. */
interface Operation {
  readonly kind: 'publish' | 'diverged' | 'seal' | 'keep' | 'pass' | 'gc' | 'restart' | 'again'
  readonly place: number
  readonly content: number
}

const operation: fc.Arbitrary<Operation> = fc.record({
  kind: fc.oneof(
    { weight: 8, arbitrary: fc.constant('publish' as const) },
    { weight: 3, arbitrary: fc.constantFrom('gc' as const, 'pass' as const) },
    { weight: 1, arbitrary: fc.constantFrom('diverged', 'seal', 'keep', 'restart', 'again') }
  ),
  place: fc.nat(1),
  content: fc.nat(7)
})

interface Known {
  tip: SignedHead | null
  epoch: number
  readonly past: SignedHead[]
}

class World {
  readonly #clock = handClock()
  readonly #disk = memoryDisk()
  readonly #index = memoryIndex()
  readonly #known = new Map<WorkspaceId, Known>(WORKSPACES.map((id) => [id, { tip: null, epoch: 1, past: [] }]))

  open(): Promise<MainRepository> {
    return openRepository(
      depsOf(this.#disk, this.#index, { clock: this.#clock, packBytes: 9000, checkpointBytes: 5000 })
    )
  }

  async apply(repository: MainRepository, { kind, place, content }: Operation): Promise<MainRepository> {
    const id = WORKSPACES[place]
    const chosen = SNAPSHOTS[content]
    const known = id === undefined ? undefined : this.#known.get(id)
    if (id === undefined || chosen === undefined || known === undefined) throw new Error('no such place')
    const { blocks, root } = chosen
    this.#clock.pass(MINUTE)
    if (kind === 'publish') {
      const head = await headAfter(known.tip, root, { workspace: id, epoch: known.epoch })
      await repository.publish(head, blocks, accept)
      known.tip = head
      known.past.push(head)
    }
    if (kind === 'diverged') {
      const sequence = (known.tip?.value.sequence ?? 0) + 5
      const head = await headAfter(known.tip, root, { workspace: id, epoch: known.epoch, sequence })
      await repository.keepDiverged(head, blocks)
    }
    if (kind === 'seal') await repository.seal(id, known.epoch, sealOf(id, known.epoch++))
    if (kind === 'keep') await repository.keep(id, blocks)
    if (kind === 'pass') this.#clock.pass(45 * MINUTE)
    if (kind === 'gc') await repository.gc({ policy: { ...NOTHING, minutes: 2 }, full: content > 3 })
    if (kind === 'again') await this.#offerAgain(repository, known, content)
    if (kind !== 'restart') return repository
    await repository.close()
    return await this.open()
  }

  /** A home that comes back offers what it once published: where that was dropped, it is kept as diverged. */
  async #offerAgain(repository: MainRepository, { past, tip }: Known, content: number): Promise<void> {
    const head = past[content % Math.max(1, past.length)]
    if (head === undefined || head === tip) return
    const made = SNAPSHOTS.find(({ root }) => root.equals(head.value.root))
    await repository.keepDiverged(head, made?.blocks ?? [])
  }

  /** Everything that the repository says. */
  async account(repository: MainRepository): Promise<unknown> {
    const told: unknown[] = [await repository.stats()]
    for (const [id, { epoch, tip }] of this.#known) {
      const history = await repository.history(id, { limit: 999 })
      const diverged = await repository.diverged(id)
      for (const { value } of [...history, ...diverged]) await readClosure(repository, id, value.root)
      expect(String((await repository.tip(id))?.head.cid)).toBe(String(tip?.cid))
      const bases: unknown[] = []
      for (let sealed = 1; sealed < epoch; sealed++) {
        const { base } = await repository.seal(id, sealed, () => Promise.reject(new Error('it is sealed')))
        bases.push(base === null ? null : { ...base, cid: String(base.cid), root: String(base.root) })
      }
      told.push({ history: namesOf(history), diverged: namesOf(diverged).sort(), bases })
    }
    return told
  }
}

const NOTHING = { minutes: 0, hours: 0, days: 0, weeks: 0, months: 0 }
const namesOf = (heads: readonly { readonly cid: CID }[]): string[] => heads.map(({ cid }) => String(cid))

test('after any life, with gc in it, a rebuild from the packs tells the same as before', {
  timeout: 60_000
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 5, maxLength: 40 }), async (operations) => {
      const world = new World()
      let repository = await world.open()
      for (const each of operations) repository = await world.apply(repository, each)
      await repository.flush()
      const before = await world.account(repository)
      await repository.reindex()
      expect(await world.account(repository)).toEqual(before)
      expect((await repository.verify()).damaged).toEqual([])
      await repository.close()
    }),
    { numRuns: 60 }
  )
})
