import { chmod, lstat, mkdtemp, readdir, rename } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { CID } from 'multiformats/cid'
import type { SnapshotView } from '../console/views.ts'
import { buildFolder } from '../content/folder.ts'
import { type Block, verifyBlock } from '../core/blocks.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import { openLevel } from '../store/level.ts'
import type { Applied } from '../worktree/apply.ts'
import { removeTree } from '../worktree/disk.ts'
import { inlineReader } from '../worktree/inline-reader.ts'
import { nodeFileSystem } from '../worktree/node-file-system.ts'
import { Worktree } from '../worktree/worktree.ts'
import { CarFile } from './car-file.ts'
import type { Context } from './context.ts'
import { standingAt, unwritable } from './file-trouble.ts'
import { type Source, saveFile } from './save-file.ts'

/** How the folder begins in which a snapshot is made: then the id of the process, then what makes it unique. */
const BESIDE = '.node-daemon-restore-'
const LEFT_OVER = /^\.node-daemon-restore-(?:(\d{1,10})-)?[A-Za-z0-9]{6}$/
const LEFT_OVER_MS = 86_400_000

/** As a workspace's own folder counts: see `Worktree`. */
const ROOT_METADATA = { mode: 0o755, mtime: { secs: 0n, nsecs: 0 } }

/**
 * Puts a snapshot, or what stood at its path under its own name, into a new or empty folder. All of it is verified. On
 * return it is durable; where it fails, the folder is as it was. It is made beside the folder and then moved in.
 *
 * @param car the CAR file whose root is the snapshot's `cid`
 * @throws NodeDaemonError `NOT_FOUND` there is nothing to put it into; `BAD_USAGE` the folder is not empty; `INTEGRITY` what came does not verify; `ABORTED` on Ctrl-C
 */
export async function restoreFolder(
  context: Context,
  snapshot: SnapshotView,
  car: Source,
  folder: string
): Promise<Applied> {
  const target = resolve(folder)
  const existed = await checkEmpty(target)
  const parent = dirname(target)
  await removeLeftOvers(context, parent)
  const beside = await mkdtemp(join(parent, `${BESIDE}${context.terminal.pid}-`)).catch((error: unknown) => {
    throw unwritable(parent, error)
  })
  try {
    await saveFile(context, join(beside, 'snapshot.car'), car)
    const applied = await apply(context, snapshot, beside)
    await moveIn(join(beside, 'tree'), target, existed)
    return applied
  } finally {
    await removeTree(nodeFileSystem, beside)
  }
}

/** What restores that were killed have left in a folder: their process is gone, or they are older than a day. */
async function removeLeftOvers({ clock, log }: Context, parent: string): Promise<void> {
  const names = await readdir(parent).catch((error: unknown) => {
    throw unwritable(parent, error)
  })
  for (const name of names) {
    const match = LEFT_OVER.exec(name)
    if (match === null) continue
    const path = join(parent, name)
    try {
      if (await isLeftOver(path, match[1], clock.wall())) await removeTree(nodeFileSystem, path)
    } catch (error) {
      log.warn({ path, error: messageOf(error) }, 'a left-over stays')
    }
  }
}

async function isLeftOver(path: string, pid: string | undefined, nowMs: number): Promise<boolean> {
  const stats = await standingAt(path)
  if (stats === null || !stats.isDirectory() || stats.uid !== process.getuid?.()) return false
  if (nowMs - stats.mtimeMs > LEFT_OVER_MS) return true
  return pid !== undefined && !isAlive(Number(pid))
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // Another user's may not be asked.
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH')
  }
}

/** Makes the tree of `snapshot.car` in the folder `tree`. */
async function apply(context: Context, snapshot: SnapshotView, beside: string): Promise<Applied> {
  const { clock, random, log, terminal } = context
  const stopped = new AbortController()
  const stopListening = terminal.onSignal(() => stopped.abort())
  const cid = CID.parse(snapshot.cid)
  const level = await openLevel(join(beside, 'index'))
  try {
    await using car = await CarFile.open(join(beside, 'snapshot.car'), cid)
    const top = await topOf(snapshot, cid)
    const staging = join(beside, 'staging')
    const worktree = new Worktree({
      files: nodeFileSystem,
      reader: inlineReader(),
      folder: join(beside, 'tree'),
      staging,
      index: level,
      clock,
      random,
      log
    })
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
  const stats = await standingAt(target)
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

/** A folder that is there stays the same one: somebody may stand in it. What came into it meanwhile is never replaced. */
async function moveIn(tree: string, target: string, existed: boolean): Promise<void> {
  if (!existed) {
    await rename(tree, target)
    return await nodeFileSystem.syncFolder(dirname(target))
  }
  for (const name of await readdir(tree)) {
    if ((await standingAt(join(target, name))) !== null) {
      throw new NodeDaemonError('BAD_USAGE', `${join(target, name)} came into being meanwhile`, {
        advice: 'name a new folder'
      })
    }
    await moveEntry(join(tree, name), join(target, name))
  }
  await nodeFileSystem.syncFolder(target)
}

/** A folder can be moved elsewhere only by who may write to it. */
async function moveEntry(from: string, to: string): Promise<void> {
  const stats = await lstat(from)
  if (!stats.isDirectory()) return await rename(from, to)
  await chmod(from, 0o700)
  await rename(from, to)
  await chmod(to, stats.mode & 0o7777)
}
