import { rename } from 'node:fs/promises'
import { expect, onTestFinished, test } from 'vitest'
import { RAW_CODEC } from '../../../src/core/blocks.ts'
import { codeOf, NodeDaemonError } from '../../../src/core/errors.ts'
import { silent } from '../../../src/core/log.ts'
import type { SignedHead } from '../../../src/core/records.ts'
import { HomeSync } from '../../../src/sync/home.ts'
import { inlineReader } from '../../../src/worktree/inline-reader.ts'
import type { FileReader } from '../../../src/worktree/reader.ts'
import { type ManualClock, manualClock } from '../../tools/clock.ts'
import {
  ALPHA,
  BETA,
  emptyTree,
  homeOf,
  memoryRepository,
  type NearRepository,
  nearRepository,
  nextEpoch,
  until,
  WORKSPACE,
  write
} from './support.ts'

interface Bench {
  readonly home: HomeSync
  readonly near: NearRepository
  readonly folder: string
  readonly clock: ManualClock
  readonly remembered: SignedHead[]
  readonly fenced: NodeDaemonError[]
  put(files: Readonly<Record<string, string | Uint8Array>>): Promise<void>
}

async function bench(reader = inlineReader()): Promise<Bench> {
  const near = nearRepository(await memoryRepository(), homeOf(ALPHA))
  const { folder, worktree } = await emptyTree(reader)
  const clock = manualClock()
  const remembered: SignedHead[] = []
  const fenced: NodeDaemonError[] = []
  const home = new HomeSync(
    {
      worktree,
      remote: async () => near,
      identity: ALPHA,
      clock,
      log: silent,
      onPublished: async (head) => void remembered.push(head),
      onFenced: (error) => void fenced.push(error),
      hooks: null
    },
    { workspace: WORKSPACE, epoch: 1, tip: null }
  )
  home.start()
  onTestFinished(() => home.stop())
  const put = async (files: Readonly<Record<string, string | Uint8Array>>): Promise<void> => {
    await write(folder, files)
    await home.published(Object.keys(files))
  }
  return { home, near, folder, clock, remembered, fenced, put }
}

/** Time passes until the home tries again. */
async function again({ clock }: Bench): Promise<void> {
  await until(() => clock.waiting > 0)
  clock.advance(500)
}

const tip = async ({ near }: Bench): Promise<SignedHead | null> => near.tip(WORKSPACE)
const gate = (): PromiseWithResolvers<void> => Promise.withResolvers<void>()

test('what was waited for is in the repository, remembered here, and follows the head before', async () => {
  const at = await bench()
  await at.put({ 'a.txt': 'a' })
  const first = await tip(at)
  await at.put({ 'deep/b.txt': 'b' })
  const second = await tip(at)
  expect(first?.value).toMatchObject({ epoch: 1, sequence: 1, previous: null, files: 1, bytes: 1 })
  expect(second?.value).toMatchObject({ epoch: 1, sequence: 2, files: 2, bytes: 2 })
  expect(second?.value.previous?.equals(first?.cid)).toBe(true)
  expect(at.remembered.map(({ cid }) => String(cid))).toEqual([String(first?.cid), String(second?.cid)])
  expect(at.home.tip?.cid.equals(second?.cid)).toBe(true)
})

/** Reads as on the caller's thread; how folders are listed is the test's. */
function listing() {
  const inner = inlineReader()
  const lists: { prompt: boolean }[] = []
  const world = { lists, before: async (_signal: AbortSignal | undefined): Promise<void> => undefined }
  const reader: FileReader = {
    ...inner,
    async list(folder, options) {
      lists.push(options)
      await world.before(options.signal)
      return inner.list(folder, options)
    }
  }
  return { reader, world }
}

const endlessly = (signal: AbortSignal | undefined): Promise<void> =>
  new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason), { once: true }))

