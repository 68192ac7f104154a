import { lstat, mkdtemp, readdir, rm, rmdir } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { CID } from 'multiformats/cid'
import type { SnapshotView } from '../console/views.ts'
import { buildFolder } from '../content/folder.ts'
import { type Block, verifyBlock } from '../core/blocks.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import { openLevel } from '../store/level.ts'
import type { Applied } from '../worktree/apply.ts'
import { Worktree } from '../worktree/worktree.ts'
import { CarFile } from './car-file.ts'
import type { Context } from './context.ts'
import { type Source, saveFile } from './save-file.ts'

/** As a workspace's own folder counts: see `Worktree`. */
const ROOT_METADATA = { mode: 0o755, mtime: { secs: 0n, nsecs: 0 } }

/**
 * Puts a snapshot, or what stood at its path under its own name, into a new or empty folder. All of it is verified. On
 * return it is durable; where it fails, the folder is as it was.
 *
 * @param car the CAR file whose root is the snapshot's `cid`
 * @throws NodeDaemonError `BAD_USAGE` the folder is not empty; `INTEGRITY` what came does not verify; `ABORTED` on Ctrl-C
 */
export async function restoreFolder(
  context: Context,
  snapshot: SnapshotView,
  car: Source,
  folder: string
): Promise<Applied> {
  const target = resolve(folder)
  const existed = await checkEmpty(target)
  const beside = await mkdtemp(join(dirname(target), '.node-daemon-restore-')).catch((error: unknown) => {
    throw new NodeDaemonError('BAD_USAGE', `nothing can be written beside ${target}: ${messageOf(error)}`, {
      advice: 'name a new folder in one that is there and may be written',
      cause: error
    })
  })
  try {
    const file = join(beside, 'snapshot.car')
    await saveFile(context, file, car)
    return await apply(context, snapshot, file, beside, target)
  } catch (error) {
    await clear(target, existed)
    throw error
  } finally {
    await rm(beside, { recursive: true, force: true })
  }
}

async function apply(
  context: Context,
  snapshot: SnapshotView,
  file: string,
  beside: string,
  target: string
): Promise<Applied> {
  const { clock, random, log, terminal } = context
  const stopped = new AbortController()
  const stopListening = terminal.onSignal(() => stopped.abort())
  const cid = CID.parse(snapshot.cid)
  const level = await openLevel(join(beside, 'index'))
  try {
    await using car = await CarFile.open(file, cid)
    const top = await topOf(snapshot, cid)
    const staging = join(beside, 'staging')
    const worktree = new Worktree({ folder: target, staging, index: level, clock, random, log })
    const fetch = async (cids: readonly CID[]): Promise<Block[]> => {
      const blocks = [
        ...top.blocks.filter((own) => cids.some((one) => one.equals(own.cid))),
        ...(await car.blocks(cids))
      ]
      for (const block of blocks) verifyBlock(block)
      return blocks
    }
    return await worktree.apply(top.root, fetch, { signal: stopped.signal })
  } finally {
    stopListening()
    await level.close()
  }
}

/** The tree to apply: the snapshot itself, or a folder that has nothing but what stood at the path. */
async function topOf({ path, totalBytes }: SnapshotView, cid: CID): Promise<{ root: CID; blocks: Block[] }> {
  if (path === '') return { root: cid, blocks: [] }
  const blocks: Block[] = []
  const entry = { name: basename(path), cid, totalBytes }
  const built = await buildFolder([entry], ROOT_METADATA, (block) => void blocks.push(block))
  return { root: built.cid, blocks }
}

/** Was the folder there? @throws NodeDaemonError `BAD_USAGE` there is something in it, or at its place */
async function checkEmpty(target: string): Promise<boolean> {
  const stats = await lstat(target).catch(() => null)
  if (stats === null) return false
  const advice = 'name a new folder, or an empty one'
  if (!stats.isDirectory()) throw new NodeDaemonError('BAD_USAGE', `${target} is not a folder`, { advice })
  if ((await readdir(target)).length > 0) throw new NodeDaemonError('BAD_USAGE', `${target} is not empty`, { advice })
  if (stats.dev !== (await lstat(dirname(target))).dev) {
    throw new NodeDaemonError('BAD_USAGE', `${target} is a file system of its own`, {
      advice: 'name a new folder inside it'
    })
  }
  return true
}

/** What was put there is taken away again. */
async function clear(target: string, existed: boolean): Promise<void> {
  const names = await readdir(target).catch(() => null)
  if (names === null) return
  for (const name of names) await rm(join(target, name), { recursive: true, force: true })
  if (!existed) await rmdir(target)
}
