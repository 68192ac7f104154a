import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Clock, systemClock } from '../../../src/core/clock.ts'
import { seal } from '../../../src/core/envelope.ts'
import { codeOf, NodeDaemonError } from '../../../src/core/errors.ts'
import type { Identity } from '../../../src/core/identity.ts'
import type { PeerIdText } from '../../../src/core/ids.ts'
import { type KeyValue, memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { type Ownership, receiptRecord, type SignedHead, type SignedOwnership } from '../../../src/core/records.ts'
import type { Resident } from '../../../src/handover/resident.ts'
import type { Premises } from '../../../src/handover/resident-deps.ts'
import type { Members } from '../../../src/sync/members.ts'
import { receiptOf } from '../../../src/sync/receipt.ts'
import type { Order } from '../../../src/wire/control.ts'
import type { FileSystem } from '../../../src/worktree/file-system.ts'
import { inlineReader } from '../../../src/worktree/inline-reader.ts'
import { nodeFileSystem } from '../../../src/worktree/node-file-system.ts'
import { watchFolder } from '../../../src/worktree/watch.ts'
import { Worktree } from '../../../src/worktree/worktree.ts'
import { manualClock } from '../../tools/clock.ts'
import { noMembers } from '../../tools/nobody.ts'
import {
  ALPHA,
  BETA,
  COORDINATOR,
  homeOf,
  memoryRepository,
  type NearRepository,
  nearRepository,
  nextEpoch,
  temporaryFolder,
  until,
  WORKSPACE
} from '../sync/support.ts'
import { openResident, ownershipOf } from './home.ts'

interface Place {
  readonly near: NearRepository
  readonly folder: string
  readonly resident: Resident
  readonly leased: { valid: boolean }
  /** Files that can be removed before the disk fails. */
  readonly removals: { left: number }
  /** Names of the files that were read since it was opened. */
  readonly read: readonly string[]
  /** What the coordinator says: the record of the epoch that the repository knows. */
  own(changes?: Partial<Ownership>, signer?: Identity): Promise<SignedOwnership>
  order(kind: Exclude<Order['kind'], 'freeze' | 'restore'>, changes?: Partial<Ownership>): Promise<string>
  freeze(): Promise<string>
  /** A user's change, from the request to the acknowledgement. */
  save(path: string, content: string): Promise<string>
  /** The same instance after a restart. */
  restarted(options?: { readonly filesTrusted: boolean }): Promise<Place>
}

interface Shared {
  readonly near: NearRepository
  readonly identity: Identity
  readonly base: string
  readonly state: KeyValue
  readonly index: KeyValue
  readonly number: { value: number }
  readonly clock: Clock
  readonly members: Members
}

async function place(
  near: NearRepository,
  identity = ALPHA,
  number = { value: 0 },
  clock: Clock = systemClock(),
  members: Members = noMembers
): Promise<Place> {
  const base = await temporaryFolder()
  const shared = { near, identity, base, state: memoryKeyValue(), index: memoryKeyValue(), number, clock, members }
  return opened(shared, true)
}

async function opened(shared: Shared, filesTrusted: boolean): Promise<Place> {
  const { near, identity, base, state, index, number } = shared
  const folder = join(base, 'files')
  const clock = systemClock()
  const reader = inlineReader()
  const read: string[] = []
  const removals = { left: Number.POSITIVE_INFINITY }
  const files: FileSystem = {
    ...nodeFileSystem,
    async unlink(path) {
      if (removals.left-- <= 0) throw new Error('EIO')
      await nodeFileSystem.unlink(path)
    }
  }
  const worktree = new Worktree({
    files,
    folder,
    staging: join(base, 'staging'),
    index,
    clock,
    random: systemRandom(),
    log: silent,
    reader: {
      ...reader,
      read(request, take, options) {
        read.push(basename(request.path))
        return reader.read(request, take, options)
      }
    }
  })
  const premises: Premises = {
    files,
    worktree,
    folder,
    staging: join(base, 'staging'),
    async watch(onDirty) {
      await mkdir(folder, { recursive: true })
      return watchFolder({ folder, cookies: join(base, 'cookies'), clock, log: silent }, onDirty)
    }
  }
  const leased = { valid: true }
  const resident = await openResident({
    state,
    premises: async () => premises,
    remote: async () => near,
    members: shared.members,
    identity,
    clock: shared.clock,
    leaseValid: () => leased.valid,
    filesTrusted
  })
  const own: Place['own'] = (changes = {}, signer) =>
    ownershipOf({ ...near.ownership, number: ++number.value, ...changes }, signer)
  const order = async (
    kind: Exclude<Order['kind'], 'freeze' | 'restore'>,
    changes: Partial<Ownership> = {}
  ): Promise<string> => resident.order({ kind, ownership: (await own(changes)).bytes }).then(() => 'done', codeOf)
  return {
    near,
    folder,
    resident,
    leased,
    removals,
    read,
    own,
    order,
    freeze: () => resident.order({ kind: 'freeze', workspace: WORKSPACE }).then(() => 'done', codeOf),
    async save(path, content) {
      try {
        const admission = resident.enter(WORKSPACE, near.ownership.epoch)
        try {
          await writeFile(join(admission.folder, path), content)
          await admission.wrote([path])
          return 'saved'
        } finally {
          admission.leave()
        }
      } catch (error) {
        return codeOf(error)
      }
    },
    async restarted(options = { filesTrusted: true }) {
      await resident.close()
      return opened(shared, options.filesTrusted)
    }
  }
}

const fresh = async (): Promise<Place> => place(nearRepository(await memoryRepository(), homeOf(ALPHA)))
const entered = (at: Place, epoch: number): string => {
  try {
    at.resident.enter(WORKSPACE, epoch).leave()
    return 'entered'
  } catch (error) {
    return codeOf(error)
  }
}
const files = async (at: Place): Promise<number | undefined> =>
  (await at.near.repository.tip(WORKSPACE))?.head.value.files

/** Orders the home to go back to the root of a head, from the newest one. */
async function goBack(at: Place, to: SignedHead, base?: SignedHead): Promise<string> {
  const tip = base ?? (await at.near.repository.tip(WORKSPACE))?.head
  if (tip === undefined) throw new Error('no head')
  const order = { kind: 'restore' as const, workspace: WORKSPACE, root: to.value.root, base: tip.cid }
  return at.resident.order(order).then((receipt) => (receipt.length > 0 ? 'proven' : 'done'), codeOf)
}

async function newestHead(at: Place): Promise<SignedHead> {
  const tip = await at.near.repository.tip(WORKSPACE)
  if (tip === null) throw new Error('no head')
  return tip.head
}

describe('a home that goes back', () => {
  test('has the files of before, publishes them as the next head, proves it, and serves on', async () => {
    const at = await fresh()
    await at.order('assume')
    await at.save('a.txt', 'old')
    const old = await newestHead(at)
    await at.save('a.txt', 'new')
    await at.save('b.txt', 'b')
    expect(await goBack(at, old)).toBe('proven')
    const now = await newestHead(at)
    expect([now.value.sequence, now.value.root.equals(old.value.root)]).toEqual([4, true])
    expect([await readdir(at.folder), await readFile(join(at.folder, 'a.txt'), 'utf8')]).toEqual([['a.txt'], 'old'])
    expect(await at.save('c.txt', 'c')).toBe('saved')
  })

  test('publishes first what nobody has told, and then refuses: the tree was made for another head', async () => {
    const at = await fresh()
    await at.order('assume')
    await at.save('a.txt', 'old')
    const old = await newestHead(at)
    await writeFile(join(at.folder, 'beside.txt'), 'by an app')
    expect(await goBack(at, old, old)).toBe('CONFLICT')
    expect((await newestHead(at)).value).toMatchObject({ sequence: 2, files: 2 })
    expect(await at.save('c.txt', 'c')).toBe('saved')
  })

  test('of a frozen home that is refused leaves it frozen, until the next one is done', async () => {
    const at = await fresh()
    await at.order('assume')
    await at.save('a.txt', 'old')
    const old = await newestHead(at)
    await at.save('a.txt', 'new')
    await at.freeze()
    expect(await goBack(at, old, old)).toBe('CONFLICT')
    expect(entered(at, 1)).toBe('NOT_HOME')
    expect(await goBack(at, old)).toBe('proven')
    expect(entered(at, 1)).toBe('entered')
    expect(await readFile(join(at.folder, 'a.txt'), 'utf8')).toBe('old')
  })

  test('is as it was where the old files cannot be had', async () => {
    const at = await fresh()
    await at.order('assume')
    await at.save('a.txt', 'old')
    const old = await newestHead(at)
    await at.save('a.txt', 'new')
    let left = 1
    at.near.beforeWant = async () => {
      if (left-- > 0) throw new NodeDaemonError('OUT_OF_REACH', 'cut')
    }
    expect(await goBack(at, old)).toBe('OUT_OF_REACH')
    expect(await readFile(join(at.folder, 'a.txt'), 'utf8')).toBe('new')
    expect(await at.save('c.txt', 'c')).toBe('saved')
    expect((await newestHead(at)).value).toMatchObject({ sequence: 3, files: 2 })
  })

  test('is as it was where the old files cannot be published', async () => {
    const at = await fresh()
    await at.order('assume')
    await at.save('a.txt', 'old')
    const old = await newestHead(at)
    await at.save('a.txt', 'new')
    at.near.before = async (head) => {
      if (head.value.root.equals(old.value.root)) throw new NodeDaemonError('NO_SPACE', 'the repository is full')
    }
    expect(await goBack(at, old)).toBe('NO_SPACE')
    expect(await readFile(join(at.folder, 'a.txt'), 'utf8')).toBe('new')
    expect(await at.save('c.txt', 'c')).toBe('saved')
    expect((await newestHead(at)).value).toMatchObject({ sequence: 3, files: 2 })
  })

  test('that is cut in the middle serves and publishes the newest head after a restart, and no mix', async () => {
    const at = await fresh()
    await at.order('assume')
    const names = Array.from({ length: 400 }, (_, index) => `file-${index}.txt`)
    for (const name of names) await writeFile(join(at.folder, name), `old ${name}`)
    await at.resident.flush(20_000)
    const old = await newestHead(at)
    for (const name of names) await writeFile(join(at.folder, name), `new ${name}`)
    await at.resident.flush(20_000)
    const newest = await newestHead(at)

    const reached = Promise.withResolvers<void>()
    const cut = Promise.withResolvers<void>()
    at.near.beforeWant = async () => {
      if ((await countOf(at, names, 'old')) === 0) return
      reached.resolve()
      await cut.promise
    }
    const going = goBack(at, old)
    await reached.promise
    const restarting = at.restarted()
    cut.reject(new NodeDaemonError('CLOSED', 'cut'))
    const again = await restarting
    expect(await going).not.toBe('proven')
    const mixed = await countOf(again, names, 'old')
    expect(mixed).toBeGreaterThan(0)
    expect(mixed).toBeLessThan(names.length)

    again.near.beforeWant = async () => undefined
    expect(await again.order('assume')).toBe('done')
    expect(await countOf(again, names, 'new')).toBe(names.length)
    await again.resident.flush(20_000)
    expect((await newestHead(again)).cid.equals(newest.cid)).toBe(true)
    expect(await again.near.repository.diverged(WORKSPACE)).toEqual([])
  })
})

test('a restore that a power loss has cut: every file is read again, whatever it looks like', async () => {
  const at = await fresh()
  await at.order('assume')
  await at.save('same.txt', 'the same')
  await at.save('a.txt', 'old')
  const old = await newestHead(at)
  await at.save('a.txt', 'new')
  let offered = 0
  at.near.before = async () => {
    offered++
    throw new NodeDaemonError('OUT_OF_REACH', 'away')
  }
  const going = goBack(at, old)
  await until(() => offered > 0)
  await at.resident.close()
  await going
  at.near.before = async () => undefined
  const again = await at.restarted({ filesTrusted: false })
  expect(await again.order('assume')).toBe('done')
  expect(again.read).toContain('same.txt')
  expect(await readFile(join(at.folder, 'a.txt'), 'utf8')).toBe('new')
})

async function countOf(at: Place, names: readonly string[], start: string): Promise<number> {
  const texts = await Promise.all(names.map((name) => readFile(join(at.folder, name), 'utf8').catch(() => '')))
  return texts.filter((text) => text.startsWith(start)).length
}

describe('a home', () => {
  test('serves once it was told to, and what it acknowledges is in the repository', async () => {
    const at = await fresh()
    expect(entered(at, 1)).toBe('NOT_HOME')
    expect(await at.order('assume')).toBe('done')
    expect(await at.save('a.txt', 'a')).toBe('saved')
    expect(await files(at)).toBe(1)
    expect(at.resident.held()).toMatchObject([{ workspace: WORKSPACE, epoch: 1, role: 'home', number: 1 }])
    expect(at.resident.counts()).toEqual({ home: 1, standby: 0, users: 1 })
  })

  test('whose lease was over takes nothing when it is back, before it is told that it is still the home', async () => {
    const at = await fresh()
    await at.order('assume')
    at.resident.reconnected()
    expect(entered(at, 1)).toBe('entered')
    at.leased.valid = false
    at.resident.reconnected()
    at.leased.valid = true
    expect(entered(at, 1)).toBe('NOT_HOME')
    await at.order('assume')
    expect(entered(at, 1)).toBe('entered')
  })

  test('serves in its own epoch alone, and not without a lease', async () => {
    const at = await fresh()
    await at.order('assume')
    expect([0, 1, 2].map((epoch) => entered(at, epoch))).toEqual(['NOT_HOME', 'entered', 'NOT_HOME'])
    at.leased.valid = false
    expect(entered(at, 1)).toBe('NOT_HOME')
  })

  test('publishes what an app writes beside it, without being told', async () => {
    const at = await fresh()
    await at.order('assume')
    await writeFile(join(at.folder, 'background.txt'), 'by an app')
    await until(async () => (await files(at)) === 1)
  })

  test('takes no request while it is frozen, has published all by then, and goes on when it is thawed', async () => {
    const at = await fresh()
    await at.order('assume')
    await writeFile(join(at.folder, 'last.txt'), 'last')
    expect(await at.freeze()).toBe('done')
    expect(await files(at)).toBe(1)
    expect(entered(at, 1)).toBe('NOT_HOME')
    expect(await at.order('thaw')).toBe('done')
    expect(await at.save('more.txt', 'more')).toBe('saved')
  })

  test('lets requests in flight end before it is frozen', async () => {
    const at = await fresh()
    await at.order('assume')
    const admission = at.resident.enter(WORKSPACE, 1)
    let frozen = false
    const freezing = at.freeze().then((outcome) => {
      frozen = true
      return outcome
    })
    await writeFile(join(admission.folder, 'slow.txt'), 'slow')
    await admission.wrote(['slow.txt'])
    expect(frozen).toBe(false)
    admission.leave()
    expect(await freezing).toBe('done')
    expect(await files(at)).toBe(1)
  })

  test('thaws by itself when requests in flight do not end; those of an old epoch hide none of the new one', async () => {
    const clock = manualClock()
    const at = await place(nearRepository(await memoryRepository(), homeOf(ALPHA)), ALPHA, { value: 0 }, clock)
    await at.order('assume')
    const old = at.resident.enter(WORKSPACE, 1)
    await nextEpoch(at.near, BETA)
    await at.order('release')
    await nextEpoch(at.near, ALPHA)
    await at.order('assume')
    const current = at.resident.enter(WORKSPACE, 3)
    old.leave()
    let outcome = ''
    const freezing = at.freeze().then((ended) => {
      outcome = ended
    })
    await until(() => {
      clock.advance(1000)
      return outcome !== ''
    })
    await freezing
    expect(outcome).toBe('TIMED_OUT')
    expect(entered(at, 3)).toBe('entered')
    current.leave()
    expect(await at.freeze()).toBe('done')
  })

  test('goes on after a restart where it stopped, with what was changed meanwhile', async () => {
    const at = await fresh()
    await at.order('assume')
    await at.save('a.txt', 'a')
    const again = await at.restarted()
    await writeFile(join(at.folder, 'b.txt'), 'b')
    expect(await again.order('assume')).toBe('done')
    await until(async () => (await files(again)) === 2)
    expect(await again.save('c.txt', 'c')).toBe('saved')
  })

  test('whose files may be older than what was acknowledged restores that first, and keeps what differs', async () => {
    const at = await fresh()
    await at.order('assume')
    await at.save('a.txt', 'acknowledged')
    await at.resident.close()
    await writeFile(join(at.folder, 'a.txt'), 'torn')
    const again = await at.restarted({ filesTrusted: false })
    expect(await again.order('assume')).toBe('done')
    expect(await readFile(join(at.folder, 'a.txt'), 'utf8')).toBe('acknowledged')
    expect(await at.near.repository.diverged(WORKSPACE)).toHaveLength(1)
  })
})

describe('what the coordinator says', () => {
  test('is refused when it is older than what was seen, also after a restart', async () => {
    const at = await fresh()
    const old = await at.own()
    await at.order('assume')
    const refused = (on: Place) =>
      on.resident.order({ kind: 'assume', ownership: old.bytes }).then(() => 'done', codeOf)
    expect(await refused(at)).toBe('ROLLBACK')
    const again = await at.restarted()
    expect(await refused(again)).toBe('ROLLBACK')
    expect(again.resident.ownershipNumber).toBe(2)
  })

  test('is refused when somebody else signed it, or when it is about another home', async () => {
    const at = await fresh()
    const forged = await at.own({}, BETA)
    expect(await at.resident.order({ kind: 'assume', ownership: forged.bytes }).then(() => 'done', codeOf)).toBe(
      'BAD_SIGNATURE'
    )
    expect(await at.order('assume', { home: BETA.peerId })).toBe('NOT_HOME')
    await at.order('assume')
    expect(await at.order('thaw', { home: BETA.peerId })).toBe('NOT_HOME')
  })

  test('is refused when the repository has another base', async () => {
    const at = await fresh()
    await at.order('assume')
    await at.save('a.txt', 'a')
    await nextEpoch(at.near, ALPHA)
    const other = await place(at.near, ALPHA, { value: 10 })
    expect(await other.order('assume', { base: null })).toBe('INTEGRITY')
    expect(entered(other, 2)).toBe('NOT_HOME')
  })

  test('about a workspace that is not here is refused', async () => {
    const at = await fresh()
    expect([await at.freeze(), await at.order('thaw'), await at.order('release')]).toEqual([
      'NOT_HOME',
      'NOT_HOME',
      'done'
    ])
  })
})

describe('a standby', () => {
  test('has the files, says so by a receipt, and takes over with that receipt', async () => {
    const home = await fresh()
    await home.order('assume')
    await home.save('a.txt', 'a')
    const standby = await place(home.near, BETA, { value: 10 })
    expect(await standby.order('follow', { standbys: [BETA.peerId] })).toBe('done')
    await until(() => home.near.held.length === 1)
    expect(await readFile(join(standby.folder, 'a.txt'), 'utf8')).toBe('a')
    expect(entered(standby, 1)).toBe('NOT_HOME')
    await nextEpoch(home.near, BETA)
    const ownership = await standby.own()
    const receipt = await standby.resident.order({ kind: 'assume', ownership: ownership.bytes })
    expect(Buffer.from(receipt).equals(home.near.held[0]?.bytes ?? new Uint8Array(0))).toBe(true)
    expect(await standby.save('b.txt', 'b')).toBe('saved')
  })

  test('that is current asks for no block when it becomes the home, and one that is behind for those that it lacks', async () => {
    const home = await fresh()
    await home.order('assume')
    await home.save('big.bin', 'x'.repeat(100_000))
    const standby = await place(home.near, BETA, { value: 10 })
    await standby.order('follow', { standbys: [BETA.peerId] })
    await until(() => home.near.held.length === 1)
    const late = await place(home.near, ALPHA, { value: 20 })
    let asked = 0
    home.near.beforeWant = async () => {
      asked++
    }
    await nextEpoch(home.near, BETA)
    expect(await standby.order('assume')).toBe('done')
    expect(await readFile(join(standby.folder, 'big.bin'), 'utf8')).toHaveLength(100_000)
    expect(asked).toBe(0)
    await nextEpoch(home.near, ALPHA)
    expect(await late.order('assume')).toBe('done')
    expect(asked).toBeGreaterThan(0)
  })

  test('whose files could be removed in part only has all of them again when it becomes the home', async () => {
    const home = await fresh()
    await home.order('assume')
    for (const name of ['a.txt', 'b.txt', 'c.txt']) await home.save(name, name)
    const standby = await place(home.near, BETA, { value: 10 })
    await standby.order('follow', { standbys: [BETA.peerId] })
    await until(() => home.near.held.length === 1)
    standby.removals.left = 1
    expect(await standby.order('release')).toBe('UNEXPECTED')
    standby.removals.left = Number.POSITIVE_INFINITY
    await nextEpoch(home.near, BETA)
    expect(await standby.order('assume')).toBe('done')
    expect((await readdir(standby.folder)).sort()).toEqual(['a.txt', 'b.txt', 'c.txt'])
  })

  test('tells members what it holds, and that it let go of it', async () => {
    const home = await fresh()
    await home.order('assume')
    await home.save('a.txt', 'a')
    const told: string[] = []
    const members: Members = {
      ...noMembers,
      holds: ({ value }) => void told.push(`holds ${value.sequence}`),
      letGo: () => void told.push('let go')
    }
    const standby = await place(home.near, BETA, { value: 10 }, systemClock(), members)
    await standby.order('follow', { standbys: [BETA.peerId] })
    await until(() => home.near.held.length === 1)
    standby.resident.reconnected()
    await standby.order('release')
    expect(told).toEqual(['let go', 'holds 1', 'holds 1', 'let go'])
  })

  test('that lost power reads all its files before it says again that it has them, as follower or as home', async () => {
    const home = await fresh()
    await home.order('assume')
    await home.save('a.txt', 'a')
    await home.save('b.txt', 'b')
    const standby = await place(home.near, BETA, { value: 10 })
    await standby.order('follow', { standbys: [BETA.peerId] })
    await until(() => home.near.held.at(-1)?.value.sequence === 2)
    const held = home.near.held.length

    const again = await standby.restarted({ filesTrusted: false })
    await writeFile(join(again.folder, 'a.txt'), 'T')
    await again.order('follow', { standbys: [BETA.peerId] })
    await until(() => home.near.held.length > held)
    expect([...again.read].sort()).toEqual(['a.txt', 'b.txt'])
    expect(await readFile(join(again.folder, 'a.txt'), 'utf8')).toBe('a')

    // Noted for good: it lost power again, and this time becomes the home at once.
    await (await again.restarted({ filesTrusted: false })).resident.close()
    const third = await again.restarted()
    await nextEpoch(home.near, BETA)
    expect(await third.order('assume')).toBe('done')
    expect(third.read).toContain('b.txt')
    expect(await third.save('c.txt', 'c')).toBe('saved')
    const fourth = await third.restarted()
    expect(await fourth.order('assume')).toBe('done')
    expect(fourth.read).not.toContain('b.txt')
  })

  test('removes what it has when it is released; a former home keeps its files for a while', async () => {
    const home = await fresh()
    await home.order('assume')
    await home.save('a.txt', 'a')
    const standby = await place(home.near, BETA, { value: 10 })
    await standby.order('follow', { standbys: [BETA.peerId] })
    await until(() => home.near.held.length === 1)
    expect(await standby.order('release')).toBe('done')
    expect(standby.resident.held()).toEqual([])
    expect(await readdir(standby.folder).catch(() => 'gone')).toBe('gone')

    await nextEpoch(home.near, BETA)
    expect(await home.order('release')).toBe('done')
    expect(home.resident.held()).toMatchObject([{ role: 'kept' }])
    expect(await readdir(home.folder)).toEqual(['a.txt'])
    expect(await home.resident.removeKept('expired')).toBe(0)
    expect(await home.resident.removeKept('all')).toBe(1)
    expect(await readdir(home.folder).catch(() => 'gone')).toBe('gone')
  })

  test('removes what it has of a workspace that is no more at once, also what was not published', async () => {
    const home = await fresh()
    await home.order('assume')
    await home.save('a.txt', 'a')
    await writeFile(join(home.folder, 'unpublished.txt'), 'x')
    expect(await home.order('release', { home: null, removed: true, epoch: 2 })).toBe('done')
    expect([home.resident.held(), await readdir(home.folder).catch(() => 'gone')]).toEqual([[], 'gone'])
    expect(await home.order('release', { home: null, removed: true, epoch: 2 })).toBe('done')
    expect((await home.restarted()).resident.held()).toEqual([])
  })
})

describe('a home that was taken over', () => {
  test('acknowledges nothing more, and hands in as diverged what the repository had not accepted', async () => {
    const at = await fresh()
    await at.order('assume')
    await at.save('a.txt', 'a')
    await nextEpoch(at.near, BETA)
    const admission = at.resident.enter(WORKSPACE, 1)
    await writeFile(join(admission.folder, 'late.txt'), 'late')
    expect(await admission.wrote(['late.txt']).then(() => 'saved', codeOf)).toBe('NOT_HOME')
    admission.leave()
    expect(entered(at, 1)).toBe('NOT_HOME')
    expect(await at.order('release')).toBe('done')
    const [diverged] = await at.near.repository.diverged(WORKSPACE)
    expect(diverged?.value).toMatchObject({ epoch: 1, sequence: 2, files: 2 })
    expect((await at.near.repository.tip(WORKSPACE))?.tip.sequence).toBe(1)
  })

  test('that had published everything hands in nothing', async () => {
    const at = await fresh()
    await at.order('assume')
    await at.save('a.txt', 'a')
    await nextEpoch(at.near, BETA)
    await at.order('release')
    expect(await at.near.repository.diverged(WORKSPACE)).toEqual([])
  })

  test('becomes a standby at the new head, its late changes handed in first', async () => {
    const at = await fresh()
    await at.order('assume')
    await at.save('a.txt', 'a')
    await at.resident.close()
    await writeFile(join(at.folder, 'late.txt'), 'late')
    await nextEpoch(at.near, BETA)
    const again = await at.restarted()
    expect(await again.order('follow', { standbys: [ALPHA.peerId] })).toBe('done')
    await until(async () => String(await readdir(at.folder)) === 'a.txt')
    expect(await at.near.repository.diverged(WORKSPACE)).toHaveLength(1)
  })
})

describe('a home that comes back as a standby, at the head that it had as its base', () => {
  /** A home that took over from another one, and has published nothing yet. */
  async function takenOver(): Promise<{ at: Place; old: SignedHead; base: SignedHead }> {
    const at = await fresh()
    await at.order('assume')
    await at.save('a.txt', 'old')
    const old = await newestHead(at)
    await at.save('a.txt', 'acknowledged')
    await nextEpoch(at.near, BETA)
    await at.order('follow')
    await until(() => at.near.held.length > 0)
    await nextEpoch(at.near, ALPHA)
    expect(await at.order('assume')).toBe('done')
    return { at, old, base: await newestHead(at) }
  }

  /** Makes the repository take no head. Resolves once one was offered to it. */
  function takesNone(at: Place): Promise<void> {
    const offered = Promise.withResolvers<void>()
    at.near.before = async () => {
      offered.resolve()
      throw new NodeDaemonError('OUT_OF_REACH', 'away')
    }
    return offered.promise
  }

  const textIn = (at: Place): Promise<string> => readFile(join(at.folder, 'a.txt'), 'utf8')

  /** Follows, and says what was on the disk when it told the repository that it holds the base. */
  async function followed(at: Place, base: SignedHead, standbys: readonly PeerIdText[]): Promise<string> {
    const told = Promise.withResolvers<string>()
    at.near.onHolding = async (receipt) => {
      if (receipt.value.head.equals(base.cid)) told.resolve(await textIn(at))
    }
    expect(await at.order('follow', { standbys: [...standbys] })).toBe('done')
    return told.promise
  }

  test('does not hold what a restore that was cut has left, whoever was the home meanwhile', async () => {
    for (const released of [true, false]) {
      const { at, old, base } = await takenOver()
      const offered = takesNone(at)
      const going = goBack(at, old)
      await offered
      const again = await at.restarted()
      expect(await going).not.toBe('proven')
      expect(await textIn(again)).toBe('old')
      at.near.before = async () => undefined
      await nextEpoch(again.near, BETA)
      if (released) await again.order('release')
      expect(await followed(again, base, [ALPHA.peerId])).toBe('acknowledged')
      await nextEpoch(again.near, ALPHA)
      await again.order('assume')
      expect(await textIn(again)).toBe('acknowledged')
      await again.resident.flush(20_000)
      expect((await newestHead(again)).value.root.equals(base.value.root)).toBe(true)
    }
  })

  test('does not hold what it was never acknowledged', async () => {
    for (const released of [true, false]) {
      const { at, base } = await takenOver()
      const offered = takesNone(at)
      const saving = at.save('a.txt', 'in no head')
      await offered
      await nextEpoch(at.near, BETA)
      at.near.before = async () => undefined
      if (released) await at.order('release')
      expect(await followed(at, base, [ALPHA.peerId])).toBe('acknowledged')
      expect(await saving).toBe('CLOSED')
      expect(await at.near.repository.diverged(WORKSPACE)).toHaveLength(1)
    }
  })
})

test('a flush publishes everything of every home, or says that it did not', async () => {
  const at = await fresh()
  await at.order('assume')
  await writeFile(join(at.folder, 'a.txt'), 'a')
  await at.resident.flush(5000)
  expect(await files(at)).toBe(1)
  await nextEpoch(at.near, BETA)
  await writeFile(join(at.folder, 'b.txt'), 'b')
  expect(await at.resident.flush(5000).then(() => 'flushed', codeOf)).toBe('INCOMPLETE')
})

describe('a repository that was put back to an earlier state', () => {
  test('does not undo what its home has: that goes on from the head that it published last', async () => {
    const near = nearRepository(await memoryRepository(), homeOf(ALPHA))
    const at = await place(near)
    await at.order('assume')
    await at.save('a.txt', 'first')
    await at.save('a.txt', 'second')
    const last = (await near.tip(WORKSPACE))?.value.sequence ?? 0
    const older = await memoryRepository()
    const { tip, blocks } = nearRepository(older, near.ownership)
    Object.assign(near, { tip, blocks })
    expect(await at.order('assume')).toBe('done')
    expect(await readFile(join(at.folder, 'a.txt'), 'utf8')).toBe('second')
    const again = await at.restarted()
    near.publish = async (head, inline) => {
      const counts = await older.regain(head, inline)
      return seal(receiptRecord, receiptOf(head, counts, 'repository', COORDINATOR.peerId, 1), COORDINATOR)
    }
    expect(await again.order('assume')).toBe('done')
    expect(await again.save('b.txt', 'third')).toBe('saved')
    expect(await readFile(join(at.folder, 'a.txt'), 'utf8')).toBe('second')
    expect((await older.tip(WORKSPACE))?.tip.sequence).toBeGreaterThan(last)
  })

  test('and a home that stays the home in a later epoch publishes on its own base what it had not published', async () => {
    const near = nearRepository(await memoryRepository(), homeOf(ALPHA))
    const at = await place(near)
    await at.order('assume')
    await at.save('a.txt', 'published')
    const again = await at.restarted()
    await writeFile(join(at.folder, 'b.txt'), 'not published')
    await nextEpoch(near, ALPHA)
    expect(await again.order('assume')).toBe('done')
    expect(await again.save('c.txt', 'later')).toBe('saved')
    expect(await readFile(join(at.folder, 'b.txt'), 'utf8')).toBe('not published')
    expect(await near.repository.diverged(WORKSPACE)).toEqual([])
    expect((await near.tip(WORKSPACE))?.value.files).toBe(3)
  })
})