test('a look at all files gives way to whoever waits, and goes on after', async () => {
  const { reader, world } = listing()
  const at = await bench(reader)
  await at.put({ 'a.txt': 'a' })
  await write(at.folder, { 'unseen.txt': 'nobody told of it' })
  world.before = endlessly
  world.lists.length = 0
  const looked = at.home.lookAgain()
  await until(() => world.lists.length > 0)
  expect(at.home.isAtRest).toBe(false)
  await at.put({ 'b.txt': 'b' })
  expect((await tip(at))?.value.files).toBe(2)
  world.before = async () => undefined
  await until(() => at.clock.waiting > 0)
  at.clock.advance(150)
  await looked
  expect((await tip(at))?.value.files).toBe(3)
  await until(() => at.home.isAtRest)
})

test('a look at all files that is given up five times has failed, and holds nobody up any more', async () => {
  const { reader, world } = listing()
  const at = await bench(reader)
  await at.put({ 'a.txt': 'a' })
  world.before = endlessly
  const looked = at.home.lookAgain().then(() => 'looked', codeOf)
  for (let time = 1; time <= 5; time++) {
    world.lists.length = 0
    await until(() => {
      at.clock.advance(150)
      return world.lists.length > 0
    })
    await at.put({ 'a.txt': `a${time}` })
  }
  expect(await looked).toBe('BUSY')
  await until(() => at.home.isAtRest)
})

test('a look at all files whose head is not taken is made up for', async () => {
  const at = await bench()
  await at.put({ 'a.txt': 'a' })
  await write(at.folder, { 'unseen.txt': 'nobody told of it' })
  let full = true
  at.near.before = async () => {
    if (full) throw new NodeDaemonError('NO_SPACE', 'the disk is full')
  }
  expect(await at.home.lookAgain().then(() => 'looked', codeOf)).toBe('NO_SPACE')
  full = false
  await until(async () => {
    at.clock.advance(500)
    return (await tip(at))?.value.files === 2
  })
})

test('a look at all files that must come first hurries as soon as somebody waits', async () => {
  const { reader, world } = listing()
  const at = await bench(reader)
  await write(at.folder, { 'd/a.txt': 'a', 'e/b.txt': 'b' })
  const listed = gate()
  world.before = () => listed.promise
  at.home.changed('all')
  await until(() => at.clock.waiting > 0)
  at.clock.advance(150)
  await until(() => world.lists.length === 1)
  await write(at.folder, { 'c.txt': 'c' })
  const saved = at.home.published(['c.txt'])
  listed.resolve()
  await saved
  expect(world.lists.map(({ prompt }) => prompt)).toEqual([false, true, true])
})

test('what changes while a head is under way joins the next one, however many wait for it', async () => {
  const at = await bench()
  const { promise: hold, resolve: release } = gate()
  at.near.before = () => hold
  const first = at.put({ 'a.txt': 'a' })
  await until(() => at.near.published.length === 1)
  await write(at.folder, { 'b.txt': 'b', 'c.txt': 'c', 'd.txt': 'd', 'e.txt': 'e' })
  const later = ['b', 'c', 'd', 'e'].map((name) => at.home.published([`${name}.txt`]))
  release()
  await Promise.all([first, ...later])
  expect(at.near.published.length).toBe(2)
  expect((await tip(at))?.value.files).toBe(5)
})

test('a lost answer is settled by publishing the very same head again', async () => {
  const at = await bench()
  let lost = 0
  at.near.after = async () => {
    if (lost++ === 0) throw new NodeDaemonError('CLOSED', 'the connection broke')
  }
  const saved = at.put({ 'a.txt': 'a' })
  await again(at)
  await saved
  expect(at.near.published.map(({ head }) => String(head.cid))).toHaveLength(2)
  expect(at.near.published[0]?.head.cid.equals(at.near.published[1]?.head.cid)).toBe(true)
  await at.put({ 'b.txt': 'b' })
  expect((await tip(at))?.value.sequence).toBe(2)
})

test('blocks that the repository has lost are read from disk and sent anew', async () => {
  const at = await bench()
  await at.put({ 'a.txt': 'kept content' })
  let refused = 0
  at.near.before = async () => {
    if (refused++ === 0) throw new NodeDaemonError('INCOMPLETE', 'blocks are missing')
  }
  const saved = at.put({ 'b.txt': 'new content' })
  await again(at)
  await saved
  const leaves = (index: number): string[] =>
    (at.near.published[index]?.inline ?? [])
      .filter(({ cid }) => cid.code === RAW_CODEC)
      .map(({ bytes }) => Buffer.from(bytes).toString())
      .sort()
  expect(leaves(1)).toEqual(['new content'])
  expect(leaves(2)).toEqual(['kept content', 'new content'])
})

