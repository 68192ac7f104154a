import { faultOfName } from '../content/names.ts'
import { NodeDaemonError } from '../core/errors.ts'

/** A path inside a workspace: names joined by `/`, without a leading one. The workspace's folder itself is the empty path. */
export type WorkspacePath = string

/** What a path may have at most, so that every instance can put it on its disk, wherever its workspaces lie there. */
export const PATH_LIMITS = { bytes: 3072, names: 256 } as const

/** Is the path within `PATH_LIMITS`? */
export const fits = (path: WorkspacePath): boolean =>
  Buffer.byteLength(path) <= PATH_LIMITS.bytes && path.split('/').length <= PATH_LIMITS.names

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export const joinPath = (folder: WorkspacePath, name: string): WorkspacePath =>
  folder === '' ? name : `${folder}/${name}`

export const parentOf = (path: WorkspacePath): WorkspacePath => path.slice(0, Math.max(0, path.lastIndexOf('/')))

export const nameOf = (path: WorkspacePath): string => path.slice(path.lastIndexOf('/') + 1)

/** @throws NodeDaemonError `BAD_REQUEST` when the path would lead out of the workspace or cannot be one */
export function checkPath(path: WorkspacePath): void {
  if (path !== '' && path.split('/').some((name) => faultOfName(name) !== null)) {
    throw new NodeDaemonError('BAD_REQUEST', `"${path.slice(0, 200)}" is not a path inside a workspace`)
  }
}

/** The text of a name as the file system gives it; null when its bytes are not UTF-8. */
export function decodeName(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes)
  } catch {
    return null
  }
}

/** Touched paths, as a tree: what is below a touched path is touched with it. */
export interface Touched {
  /** The entry itself and all below it. */
  whole: boolean
  readonly below: Map<string, Touched>
}

/** All paths of the tree, from the workspace's own folder down; null where they are more than `limit`. */
export function pathsOf(touched: Touched, limit: number): WorkspacePath[] | null {
  const paths: WorkspacePath[] = []
  const pending: [WorkspacePath, Touched][] = [['', touched]]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [path, { below }] = next
    paths.push(path)
    if (paths.length + pending.length > limit) return null
    for (const [name, child] of below) pending.push([joinPath(path, name), child])
  }
  return paths
}

/** @throws NodeDaemonError `BAD_REQUEST` see {@link checkPath} */
export function touchedTree(paths: Iterable<WorkspacePath>): Touched {
  const root: Touched = { whole: false, below: new Map() }
  for (const path of paths) {
    checkPath(path)
    let at = root
    for (const name of path === '' ? [] : path.split('/')) {
      if (at.whole) break
      const next = at.below.get(name) ?? { whole: false, below: new Map() }
      at.below.set(name, next)
      at = next
    }
    at.whole = true
    at.below.clear()
  }
  return root
}