test.each([
  ['another home took over', (at: Bench) => nextEpoch(at.near, BETA)],
  [
    'the epoch is sealed',
    async (at: Bench) => {
      await nextEpoch(at.near, ALPHA)
      at.near.ownership = homeOf(ALPHA, 1)
    }
  ],
  [
    'the workspace is unknown',
    async (at: Bench) => {
      at.near.before = async () => {
        throw new NodeDaemonError('NOT_FOUND', 'no workspace')
      }
    }
  ]
])('a home learns that it is none any more: %s', async (_, change) => {
  const at = await bench()
  await at.put({ 'a.txt': 'a' })
  await change(at)
  expect(await at.put({ 'b.txt': 'b' }).then(() => 'saved', codeOf)).toBe('NOT_HOME')
  expect(at.fenced.map(({ code }) => code)).toEqual(['NOT_HOME'])
  expect(await at.home.published().then(() => 'saved', codeOf)).toBe('NOT_HOME')
  expect((await tip(at))?.value.sequence).toBe(1)
})

test('a full repository is told to those who wait, and what they wrote is published once there is room', async () => {
  const at = await bench()
  let full = true
  at.near.before = async () => {
    if (full) throw new NodeDaemonError('NO_SPACE', 'the disk is full')
  }
  expect(await at.put({ 'a.txt': 'a' }).then(() => 'saved', codeOf)).toBe('NO_SPACE')
  full = false
  await until(async () => {
    at.clock.advance(500)
    return (await tip(at)) !== null
  })
  expect(at.fenced).toEqual([])
})

test('a missing folder is not taken for a workspace that moved: once it is back, all goes on', async () => {
  const at = await bench()
  await at.put({ 'a.txt': 'a' })
  await rename(at.folder, `${at.folder}.away`)
  const saved = at.home.published(['b.txt'])
  await until(() => at.clock.waiting > 0)
  expect(at.fenced).toEqual([])
  await rename(`${at.folder}.away`, at.folder)
  await write(at.folder, { 'b.txt': 'b' })
  await again(at)
  await saved
  expect((await tip(at))?.value.files).toBe(2)
})

test('nothing is published while nothing has changed', async () => {
  const at = await bench()
  await at.put({ 'a.txt': 'a' })
  await at.home.published()
  await at.home.published(['a.txt'])
  expect(at.near.published).toHaveLength(1)
})

test('what nobody waits for is gathered for a moment, and then published', async () => {
  const at = await bench()
  await write(at.folder, { 'a.txt': 'a' })
  at.home.changed(['a.txt'])
  await until(() => at.clock.waiting > 0)
  at.clock.advance(100)
  expect(at.home.unsynced().ageMs).toBe(100)
  await write(at.folder, { 'b.txt': 'b' })
  at.home.changed(['b.txt'])
  expect(at.near.published).toHaveLength(0)
  at.clock.advance(50)
  await until(async () => (await tip(at))?.value.files === 2)
  expect(at.near.published).toHaveLength(1)
  await until(() => at.home.unsynced().ageMs === 0)
})

test('what is larger than goes along with a head is sent before it', async () => {
  const at = await bench()
  await at.put({ 'large.bin': Buffer.alloc(300_000, 7) })
  expect(at.near.exchanges).toBe(1)
  expect(at.near.published[0]?.inline).toEqual([])
  await at.put({ 'small.txt': 'x' })
  expect(at.near.exchanges).toBe(1)
  expect(at.near.published[1]?.inline.length).toBeGreaterThan(0)
})

test('a home that stops tells those who wait, and takes nothing more', async () => {
  const at = await bench()
  at.near.before = async () => {
    throw new NodeDaemonError('OUT_OF_REACH', 'away')
  }
  const saved = at.put({ 'a.txt': 'a' }).then(() => 'saved', codeOf)
  await until(() => at.clock.waiting > 0)
  await at.home.stop()
  expect(await saved).toBe('CLOSED')
  expect(await at.home.published(['b']).then(() => 'saved', codeOf)).toBe('CLOSED')
})
